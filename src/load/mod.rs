//! The load test: virtual users that send requests, histograms that measure them, thresholds that judge.
//!
//! A scenario is data ([`scenario`]); the generator runs it on threads of its own and hands back a [`tally::Tally`];
//! thresholds, reports, history and comparison only read that. Nothing here prints or knows the command line.

pub mod capacity;
mod client;
pub mod compare;
pub mod connection;
pub mod environment;
pub mod generator;
pub mod histogram;
pub mod history;
pub mod k6;
pub mod report;
pub mod scenario;
pub mod schedule;
pub mod step;
pub mod tally;
pub mod thresholds;
pub mod units;
pub mod user_file;

pub use client::Clients;
