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
    /// Serve HTTPS on `service.port`; `null` serves HTTP.
    pub tls: Option<Tls>,
}

/// The certificate with which the gateway serves HTTPS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The file of the certificate and those that signed it, as PEM; seen from the stack file.
    pub cert: String,
    /// The file of its private key, as PEM; seen from the stack file.
    pub key: String,
    /// A port where HTTP is redirected to HTTPS; `null` has none.
    #[serde(default)]
    pub http_port: Option<u16>,
}

impl Default for Compose {
    fn default() -> Self {
        let gateway = "haproxy:3.2-alpine".parse();
        Self {
            bind: None,
            subnet: None,
            gateway_image: gateway.unwrap_or_else(|_| unreachable!("a literal of this file")),
            publish_stores: false,
            tls: None,
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
