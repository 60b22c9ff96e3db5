//! Changes: what the documents want against what the cluster has, applied server-side; revisions, removal, ownership.

pub(crate) mod carry_out;
pub(crate) mod changes;
pub(crate) mod compare;
pub(crate) mod converge;
pub(crate) mod deployed;
pub(crate) mod documents;
pub(crate) mod down;
pub(crate) mod drift;
pub(crate) mod env_file;
pub(crate) mod image;
pub(crate) mod immutable;
pub(crate) mod leftovers;
pub(crate) mod mounted;
pub(crate) mod namespace;
pub(crate) mod own_secrets;
pub(crate) mod owner;
pub(crate) mod prepared;
pub(crate) mod reach;
pub(crate) mod references;
pub(crate) mod release;
pub(crate) mod revisions;
pub(crate) mod secrets;
pub(crate) mod transition;
pub(crate) mod volumes;
