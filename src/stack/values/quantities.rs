//! Quantities: sizes, durations, shares, amounts, CPUs. Pure.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rust_decimal::Decimal;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::float;
use crate::stack::values::scalar;

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
        let wrong = || "expected a size such as `512Mi` or `2GiB`".to_owned();
        let number: u64 = digits.trim().parse().map_err(|_| wrong())?;
        // Kubernetes counts bytes in 63 bits.
        let size = number.checked_mul(factor).filter(|size| i64::try_from(*size).is_ok());
        size.map(Self).ok_or_else(wrong)
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

/// A length of time, such as `500ms`, `30s`, `15m`, `1h30m`, `15d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(transparent)]
pub struct Span(#[schemars(with = "String")] pub Duration);

impl Span {
    pub(crate) const fn of_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    pub(crate) const fn of_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// Whole milliseconds.
    pub fn millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected a duration such as `500ms` or `10m`".to_owned();
        // Days have no fixed length for jiff, whose words the rest are.
        if let Some(days) = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok()) {
            return Ok(Self::of_secs(u64::from(days) * 24 * 3600));
        }
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
            .ok_or_else(|| "expected a percentage from 0 to 100, such as `70` or `1%`".to_owned())
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
        let wrong = || "expected an amount from 0 up, such as `5` or `99.50`".to_owned();
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

/// More than any machine has.
const MOST_MILLIS: u32 = 1_000_000;

impl FromStr for MilliCpu {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let millis = match text.strip_suffix('m') {
            Some(digits) => digits.parse::<u64>().ok().map(float::from_u64),
            None => text.parse::<f64>().ok().map(|cpus| cpus * 1000.0),
        };
        match millis {
            Some(millis) if millis > f64::from(MOST_MILLIS) => Err("must be at most 1000 CPUs".to_owned()),
            // Below the limit no digit is lost.
            Some(millis) if millis >= 1.0 => Ok(Self(float::to_u32(millis))),
            _ => Err("expected a CPU quantity such as `500m` or `2`".to_owned()),
        }
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

scalar!(ByteSize, Span, Percent, Amount, MilliCpu);

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
        wrong::<ByteSize>("9223372036854775808");
    }

    #[test]
    fn durations_read_and_print_alike() {
        same::<Span>("15m", "15m");
        same::<Span>("90s", "90s");
        same::<Span>("1h30m", "90m");
        same::<Span>("500ms", "500ms");
        same::<Span>("15d", "360h");
        wrong::<Span>("15");
        wrong::<Span>("soon");
        wrong::<Span>("-3s");
    }

    #[test]
    fn shares_and_cpus() {
        same::<Percent>("1%", "1%");
        same::<Percent>("70", "70%");
        wrong::<Percent>("101");
        same::<MilliCpu>("500m", "500m");
        same::<MilliCpu>("0.5", "500m");
        same::<MilliCpu>("2", "2");
        for bad in ["0", "0m", "0.0001", "-1", "NaN", "inf", "1001", "1000001m", "4000000000m"] {
            wrong::<MilliCpu>(bad);
        }
    }

    #[test]
    fn amounts_stay_exact() {
        same::<Amount>("0.10", "0.1");
        same::<Amount>("5", "5");
        for bad in ["-1", "1e12", "NaN", "", "1 000"] {
            wrong::<Amount>(bad);
        }
        for written in ["0.3", "99.50", "0.1000000000000000000001"] {
            let node = crate::document::parse_value(written).unwrap();
            let amount: Amount = crate::document::deserialize(&node).unwrap();
            assert_eq!(amount, written.parse().unwrap());
        }
    }
}
