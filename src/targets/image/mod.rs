//! The service image, made from the running executable: no build, the same bytes for the same program. Knows no engine; a
//! registry takes it as it is.

mod archive;
mod challenge;
mod credentials;
mod name;
mod origin;
mod packed;
mod program;
mod push;
mod registry;

pub(crate) use name::RemoteName;
pub(crate) use packed::{Image, REPOSITORY, architecture, is_packed_name, pack};
pub(crate) use program::{Fingerprint, fingerprint};
pub(crate) use push::push;
