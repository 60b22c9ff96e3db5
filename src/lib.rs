//! appforge.

pub mod error;
pub mod output;
pub mod spec;
