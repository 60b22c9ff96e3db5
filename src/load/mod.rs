//! The load test: virtual users that send requests, histograms that measure them, thresholds that judge.
//!
//! A scenario is data ([`scenario`]); the generator runs it on threads of its own and hands back a [`tally::Tally`];
//! thresholds, reports, history and comparison only read that. Nothing here prints or knows the command line.

pub mod capacity;
mod client;
mod closed;
pub mod compare;
pub mod connection;
pub mod environment;
pub mod generator;
pub mod histogram;
pub mod history;
pub mod k6;
mod open;
pub mod report;
pub mod scenario;
pub mod schedule;
pub mod tally;
pub mod thresholds;
pub mod user_file;

pub use client::Clients;
