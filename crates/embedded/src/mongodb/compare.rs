//! The order of BSON values, as MongoDB documents it: first by type, then by value. Pure.

use std::cmp::Ordering;

use bson::{Bson, Document};

/// A value with MongoDB's order.
#[derive(Clone, Debug)]
pub(super) struct Ordered(pub(super) Bson);

impl PartialEq for Ordered {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

/// Where the type of a value stands in the order.
pub(super) fn rank(value: &Bson) -> u8 {
    match value {
        Bson::MinKey => 0,
        Bson::Undefined | Bson::Null => 1,
        Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_) => 2,
        Bson::String(_) | Bson::Symbol(_) => 3,
        Bson::Document(_) => 4,
        Bson::Array(_) => 5,
        Bson::Binary(_) => 6,
        Bson::ObjectId(_) => 7,
        Bson::Boolean(_) => 8,
        Bson::DateTime(_) => 9,
        Bson::Timestamp(_) => 10,
        Bson::RegularExpression(_) => 11,
        Bson::DbPointer(_) => 12,
        Bson::JavaScriptCode(_) => 13,
        Bson::JavaScriptCodeWithScope(_) => 14,
        Bson::MaxKey => 15,
    }
}

/// The order of two values.
pub(super) fn compare(a: &Bson, b: &Bson) -> Ordering {
    let by_value = || match (a, b) {
        (Bson::String(a) | Bson::Symbol(a), Bson::String(b) | Bson::Symbol(b)) => a.cmp(b),
        (Bson::Document(a), Bson::Document(b)) => compare_documents(a, b),
        (Bson::Array(a), Bson::Array(b)) => {
            let pairs = a.iter().zip(b).map(|(a, b)| compare(a, b));
            pairs.into_iter().find(|order| order.is_ne()).unwrap_or(a.len().cmp(&b.len()))
        }
        (Bson::Binary(a), Bson::Binary(b)) => {
            let key = |binary: &bson::Binary| (binary.bytes.len(), u8::from(binary.subtype));
            key(a).cmp(&key(b)).then_with(|| a.bytes.cmp(&b.bytes))
        }
        (Bson::ObjectId(a), Bson::ObjectId(b)) => a.bytes().cmp(&b.bytes()),
        (Bson::Boolean(a), Bson::Boolean(b)) => a.cmp(b),
        (Bson::DateTime(a), Bson::DateTime(b)) => a.cmp(b),
        (Bson::Timestamp(a), Bson::Timestamp(b)) => (a.time, a.increment).cmp(&(b.time, b.increment)),
        _ => match (whole(a), whole(b)) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => match (real(a), real(b)) {
                // MongoDB puts NaN before all numbers.
                (Some(a), Some(b)) => a.partial_cmp(&b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan())),
                _ => a.to_string().cmp(&b.to_string()),
            },
        },
    };
    rank(a).cmp(&rank(b)).then_with(by_value)
}

fn compare_documents(a: &Document, b: &Document) -> Ordering {
    let fields = |(a_key, a): (&String, &Bson), (b_key, b): (&String, &Bson)| {
        rank(a).cmp(&rank(b)).then_with(|| a_key.cmp(b_key)).then_with(|| compare(a, b))
    };
    let pairs = a.iter().zip(b).map(|(a, b)| fields(a, b));
    pairs.into_iter().find(|order| order.is_ne()).unwrap_or(a.len().cmp(&b.len()))
}

fn whole(value: &Bson) -> Option<i64> {
    match value {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        _ => None,
    }
}

/// A number as a float; integers beyond 2^53 lose their last digits, which only matters against floats.
#[expect(clippy::cast_precision_loss, reason = "MongoDB compares floats with integers, too")]
pub(super) fn real(value: &Bson) -> Option<f64> {
    match value {
        Bson::Double(number) => Some(*number),
        Bson::Decimal128(number) => number.to_string().parse().ok(),
        _ => whole(value).map(|number| number as f64),
    }
}

/// A float without its fraction; beyond the range of `i64`, the nearest end of it.
#[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
pub(super) fn truncated(number: f64) -> i64 {
    number as i64
}

/// The sum of two numbers, in the widest of their types.
pub(super) fn add(a: &Bson, b: &Bson) -> Option<Bson> {
    match (a, b) {
        (Bson::Int32(a), Bson::Int32(b)) => Some(match a.checked_add(*b) {
            Some(sum) => Bson::Int32(sum),
            None => Bson::Int64(i64::from(*a) + i64::from(*b)),
        }),
        _ => match (whole(a), whole(b)) {
            (Some(a), Some(b)) => a.checked_add(b).map(Bson::Int64),
            _ => Some(Bson::Double(real(a)? + real(b)?)),
        },
    }
}

/// The product of two numbers, in the widest of their types.
pub(super) fn multiply(a: &Bson, b: &Bson) -> Option<Bson> {
    match (a, b) {
        (Bson::Int32(a), Bson::Int32(b)) => Some(match a.checked_mul(*b) {
            Some(product) => Bson::Int32(product),
            None => Bson::Int64(i64::from(*a) * i64::from(*b)),
        }),
        _ => match (whole(a), whole(b)) {
            (Some(a), Some(b)) => a.checked_mul(b).map(Bson::Int64),
            _ => Some(Bson::Double(real(a)? * real(b)?)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{bson, doc};

    #[test]
    fn values_are_ordered_by_type_then_by_value() {
        let ordered = [
            Bson::MinKey,
            Bson::Null,
            bson!(-1),
            bson!(1.5),
            Bson::Int64(2),
            bson!("10"),
            bson!("9"),
            bson!({"a": 1}),
            bson!([1]),
            bson!(false),
            Bson::MaxKey,
        ];
        for pair in ordered.windows(2) {
            assert_eq!(compare(&pair[0], &pair[1]), Ordering::Less, "{pair:?}");
        }
        assert!(compare(&bson!(1), &Bson::Int64(1)).is_eq() && compare(&bson!(1), &bson!(1.0)).is_eq());
        assert!(compare(&doc! {"a": 1, "b": 2}.into(), &doc! {"a": 1}.into()).is_gt());
        assert_eq!(add(&Bson::Int32(i32::MAX), &Bson::Int32(1)), Some(Bson::Int64(1 << 31)));
    }
}
