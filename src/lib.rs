//! appforge
