//! [`Node`] -> any type of serde, in one pass. A string is what was written, whatever YAML takes it for. Pure.
//!
//! serde stops at the first refusal; it carries its place and path, so that who collects problems can set it right and
//! read again.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::Value;

use crate::document::node::{Content, Entry, Node, Place};
use crate::document::reader::join;
use crate::document::scalar::is_exact;
use crate::document::words::{out_of, shown, unknown};

/// Reads a value.
///
/// # Errors
/// The first value that its type does not take.
pub(crate) fn deserialize<'n, T: Deserialize<'n>>(node: &'n Node) -> Result<T, Refusal> {
    T::deserialize(At(node)).map_err(|refusal| refusal.below("", node.place))
}

/// A value that its type does not take.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    /// Of the value, or of the mapping that lacks one.
    pub(crate) place: Option<Place>,
    pub(crate) path: String,
    pub(crate) message: String,
}

impl Refusal {
    /// Seen from the node above.
    fn below(self, step: &str, place: Place) -> Self {
        let path = match (step, self.path.as_str()) {
            (_, "") => step.to_owned(),
            ("", _) => self.path,
            (_, inner) if inner.starts_with('[') => format!("{step}{inner}"),
            (_, inner) => join(step, inner),
        };
        Self { place: self.place.or(Some(place)), path, message: self.message }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

impl de::Error for Refusal {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { place: None, path: String::new(), message: message.to_string() }
    }

    fn invalid_type(given: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let given = match given {
            Unexpected::Str(_) => "a string".to_owned(),
            Unexpected::Bool(_) => "a boolean".to_owned(),
            Unexpected::Unsigned(_) | Unexpected::Signed(_) => "an integer".to_owned(),
            Unexpected::Float(_) => "a number".to_owned(),
            Unexpected::Unit | Unexpected::Option => "null".to_owned(),
            Unexpected::Seq => "a list".to_owned(),
            Unexpected::Map => "a mapping".to_owned(),
            other => other.to_string(),
        };
        Self::custom(format_args!("expected {expected}, got {given}"))
    }

    fn invalid_value(given: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        match given {
            Unexpected::Str(text) => Self::custom(format_args!("expected {expected}, got {}", shown(text))),
            other => Self::custom(format_args!("expected {expected}, got {other}")),
        }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(unknown("value", variant, expected))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(unknown("key", field, expected))
    }

    fn missing_field(field: &'static str) -> Self {
        Self { path: field.to_owned(), ..Self::custom("is missing") }
    }
}

/// A node as serde reads it.
struct At<'n>(&'n Node);

impl<'n> At<'n> {
    fn kind(&self, what: &str) -> Refusal {
        de::Error::custom(self.0.expected_kind(what))
    }
}

/// Integers of one type: what does not fit is refused with the bounds.
macro_rules! integers {
    ($($deserialize:ident $visit:ident $type:ty;)*) => {$(
        fn $deserialize<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Refusal> {
            let number = self.0.integer().map_err(de::Error::custom)?;
            let fits = <$type>::try_from(number);
            let fits = fits.map_err(|_| de::Error::custom(out_of(<$type>::MIN, <$type>::MAX, number)))?;
            visitor.$visit(fits)
        }
    )*};
}

impl<'n> Deserializer<'n> for At<'n> {
    type Error = Refusal;

    /// For values that are passed on, such as those of `patches`: a number is the one that was written, or refused.
    fn deserialize_any<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Refusal> {
        let inexact = |written: &str| {
            let message = format!("{} cannot be kept exactly as a number; quote it", shown(written));
            Err(de::Error::custom(message))
        };
        match (&self.0.content, &self.0.written) {
            (Content::Scalar(Value::String(_)), Some(written)) => return inexact(written),
            (Content::Scalar(Value::Number(number)), Some(written))
                if number.as_i128().is_none()
                    && number.as_f64().is_some_and(|value| !is_exact(written, value)) =>
            {
                return inexact(written);
            }
            _ => {}
        }
        match &self.0.content {
            Content::Scalar(Value::Bool(value)) => visitor.visit_bool(*value),
            Content::Scalar(Value::Number(number)) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (None, Some(number)) => visitor.visit_i64(number),
                (None, None) => visitor.visit_f64(self.0.float().map_err(de::Error::custom)?),
            },
            Content::Scalar(Value::String(text)) => visitor.visit_borrowed_str(text),
            Content::Scalar(_) => visitor.visit_unit(),
            Content::List(nodes) => visitor.visit_seq(Items { nodes, next: 0 }),
            Content::Mapping(entries) => visitor.visit_map(Entries { entries, value: None }),
        }
    }

    integers! {
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
        deserialize_i8 visit_i8 i8;
        deserialize_i16 visit_i16 i16;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
    }

    fn deserialize_bool<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_bool(self.0.boolean().map_err(de::Error::custom)?)
    }

    fn deserialize_f32<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_f64(self.0.float().map_err(de::Error::custom)?)
    }

    fn deserialize_str<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_borrowed_str(self.0.string().map_err(de::Error::custom)?)
    }

    fn deserialize_string<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Refusal> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'n>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match &self.0.content {
            Content::List(nodes) => visitor.visit_seq(Items { nodes, next: 0 }),
            _ => Err(self.kind("a list")),
        }
    }

    fn deserialize_map<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match &self.0.content {
            Content::Mapping(entries) => visitor.visit_map(Entries { entries, value: None }),
            _ => Err(self.kind("a mapping")),
        }
    }

    fn deserialize_struct<V: Visitor<'n>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'n>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_enum(IntoDeserializer::<Refusal>::into_deserializer(
            self.0.string().map_err(de::Error::custom)?,
        ))
    }

    forward_to_deserialize_any! {
        <W: Visitor<'n>>
        char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

struct Items<'n> {
    nodes: &'n [Node],
    next: usize,
}

impl<'n> SeqAccess<'n> for Items<'n> {
    type Error = Refusal;

    fn next_element_seed<T: DeserializeSeed<'n>>(&mut self, seed: T) -> Result<Option<T::Value>, Refusal> {
        let Some(node) = self.nodes.get(self.next) else { return Ok(None) };
        let step = format!("[{}]", self.next);
        self.next += 1;
        seed.deserialize(At(node)).map(Some).map_err(|refusal| refusal.below(&step, node.place))
    }
}

struct Entries<'n> {
    entries: &'n [Entry],
    value: Option<&'n Entry>,
}

impl<'n> MapAccess<'n> for Entries<'n> {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'n>>(&mut self, seed: K) -> Result<Option<K::Value>, Refusal> {
        let Some((entry, rest)) = self.entries.split_first() else { return Ok(None) };
        (self.entries, self.value) = (rest, Some(entry));
        let key = StrDeserializer::<Refusal>::new(&entry.key);
        seed.deserialize(key).map(Some).map_err(|refusal| refusal.below("", entry.place))
    }

    fn next_value_seed<V: DeserializeSeed<'n>>(&mut self, seed: V) -> Result<V::Value, Refusal> {
        let Some(entry) = self.value.take() else { return Err(de::Error::custom("a key has no value")) };
        seed.deserialize(At(&entry.value)).map_err(|refusal| refusal.below(&entry.key, entry.value.place))
    }
}
