//! The typed values of a stack file: behind them there are no bare strings for names, sizes, durations or secrets.
//! Pure: no IO, no clock.

mod address;
mod app;
mod names;
mod quantities;
mod secret;

pub use address::{SecretKey, StoreAddress};
pub use app::{CommandLine, Egress, Health, Writable};
pub use names::{ImageRef, Name, StackId};
pub use quantities::{Amount, ByteSize, MilliCpu, Percent, Span};
pub use secret::Secret;

/// Reads and writes a type as the text that its `FromStr` and `Display` know.
macro_rules! scalar {
    ($($name:ty),*) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text: std::borrow::Cow<'de, str> = serde::Deserialize::deserialize(deserializer)?;
                let refused = |reason: String| $crate::document::refused(&reason, &text);
                text.parse().map_err(|reason| serde::de::Error::custom(refused(reason)))
            }
        }
    )*};
}

pub(crate) use scalar;

/// The same for one field, whose type is another crate's: `#[serde(with = "...")]`.
pub(crate) mod text {
    use std::borrow::Cow;
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err = String>,
        D: Deserializer<'de>,
    {
        let text: Cow<'de, str> = Deserialize::deserialize(deserializer)?;
        text.parse().map_err(|reason: String| de::Error::custom(crate::document::refused(&reason, &text)))
    }
}
