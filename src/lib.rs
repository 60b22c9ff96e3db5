//! appforge.

pub mod embedded;
pub mod error;
pub mod output;
pub mod spec;
