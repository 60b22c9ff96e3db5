//! What templates may know: one typed context per target. All decisions are taken here. Pure.

pub mod compose;
pub mod kubernetes;
pub mod stores;
