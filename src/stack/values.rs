//! The typed values of a stack file. After parsing nobody handles a bare string for a size, a time or a secret.
//! Pure: no IO, no clock.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rust_decimal::Decimal;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

/// A DNS label (RFC 1123): prefixes containers, volumes and the namespace.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(transparent)]
pub struct Name(#[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$"))] String);

impl Name {
    /// The label.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        // 40 leaves room for the suffixes that targets add within the 63 characters of a label.
        let fits = (1..=40).contains(&text.len()) && text.chars().all(inner);
        if fits && !text.starts_with('-') && !text.ends_with('-') {
            Ok(Self(text.to_owned()))
        } else {
            Err("a name is 1 to 40 lower-case letters, digits or `-`, not at either end".into())
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What tells a stack from others of its name: 8 to 40 lower-case letters and digits, made up at random.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(transparent)]
pub struct StackId(#[schemars(regex(pattern = r"^[a-z0-9]{8,40}$"))] String);

impl StackId {
    /// The identity of these random bytes: a letter first, so that no reader of YAML takes it for a number.
    pub fn of_bytes(bytes: [u8; 12]) -> Self {
        const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let digit = |(place, byte): (usize, u8)| {
            let count = if place == 0 { 26 } else { DIGITS.len() };
            DIGITS.get(usize::from(byte) % count).copied().map_or('a', char::from)
        };
        Self(bytes.into_iter().enumerate().map(digit).collect())
    }

    /// The identity.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StackId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        match (8..=40).contains(&text.len()) && text.chars().all(known) {
            true => Ok(Self(text.to_owned())),
            false => Err("an id is 8 to 40 lower-case letters or digits; `appforge init` makes one".into()),
        }
    }
}

impl fmt::Display for StackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `bundled` (the service inside this binary) or an image reference.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(transparent)]
pub struct ImageRef(String);

impl ImageRef {
    /// Whether the service inside this binary is meant.
    pub fn is_bundled(&self) -> bool {
        self.0 == "bundled"
    }
}

impl FromStr for ImageRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = |c: char| c.is_ascii_alphanumeric() || "./:@_-".contains(c);
        if !text.is_empty()
            && text.len() <= 255
            && text.chars().all(known)
            && !text.starts_with(['-', '/', ':'])
        {
            Ok(Self(text.to_owned()))
        } else {
            Err("an image is `bundled` or a reference such as `mongo:8.0`".into())
        }
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A number of bytes. `2GiB`, `2Gi` and `2048MiB` are the same; `2GB` is decimal; a bare number is bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(transparent)]
pub struct ByteSize(#[schemars(with = "String")] pub u64);

const UNITS: [(&str, u64); 12] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("Ti", 1 << 40),
    ("Gi", 1 << 30),
    ("Mi", 1 << 20),
    ("Ki", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (digits, factor) = UNITS
            .iter()
            .find_map(|(unit, factor)| text.strip_suffix(unit).map(|digits| (digits, *factor)))
            .unwrap_or((text, 1));
        let wrong = || "a size is a number with KiB, MiB, GiB or TiB, such as `256MiB`".to_owned();
        let number: u64 = digits.trim().parse().map_err(|_| wrong())?;
        number.checked_mul(factor).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = UNITS[..4].iter().find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor));
        match exact {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}B", self.0),
        }
    }
}

/// A length of time, such as `500ms`, `30s`, `15m`, `1h30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(transparent)]
pub struct Span(#[schemars(with = "String")] pub Duration);

impl Span {
    /// Whole milliseconds.
    pub fn millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a duration is a number with ms, s, m or h, such as `500ms` or `15m`".to_owned();
        let parsed: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
        Duration::try_from(parsed).map(Self).map_err(|_| wrong())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        match millis {
            0 => f.write_str("0s"),
            _ if millis.is_multiple_of(3_600_000) => write!(f, "{}h", millis / 3_600_000),
            _ if millis.is_multiple_of(60_000) => write!(f, "{}m", millis / 60_000),
            _ if millis.is_multiple_of(1_000) => write!(f, "{}s", millis / 1_000),
            _ => write!(f, "{millis}ms"),
        }
    }
}

/// A share of 100: `70`, `70%` and `0.5%`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, JsonSchema)]
#[schemars(transparent)]
pub struct Percent(#[schemars(with = "String")] pub f64);

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('%').unwrap_or(text).trim().parse::<f64>();
        number
            .ok()
            .filter(|value| (0.0..=100.0).contains(value))
            .map(Self)
            .ok_or_else(|| "a share is a number from 0 to 100, such as `70` or `1%`".to_owned())
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// A number that must stay exact, such as money or a factor: read from a number or a text, written as a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(pub Decimal);

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "an amount is a number from 0 up, such as `5` or `99.50`".to_owned();
        let number = Decimal::from_str_exact(text.trim()).map_err(|_| wrong())?;
        if number.is_sign_negative() && !number.is_zero() { Err(wrong()) } else { Ok(Self(number)) }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.normalize(), f)
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["number", "string"] })
    }

    fn inline_schema() -> bool {
        true
    }
}

