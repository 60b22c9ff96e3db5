//! Changes: the Compose command line, images, credentials, the records of the owner and of `scale`.

pub(crate) mod cli;
pub(crate) mod converge;
pub(crate) mod credentials;
pub(crate) mod down;
pub(crate) mod image;
pub(crate) mod owner;
mod scale;
