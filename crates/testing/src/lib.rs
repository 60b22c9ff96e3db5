//! What the tests of all packages share. It panics where a test would, so it is a dev-dependency and nothing else.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

pub mod http;
pub mod need;
pub mod peer;
pub mod port;
pub mod tcp;
pub mod wait;
