//! Cost over users from 100 to 1,000,000 a day, both on logarithmic scales: for a terminal, and as SVG. Pure.
//!
//! Amounts stay decimal; only the places of points on the page are floating.

use jiff::civil::Date;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::cost::catalogue::Catalogue;
use crate::cost::model::Inputs;
use crate::cost::money::{Currency, Range};
use crate::cost::pricing::estimate;
use crate::float;
use crate::markup::escape;

/// The first number of users.
pub const FROM: u64 = 100;
/// The last number of users.
pub const TO: u64 = 1_000_000;
/// Powers of ten between the two.
const DECADES: f64 = 4.0;

/// The cost of one number of users.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Users a day.
    pub users: u64,
    /// The tier that holds them.
    pub tier: String,
    /// A month.
    pub total: Range,
    /// Whether the tier grows by rule here, beyond what was measured.
    pub extrapolated: bool,
}

/// The costs of `count` numbers of users (2 or more), evenly spread on a logarithmic scale.
pub fn points(catalogue: &Catalogue, inputs: &Inputs, today: Date, count: usize) -> Vec<Point> {
    (0..count)
        .map(|at| {
            let share = float::from_usize(at) / float::from_usize(count - 1);
            let users = float::to_u64((float::from_u64(FROM) * 10f64.powf(DECADES * share)).round());
            let found = estimate(catalogue, inputs, users, today);
            Point {
                users,
                extrapolated: found.tier.measured_to.is_some_and(|most| users > most),
                tier: found.tier.name,
                total: found.total,
            }
        })
        .collect()
}

