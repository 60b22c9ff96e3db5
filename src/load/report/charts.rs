//! Line charts as inline SVG: no script, no font, no network.

use std::fmt::Write;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 24.0;

/// One line of a chart.
pub(super) struct Line<'a> {
    /// What the legend calls it.
    pub name: &'a str,
    /// A class of the style sheet, `a` to `d`.
    pub class: &'a str,
    /// `(seconds, value)`; a gap where there is no value.
    pub points: Vec<(f64, Option<f64>)>,
}

/// A chart from zero to the highest value; `shown` writes a value of the axis.
pub(super) fn chart(title: &str, lines: &[Line<'_>], shown: impl Fn(f64) -> String) -> String {
    let points = || lines.iter().flat_map(|line| &line.points);
    let end = points().map(|point| point.0).fold(0.0, f64::max).max(1e-9);
    let top = ceiling(points().filter_map(|point| point.1).fold(0.0, f64::max));
    let x = |t: f64| LEFT + t / end * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<figure><figcaption>{title}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">"
    );
    for step in 0..=4 {
        let value = top * f64::from(step) / 4.0;
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            y(value) + 4.0,
            shown(value),
            at = y(value),
        );
        let t = end * f64::from(step) / 4.0;
        let anchor = if step == 4 { "end" } else { "middle" };
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{t:.0} s</text>",
            x(t),
            HEIGHT - 6.0
        );
    }
    for line in lines {
        let mut path = String::new();
        let mut pen_down = false;
        for (t, value) in &line.points {
            if let Some(value) = value {
                let _ = write!(path, "{}{:.1} {:.1}", if pen_down { "L" } else { "M" }, x(*t), y(*value));
                // A single point between gaps would be invisible.
                if !pen_down {
                    path.push_str("h0.1");
                }
            }
            pen_down = value.is_some();
        }
        let _ = write!(svg, "<path class=\"{}\" d=\"{path}\"/>", line.class);
    }
    svg.push_str("</svg><p class=\"legend\">");
    for line in lines {
        let _ = write!(svg, "<span class=\"{}\">{}</span> ", line.class, line.name);
    }
    svg.push_str("</p></figure>");
    svg
}

/// The next 1, 2, 2.5, 4, 5, 8 or 10 of the same power of ten.
fn ceiling(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 2.5, 4.0, 5.0, 8.0, 10.0];
    steps.iter().map(|step| step * power).find(|top| *top >= value * 0.999_999).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_ends_at_a_round_number_above_the_highest_value() {
        for (value, top) in [(0.0, 1.0), (1.0, 1.0), (1.1, 2.0), (432.0, 500.0), (0.03, 0.04), (9.9, 10.0)] {
            assert!((ceiling(value) - top).abs() < 1e-9, "{value}: {}", ceiling(value));
        }
    }

    #[test]
    fn a_gap_lifts_the_pen_and_no_values_are_no_panic() {
        let points = vec![(1.0, Some(1.0)), (2.0, Some(1.0)), (3.0, None), (4.0, Some(1.0))];
        let svg = chart("x", &[Line { name: "p95", class: "a", points }], |value| value.to_string());
        assert_eq!(svg.matches('M').count(), 2, "{svg}");
        let empty =
            chart("x", &[Line { name: "p95", class: "a", points: vec![] }], |value| value.to_string());
        assert!(!empty.contains("NaN"), "{empty}");
    }
}
