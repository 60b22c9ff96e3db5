//! One cluster: the connection, requests with a deadline, objects and their kinds, connections to pods.

pub(crate) mod cluster;
pub(crate) mod connection;
pub(crate) mod fault;
pub(crate) mod kind;
pub(crate) mod link;
pub(crate) mod list;
pub(crate) mod object;
pub(crate) mod once;
pub(crate) mod write;

pub(crate) use cluster::{AT_ONCE, Choice, Cluster, MANAGER};
pub(crate) use fault::{
    Doing, conflicts, explain, is_forbidden, is_invalid, is_terminating, is_there_already, is_transient,
    timed_out,
};
pub(crate) use kind::Kind;
pub(crate) use list::{list, list_kind, list_others};
pub(crate) use object::{Object, STACK_LABEL, api, received};
pub(crate) use once::Once;
pub(crate) use write::{apply, remove, set_replicas, wait_until_deleted};
