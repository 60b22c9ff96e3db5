//! What `up` would do, and what can be known before it: obstacles, addresses, a configuration that the gateway refuses.

pub(crate) mod changes;
pub(crate) mod gateway_check;
pub(crate) mod preflight;
pub(crate) mod reach;
pub(crate) mod trial;
