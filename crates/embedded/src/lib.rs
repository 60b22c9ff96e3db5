//! The embedded stores: a subset of the Redis and MongoDB wire protocols for local development, durable in one file each.
//!
//! They serve what they are given to listen on and nothing else: they open no port, start no process and read no configuration.

mod accept;
mod file;
pub mod mongodb;
pub mod redis;