/// Thousandths of a CPU: `500m` is half a CPU, `2` is two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(transparent)]
pub struct MilliCpu(#[schemars(with = "String")] pub u32);

impl FromStr for MilliCpu {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let millis = match text.strip_suffix('m') {
            Some(digits) => digits.parse::<u32>().ok(),
            None => {
                text.parse::<f64>().ok().map(|cpus| cpus * 1000.0).filter(|m| *m <= 1e6).map(|m| m as u32)
            }
        };
        millis.filter(|m| *m > 0).map(Self).ok_or_else(|| "a CPU share is such as `500m` or `2`".to_owned())
    }
}

impl fmt::Display for MilliCpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 1000 {
            0 => write!(f, "{}", self.0 / 1000),
            _ => write!(f, "{}m", self.0),
        }
    }
}

/// A text that is never shown: neither `Debug`, `Display` nor serialization reveals it.
#[derive(Clone, PartialEq, Eq, JsonSchema)]
#[schemars(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that hands it on.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A scalar as YAML or JSON gives it, before one of the types above reads it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Whole(u64),
    Real(f64),
}

/// The text of a single value, whatever YAML took it for.
pub(crate) fn scalar_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match Scalar::deserialize(deserializer) {
        Ok(Scalar::Text(text)) => Ok(text),
        Ok(Scalar::Whole(number)) => Ok(number.to_string()),
        Ok(Scalar::Real(number)) => Ok(number.to_string()),
        Err(_) => Err(serde::de::Error::custom("expected a single value")),
    }
}

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
                let text = $crate::stack::values::scalar_text(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

pub(crate) use scalar;

scalar!(Name, StackId, ImageRef, ByteSize, Span, Percent, Amount, MilliCpu, Secret);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn same<T: FromStr<Err = String> + fmt::Display>(input: &str, shown: &str) {
        let value = input.parse::<T>().unwrap_or_else(|error| panic!("{input}: {error}"));
        assert_eq!(value.to_string(), shown);
    }

    #[track_caller]
    fn wrong<T: FromStr<Err = String> + fmt::Debug>(input: &str) {
        input.parse::<T>().expect_err(input);
    }

    #[test]
    fn sizes_are_binary_unless_they_say_otherwise() {
        same::<ByteSize>("2GiB", "2GiB");
        same::<ByteSize>("2Gi", "2GiB");
        same::<ByteSize>("1024MiB", "1GiB");
        same::<ByteSize>("2GB", "1953125KiB");
        same::<ByteSize>("17", "17B");
        wrong::<ByteSize>("2 apples");
        wrong::<ByteSize>("-1MiB");
        wrong::<ByteSize>("99999999999TiB");
    }

    #[test]
    fn durations_read_and_print_alike() {
        same::<Span>("15m", "15m");
        same::<Span>("90s", "90s");
        same::<Span>("1h30m", "90m");
        same::<Span>("500ms", "500ms");
        wrong::<Span>("15");
        wrong::<Span>("soon");
        wrong::<Span>("-3s");
    }

    #[test]
    fn names_are_dns_labels() {
        same::<Name>("appforge", "appforge");
        for bad in ["", "-a", "a-", "App", "a_b", "a.b", &"x".repeat(41)] {
            wrong::<Name>(bad);
        }
    }

    #[test]
    fn ids_are_plain_and_start_with_a_letter() {
        for bytes in [[0; 12], [255; 12], [31; 12]] {
            let id = StackId::of_bytes(bytes);
            assert!(id.as_str().starts_with(|c: char| c.is_ascii_lowercase()), "{id}");
            assert_eq!(id.as_str().parse(), Ok(id.clone()));
        }
        for bad in ["", "short", "UPPERCASE", "with-dash", &"x".repeat(41)] {
            wrong::<StackId>(bad);
        }
    }

    #[test]
    fn shares_and_cpus() {
        same::<Percent>("1%", "1%");
        same::<Percent>("70", "70%");
        wrong::<Percent>("101");
        same::<MilliCpu>("500m", "500m");
        same::<MilliCpu>("0.5", "500m");
        same::<MilliCpu>("2", "2");
        wrong::<MilliCpu>("0");
    }

    #[test]
    fn amounts_stay_exact() {
        same::<Amount>("0.10", "0.1");
        same::<Amount>("5", "5");
        for bad in ["-1", "1e12", "NaN", "", "1 000"] {
            wrong::<Amount>(bad);
        }
        assert_eq!(serde_json::from_str::<Amount>("0.3").unwrap().to_string(), "0.3");
    }

    #[test]
    fn a_secret_shows_itself_nowhere() {
        let secret = Secret::new("hunter2");
        let shown = format!("{secret} {secret:?} {}", serde_json::to_string(&secret).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
