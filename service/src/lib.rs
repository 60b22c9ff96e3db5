//! The bundled service: pooled MongoDB, cached reads, and a rate limit that is global and exact.

pub mod limiter;
pub mod redis;
pub mod status;
