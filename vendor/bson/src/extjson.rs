#[cfg(feature = "serde_json-1")]
pub(crate) mod json;
pub(crate) mod models;
