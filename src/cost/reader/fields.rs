//! The values of a catalogue. Pure.

use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::cost::capacity::MAX_USERS;
use crate::cost::money::Currency;
use crate::document::Field;
use crate::stack::values::ByteSize;

/// More is a slip of the pen; the bound keeps every product within its type.
const MAX_PRICE: u64 = 1_000_000;
/// More units of anything are a slip of the pen.
const MAX_COUNT: u64 = MAX_USERS;

pub(super) fn count(field: &Field<'_>) -> Result<u64, String> {
    field.whole(0..=MAX_COUNT)
}

pub(super) fn positive(field: &Field<'_>) -> Result<u64, String> {
    field.whole(1..=MAX_COUNT)
}

pub(super) fn money(field: &Field<'_>) -> Result<Decimal, String> {
    let amount = Decimal::from_str_exact(&field.text()?).ok();
    let amount = amount.filter(|amount| !amount.is_sign_negative() && *amount <= MAX_PRICE.into());
    amount.ok_or_else(|| field.node.expected(&format!("an amount between 0 and {MAX_PRICE}")))
}

pub(super) fn memory(field: &Field<'_>) -> Result<ByteSize, String> {
    let size: ByteSize = field.parse()?;
    if size.0 == 0 { Err(field.node.expected("a size above 0")) } else { Ok(size) }
}

/// A day up to `latest`: a price of a later one is a slip of the pen, and would never be called old.
pub(super) fn date(field: &Field<'_>, latest: Date) -> Result<Date, String> {
    let wrong = |_| field.node.expected("a date such as `2026-02-01`");
    let day: Date = field.text()?.parse().map_err(wrong)?;
    if day > latest { Err(format!("must not be in the future, got {day}")) } else { Ok(day) }
}

pub(super) fn currency(field: &Field<'_>) -> Result<Currency, String> {
    let code = field.text()?;
    let fits = code.len() == 3 && code.chars().all(|c| c.is_ascii_uppercase());
    if fits { Ok(Currency(code)) } else { Err(field.node.expected("a currency code such as `USD`")) }
}
