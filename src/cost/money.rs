//! Amounts of money: decimal, as a range from low to high. Pure.

use std::fmt;

use rust_decimal::{Decimal, RoundingStrategy};
use serde::ser::{Serialize, SerializeStruct, Serializer};

/// Money a month, or a price: at least `low`, at most `high`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// The low end.
    pub low: Decimal,
    /// The high end.
    pub high: Decimal,
}

impl Range {
    /// From one end to the other.
    pub fn new(low: Decimal, high: Decimal) -> Self {
        Self { low, high }
    }

    /// This for each of `count` units.
    pub fn times(self, count: u64) -> Self {
        self.map(|amount| amount.saturating_mul(count.into()))
    }

    /// Both ends of both added.
    pub fn plus(self, other: Self) -> Self {
        Self::new(self.low.saturating_add(other.low), self.high.saturating_add(other.high))
    }

    /// Both ends of `other` taken away: what a change adds, below zero when it saves.
    pub fn minus(self, other: Self) -> Self {
        Self::new(self.low.saturating_sub(other.low), self.high.saturating_sub(other.high))
    }

    /// Rounded to cents, a half upwards.
    pub fn cents(self) -> Self {
        self.map(|amount| amount.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero))
    }

    /// Both ends through `change`.
    pub fn map(self, change: impl Fn(Decimal) -> Decimal) -> Self {
        Self::new(change(self.low), change(self.high))
    }

    /// Whether it is nothing at all.
    pub fn is_zero(self) -> bool {
        self.low.is_zero() && self.high.is_zero()
    }
}

impl Serialize for Range {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Range", 2)?;
        fields.serialize_field("low", &plain(self.low))?;
        fields.serialize_field("high", &plain(self.high))?;
        fields.end()
    }
}

/// A currency by its ISO 4217 code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Currency(pub String);

impl Currency {
    /// An amount for people: `$1,210`, `€6.49`, `CHF 12`.
    pub fn amount(&self, amount: Decimal) -> String {
        let sign = if amount.is_sign_negative() && !amount.is_zero() { "-" } else { "" };
        format!("{sign}{}{}", self.mark(), grouped(amount.abs()))
    }

    /// A range for people: `$277-457`, or one amount when both ends are the same.
    pub fn range(&self, range: Range) -> String {
        if range.low == range.high {
            return self.amount(range.low);
        }
        format!("{}-{}", self.amount(range.low), grouped(range.high))
    }

    /// A difference for people: `+$633 to +$753`, `-$20`, or `no change`.
    pub fn change(&self, range: Range) -> String {
        let signed = |amount: Decimal| {
            let sign = if amount.is_sign_negative() || amount.is_zero() { "" } else { "+" };
            format!("{sign}{}", self.amount(amount))
        };
        match (range.is_zero(), range.low == range.high) {
            (true, _) => "no change".to_owned(),
            (_, true) => signed(range.low),
            _ => format!("{} to {}", signed(range.low), signed(range.high)),
        }
    }

    fn mark(&self) -> String {
        match self.0.as_str() {
            "USD" => "$".to_owned(),
            "EUR" => "€".to_owned(),
            "GBP" => "£".to_owned(),
            code => format!("{code} "),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An amount for machines: no grouping, no cents when it is whole, otherwise two places or more.
pub fn plain(amount: Decimal) -> String {
    let mut amount = amount.normalize();
    if amount.scale() == 1 {
        amount.rescale(2);
    }
    amount.to_string()
}

/// A number for people: `1,210`, `27.70`.
pub fn grouped(number: Decimal) -> String {
    let text = plain(number);
    let (sign, text) = text.strip_prefix('-').map_or(("", text.as_str()), |rest| ("-", rest));
    let (whole, rest) = text.split_once('.').map_or((text, String::new()), |(w, r)| (w, format!(".{r}")));
    let mut digits = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            digits.push(',');
        }
        digits.push(digit);
    }
    format!("{sign}{digits}{rest}")
}

/// A whole number for people: `15,000`.
pub fn count(number: u64) -> String {
    grouped(number.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn amounts_are_shown_as_people_write_them() {
        let dollars = Currency("USD".into());
        assert_eq!(dollars.amount(decimal("1210")), "$1,210");
        assert_eq!(dollars.amount(decimal("-1210.5")), "-$1,210.50");
        assert_eq!(dollars.range(Range::new(decimal("277"), decimal("457.00"))), "$277-457");
        assert_eq!(dollars.range(Range::new(decimal("57.0"), decimal("57"))), "$57");
        assert_eq!(dollars.change(Range::new(decimal("-4"), decimal("12"))), "-$4 to +$12");
        assert_eq!(Currency("CHF".into()).amount(decimal("7")), "CHF 7");
        assert_eq!(count(1_000_000), "1,000,000");
    }

    #[test]
    fn machines_get_decimal_text() {
        let range = Range::new(decimal("277.00"), decimal("27.7"));
        assert_eq!(serde_json::to_string(&range).unwrap(), r#"{"low":"277","high":"27.70"}"#);
        assert_eq!(plain(decimal("0.085")), "0.085");
    }

    #[test]
    fn nothing_overflows() {
        let much = Range::new(Decimal::MAX, Decimal::MAX);
        assert_eq!(much.times(u64::MAX).plus(much).cents(), much);
    }
}
