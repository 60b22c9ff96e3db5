//! Conversions between whole numbers and floats, which `as` would do without saying what is lost. Pure.

/// Exact up to 2^53, which no count or size here reaches; beyond that the nearest float.
#[expect(clippy::cast_precision_loss, reason = "the nearest float is what is meant")]
pub(crate) fn from_u64(number: u64) -> f64 {
    number as f64
}

/// As [`from_u64`].
#[expect(clippy::cast_precision_loss, reason = "the nearest float is what is meant")]
pub(crate) fn from_i64(number: i64) -> f64 {
    number as f64
}

/// As [`from_u64`].
pub(crate) fn from_usize(number: usize) -> f64 {
    from_u64(number as u64)
}

/// The whole part, within the bounds of the type: 0 for negative numbers and NaN, the highest number for what exceeds
/// it. Callers round first where they want another whole number than the one towards zero.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a float saturates")]
pub(crate) fn to_u64(number: f64) -> u64 {
    number as u64
}

/// As [`to_u64`].
pub(crate) fn to_u32(number: f64) -> u32 {
    u32::try_from(to_u64(number)).unwrap_or(u32::MAX)
}

/// As [`to_u64`].
pub(crate) fn to_usize(number: f64) -> usize {
    usize::try_from(to_u64(number)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn float_saturates_when_out_of_range() {
        assert_eq!([f64::NAN, -1.0, 0.9, 1.9].map(to_u64), [0, 0, 0, 1]);
        assert_eq!([f64::INFINITY, 1e20].map(to_u64), [u64::MAX; 2]);
        assert_eq!([f64::NEG_INFINITY, 7.0, 1e10].map(to_u32), [0, 7, u32::MAX]);
        assert_eq!([2.5, 1e20].map(to_usize), [2, usize::MAX]);
    }

    #[test]
    fn whole_number_is_exact_below_two_to_the_53() {
        let most = (1 << 53) - 1;
        assert_eq!(to_u64(from_u64(most)), most);
        assert_eq!(from_i64(-3), -3.0);
        assert_eq!(from_usize(3), 3.0);
    }
}
