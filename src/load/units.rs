//! Numbers of a run, rounded for programs and written for people. Pure.

use std::time::Duration;

/// Milliseconds, to the microsecond.
pub(crate) fn in_ms(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64() * 1e3)
}

/// Six digits after the point: microseconds of a second, nanoseconds of a millisecond.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// Milliseconds for people, with three digits that count.
pub(crate) fn ms(value: f64) -> String {
    match value {
        v if v >= 10_000.0 => format!("{:.1} s", v / 1e3),
        v if v >= 1_000.0 => format!("{:.2} s", v / 1e3),
        v if v >= 100.0 => format!("{v:.0} ms"),
        v if v >= 10.0 => format!("{v:.1} ms"),
        v if v >= 1.0 => format!("{v:.2} ms"),
        v => format!("{:.0} µs", v * 1e3),
    }
}

/// A share (0 to 1) for people.
pub(crate) fn percent(value: f64) -> String {
    match value * 100.0 {
        v if v == v.round() => format!("{v:.0} %"),
        v if v >= 10.0 => format!("{v:.1} %"),
        v if v >= 0.01 => format!("{v:.2} %"),
        v => format!("{v:.4} %"),
    }
}

/// A number of bytes for people.
pub(crate) fn bytes(value: f64) -> String {
    match value {
        v if v >= 1e9 => format!("{:.2} GB", v / 1e9),
        v if v >= 1e6 => format!("{:.2} MB", v / 1e6),
        v if v >= 1e3 => format!("{:.1} kB", v / 1e3),
        v => format!("{v:.0} B"),
    }
}
