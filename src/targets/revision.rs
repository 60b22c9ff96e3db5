//! One revision of the service that a target remembers. Data only.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// Its number; a later one is higher.
    pub number: u64,
    /// Whether it is the one that runs, or is being rolled out.
    pub current: bool,
    /// When it was deployed last, else when it was made first.
    pub deployed: Option<Timestamp>,
    /// Who deployed it, as `user@host`, where that is recorded.
    pub by: Option<String>,
    /// What `up --message` said.
    pub message: Option<String>,
    /// The image of the service.
    pub image: String,
    /// Its replicas that accept work.
    pub ready: u32,
}
