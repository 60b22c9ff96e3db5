//! Changes: the Compose command line, images, credentials, the records of the owner, of `scale` and of releases.

pub(crate) mod cli;
pub(crate) mod converge;
pub(crate) mod credentials;
mod documents;
pub(crate) mod down;
pub(crate) mod image;
pub(crate) mod owner;
mod release;
mod scale;
pub(crate) mod variables;
