//! The parts of a stack that shape its documents: what only Compose reads, and the user's own patches. Pure.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stack::values::ImageRef;

/// What only the Compose target reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Compose {
    /// The former name of `service.address`, on this target only.
    pub bind: Option<IpAddr>,
    /// The network (IPv4 CIDR, /16 to /28) between gateway and replicas; `null` derives one from the name.
    pub subnet: Option<String>,
    /// The image of the gateway, HAProxy 2.6 or later.
    pub gateway_image: ImageRef,
    /// Publish the stores too, on 127.0.0.1 only.
    pub publish_stores: bool,
}

impl Default for Compose {
    fn default() -> Self {
        let gateway = "haproxy:3.2-alpine".parse();
        Self {
            bind: None,
            subnet: None,
            gateway_image: gateway.unwrap_or_else(|_| unreachable!("a literal of this file")),
            publish_stores: false,
        }
    }
}

/// One change to a rendered document: an operation of JSON Patch (RFC 6902), its path a JSON Pointer (RFC 6901).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
pub enum Patch {
    /// Adds a member or an item; what contains it must be there.
    Add { path: String, value: serde_json::Value },
    /// Replaces what is there.
    Replace { path: String, value: serde_json::Value },
    /// Removes what is there.
    Remove { path: String },
}
