//! Where an external store is: written in the configuration, or kept in a Secret of the cluster. Pure.

use std::fmt;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::stack::values::Secret;

/// The address of an external store.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
pub enum StoreAddress {
    /// The URI itself.
    Text(Secret),
    /// A key of a Secret in the namespace of the stack, on Kubernetes.
    Key(SecretKey),
}

/// A key of a Secret in the namespace of the stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretKey {
    /// The name of the Secret.
    pub secret: String,
    /// The key that holds the URI.
    pub key: String,
}

impl StoreAddress {
    /// The URI, where the configuration has it.
    pub fn text(&self) -> Option<&Secret> {
        match self {
            Self::Text(uri) => Some(uri),
            Self::Key(_) => None,
        }
    }

    /// The key of a Secret, where that has it.
    pub fn key(&self) -> Option<&SecretKey> {
        match self {
            Self::Text(_) => None,
            Self::Key(key) => Some(key),
        }
    }
}

impl From<Secret> for StoreAddress {
    fn from(uri: Secret) -> Self {
        Self::Text(uri)
    }
}

impl Serialize for StoreAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(uri) => uri.serialize(serializer),
            Self::Key(key) => key.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for StoreAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = StoreAddress;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, or a mapping of `secret` and `key`")
            }

            fn visit_str<E>(self, text: &str) -> Result<StoreAddress, E> {
                Ok(Secret::new(text).into())
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<StoreAddress, A::Error> {
                SecretKey::deserialize(MapAccessDeserializer::new(map)).map(StoreAddress::Key)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_a_text_or_a_key_of_a_secret() {
        let text: StoreAddress = serde_json::from_str("\"redis://:hunter2@h\"").unwrap();
        assert_eq!(text.text().map(Secret::reveal), Some("redis://:hunter2@h"));
        assert_eq!(serde_json::to_string(&text).unwrap(), "\"[redacted]\"");
        let key: StoreAddress = serde_json::from_str(r#"{"secret":"db","key":"uri"}"#).unwrap();
        assert_eq!(key.key(), Some(&SecretKey { secret: "db".into(), key: "uri".into() }));
        assert_eq!(serde_json::to_string(&key).unwrap(), r#"{"secret":"db","key":"uri"}"#);
        for wrong in ["1", "[]", r#"{"secret":"db"}"#, r#"{"secret":"db","key":"uri","x":1}"#] {
            serde_json::from_str::<StoreAddress>(wrong).unwrap_err();
        }
    }
}
