//! The bundled service: pooled MongoDB, cached reads, and a rate limit that is global and exact; and the front, which puts that
//! limit before any other app.

pub mod admin;
pub mod app;
pub mod cache;
pub mod certificates;
pub mod check;
pub mod contract;
pub mod exporter;
pub mod front;
pub mod identity;
pub mod items;
pub mod limiter;
pub mod listen;
pub mod listening;
pub mod logging;
pub mod metrics;
pub mod mongodb;
pub mod network;
pub mod open_files;
pub mod openapi;
mod pipe;
pub mod probe;
pub mod problem;
pub mod reach;
pub mod redis;
pub mod run;
pub mod server;
pub mod settings;
pub mod status;

pub use run::{main, serve};
