//! The embedded stores: a subset of the Redis and MongoDB wire protocols for local development, durable in one folder each.
//!
//! They serve what they are given to listen on and nothing else: they open no port, start no process and read no configuration.

mod accept;
mod beyond;
mod file;
mod mark;
pub mod mongodb;
pub mod redis;

pub use mark::Loss;
