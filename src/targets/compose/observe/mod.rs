//! What runs, by the API of the engine and by the gateway.

pub(crate) mod container;
pub(crate) mod engine;
pub(crate) mod gateway;
pub(crate) mod logs;
pub(crate) mod neighbours;
pub(crate) mod published;
pub(crate) mod ready;
pub(crate) mod status;
pub(crate) mod subject;

pub(crate) use container::{Container, State};
pub(crate) use engine::{Engine, host as engine_host, is_missing};
pub(crate) use gateway::Gateway;
pub(crate) use neighbours::Neighbour;