/// The vertical scale: whole powers of ten around all amounts.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    fn of(points: &[Point], budget: Option<Decimal>) -> Self {
        let amounts = || points.iter().flat_map(|point| [point.total.low, point.total.high]).chain(budget);
        let low = amounts().map(log).fold(f64::INFINITY, f64::min).floor();
        let high = amounts().map(log).fold(f64::NEG_INFINITY, f64::max).ceil();
        Self { low, high: high.max(low + 1.0) }
    }

    /// From 0 at the bottom to 1 at the top.
    fn share(&self, amount: Decimal) -> f64 {
        ((log(amount) - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// The powers of ten, from the bottom.
    fn marks(&self) -> Vec<(f64, Decimal)> {
        let decades = float::to_u32(self.high - self.low);
        (0..=decades)
            .map(|at| {
                let power = float::to_u32(self.low) + at;
                let amount = (0..power).fold(Decimal::ONE, |amount, _| amount.saturating_mul(Decimal::TEN));
                (f64::from(at) / f64::from(decades), amount)
            })
            .collect()
    }
}

/// The decimal logarithm; amounts below 1 count as 1, so that free has a place.
fn log(amount: Decimal) -> f64 {
    amount.to_f64().unwrap_or(1.0).max(1.0).log10()
}

/// Columns of the plot: 16 for each power of ten, and the last.
const COLUMNS: usize = 65;
/// Rows of the plot, from the middle of the lowest mark to that of the highest.
const ROWS: usize = 17;

/// The chart for a terminal. `budget` is drawn as a line.
pub fn text(catalogue: &Catalogue, inputs: &Inputs, today: Date, budget: Option<Decimal>) -> String {
    let points = points(catalogue, inputs, today, COLUMNS);
    let scale = Scale::of(&points, budget);
    let row = |share: f64| float::to_usize((share * float::from_usize(ROWS - 1)).round());
    let row_of = |amount| row(scale.share(amount));
    let mut cells = vec![vec![' '; COLUMNS]; ROWS];
    if let Some(budget) = budget {
        cells[row_of(budget)] = vec!['-'; COLUMNS];
    }
    for (column, point) in points.iter().enumerate() {
        for line in cells.iter_mut().take(row_of(point.total.high) + 1).skip(row_of(point.total.low)) {
            line[column] = if point.extrapolated { '░' } else { '█' };
        }
    }
    let marks: Vec<(usize, String)> = scale
        .marks()
        .into_iter()
        .map(|(share, amount)| (row(share), catalogue.currency.amount(amount)))
        .collect();
    let width = marks.iter().map(|(_, label)| label.chars().count()).max().unwrap_or(0);
    let mut text = String::from("Cost a month over users a day, from the low to the high end\n\n");
    for (at, line) in cells.iter().enumerate().rev() {
        let label = marks.iter().find(|(mark, _)| *mark == at).map(|(_, label)| label.as_str());
        let axis = if label.is_some() { '┤' } else { '│' };
        let line: String = line.iter().collect();
        let line = format!("{:>width$} {axis}{line}", label.unwrap_or(""));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    let decade = "┬───────────────";
    text.push_str(&format!("{:>width$} └{}┬\n", "", decade.repeat(float::to_usize(DECADES))));
    let labels: String =
        ["100", "1,000", "10,000", "100,000"].iter().map(|label| format!("{label:<16}")).collect();
    text.push_str(&format!("{:>width$}  {labels}1,000,000\n\n", ""));
    text.push_str(&legend(catalogue, budget, &catalogue.currency));
    text
}

fn legend(catalogue: &Catalogue, budget: Option<Decimal>, currency: &Currency) -> String {
    let tiers: Vec<String> = catalogue
        .tiers
        .iter()
        .map(|tier| match tier.up_to {
            Some(most) => format!("{} up to {}", tier.name, crate::cost::money::count(most)),
            None => format!("then {}", tier.name),
        })
        .collect();
    let mut text = format!("  █ {}\n", tiers.join(", "));
    if let Some(most) = catalogue.tiers.last().and_then(|tier| tier.measured_to) {
        text.push_str(&format!("  ░ beyond {}, extrapolated\n", crate::cost::money::count(most)));
    }
    if let Some(budget) = budget {
        text.push_str(&format!("  - the budget, {}\n", currency.amount(budget)));
    }
    text
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 60.0;
/// Points of the drawn curve: enough that a step between tiers looks like one.
const SAMPLES: usize = 401;

/// The chart as one SVG document, without references to anything outside.
pub fn svg(catalogue: &Catalogue, inputs: &Inputs, today: Date, budget: Option<Decimal>) -> String {
    let points = points(catalogue, inputs, today, SAMPLES);
    let scale = Scale::of(&points, budget);
    let y = |amount| TOP + (1.0 - scale.share(amount)) * (HEIGHT - TOP - BOTTOM);
    let x = |users: u64| {
        let share = (float::from_u64(users) / float::from_u64(FROM)).log10() / DECADES;
        LEFT + share * (WIDTH - LEFT - RIGHT)
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\">\n\
         <title>Cost a month over users a day</title>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"26\" font-size=\"16\" fill=\"#1f2328\">Cost a month over users a day</text>\n"
    );
    for (_, amount) in scale.marks() {
        let (at, label) = (y(amount), escape(&catalogue.currency.amount(amount)));
        svg.push_str(&format!(
            "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{:.1}\" y2=\"{at:.1}\" stroke=\"#d8dee4\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#57606a\">{label}</text>\n",
            WIDTH - RIGHT,
            LEFT - 8.0,
            at + 4.0
        ));
    }
    for users in [100u64, 1_000, 10_000, 100_000, 1_000_000] {
        svg.push_str(&format!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#57606a\">{}</text>\n",
            x(users).min(WIDTH - RIGHT - 30.0),
            HEIGHT - BOTTOM + 20.0,
            crate::cost::money::count(users)
        ));
    }
    for (measured, colour) in [(true, "#0969da"), (false, "#8c959f")] {
        let drawn: Vec<&Point> = points.iter().filter(|point| point.extrapolated != measured).collect();
        if drawn.is_empty() {
            continue;
        }
        let high = drawn.iter().map(|point| format!("{:.1},{:.1}", x(point.users), y(point.total.high)));
        let low = drawn.iter().rev().map(|point| format!("{:.1},{:.1}", x(point.users), y(point.total.low)));
        let outline: Vec<String> = high.chain(low).collect();
        svg.push_str(&format!(
            "<polygon points=\"{}\" fill=\"{colour}\" fill-opacity=\"0.25\" stroke=\"{colour}\"/>\n",
            outline.join(" ")
        ));
    }
    let mut bounds: Vec<(u64, String)> = catalogue
        .tiers
        .iter()
        .filter_map(|tier| {
            tier.up_to.map(|most| (most, format!("{} to {}", tier.name, crate::cost::money::count(most))))
        })
        .collect();
    let measured = catalogue.tiers.last().and_then(|tier| tier.measured_to);
    bounds.extend(measured.map(|most| (most, format!("measured to {}", crate::cost::money::count(most)))));
    // Bounds lie close together on this scale: each label stands lower than the one before.
    for (row, (users, label)) in bounds.iter().filter(|(users, _)| (FROM..=TO).contains(users)).enumerate() {
        let (at, label_at) = (x(*users), TOP + 14.0 + 16.0 * float::from_usize(row));
        svg.push_str(&format!(
            "<line x1=\"{at:.1}\" y1=\"{TOP}\" x2=\"{at:.1}\" y2=\"{:.1}\" stroke=\"#8c959f\" stroke-dasharray=\"3 3\"/>\
             <text x=\"{:.1}\" y=\"{label_at:.1}\" text-anchor=\"end\" fill=\"#57606a\">{}</text>\n",
            HEIGHT - BOTTOM,
            at - 4.0,
            escape(label)
        ));
    }
    if let Some(budget) = budget {
        let (at, label) = (y(budget), escape(&catalogue.currency.amount(budget)));
        svg.push_str(&format!(
            "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{:.1}\" y2=\"{at:.1}\" stroke=\"#cf222e\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#cf222e\">budget {label}</text>\n",
            WIDTH - RIGHT,
            WIDTH - RIGHT,
            at - 4.0
        ));
    }
    svg.push_str(&format!(
        "<text x=\"{LEFT}\" y=\"{:.1}\" fill=\"#57606a\">{}</text>\n</svg>\n",
        HEIGHT - 14.0,
        escape(&format!(
            "Low to high end; grey: extrapolated. Prices: {}, their age as of {today}",
            catalogue.title
        ))
    ));
    svg
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::Capacity;
    use crate::stack::Stack;

    fn inputs() -> Inputs {
        Inputs::new(&Stack::default(), Capacity::default())
    }

    #[test]
    fn points_go_from_the_first_to_the_last_and_never_fall() {
        let points = points(&Catalogue::builtin(), &inputs(), jiff::civil::date(2026, 3, 1), COLUMNS);
        assert_eq!((points[0].users, points[COLUMNS - 1].users), (FROM, TO));
        assert!(points.windows(2).all(|pair| pair[0].total.high <= pair[1].total.high));
    }

    #[test]
    fn the_drawing_is_well_formed_and_hides_nothing_behind_a_title() {
        let mut catalogue = Catalogue::builtin();
        catalogue.title = "<&\"evil>".into();
        let drawn = svg(&catalogue, &inputs(), jiff::civil::date(2026, 3, 1), Some(500.into()));
        assert!(drawn.contains("&lt;&amp;&quot;evil&gt;") && drawn.contains("budget $500"));
        assert_eq!(drawn.matches("<polygon").count(), 2);
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
    }

    #[test]
    fn prices_of_nothing_have_a_chart_too() {
        let mut catalogue = Catalogue::builtin();
        for item in catalogue.tiers.iter_mut().flat_map(|tier| &mut tier.items) {
            item.price = Range::default();
        }
        let drawn = text(&catalogue, &inputs(), jiff::civil::date(2026, 3, 1), None);
        assert!(drawn.contains("$1 ┤"), "{drawn}");
    }
}
