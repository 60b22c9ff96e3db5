//! What the local target needs; so far its locks, which the Compose target takes too.

pub mod lock;
