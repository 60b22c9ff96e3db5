//! One cluster: the connection, requests with a deadline, objects and their kinds, tunnels to pods.

pub(crate) mod cluster;
pub(crate) mod connection;
pub(crate) mod fault;
pub(crate) mod kind;
pub(crate) mod list;
pub(crate) mod object;
pub(crate) mod once;
pub(crate) mod tunnel;
pub(crate) mod write;
