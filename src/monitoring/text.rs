//! A view as text for a terminal. Pure.

use std::fmt::Write as _;

use super::view::{Keeper, Point, Row, View};
use crate::output::table;

/// The bars of a sparkline, the lowest first.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Values of a sparkline beside the whole stack and beside a replica.
const WIDE: usize = 60;
const NARROW: usize = 20;

/// What is not known.
const NO_DATA: &str = "-";

/// The stack and its replicas now, and what is wrong.
pub(crate) fn now(view: &View) -> String {
    let mut text = format!("stack {} on {}", view.stack, view.target);
    match &view.url {
        Some(url) => {
            let _ = writeln!(
                text,
                " at {url}, {} of {} replicas ready",
                view.replicas.ready, view.replicas.desired
            );
        }
        None => text.push_str(" is down\n"),
    }
    text.push('\n');
    text.push_str(&replicas(view));
    text
}

/// What is wrong, and the replicas now; empty before the first reading.
pub(crate) fn replicas(view: &View) -> String {
    let mut text = problems(view);
    let rows = view.rows.iter().map(row).collect();
    let head =
        ["replica", "state", "requests", "p95", "failed", "cpu", "memory", "mongodb", "limit", "last 40 s"];
    if !view.rows.is_empty() {
        text.push_str(&table(&head, rows));
    }
    text
}

/// The same with the course of the last 2 minutes, for a terminal that is drawn again.
pub(crate) fn screen(view: &View) -> String {
    let mut text = now(view);
    let last = view.points.len().saturating_sub(WIDE);
    let course = |of: fn(&Point) -> Option<f64>| -> Vec<Option<f64>> {
        view.points.iter().skip(last).map(|point| point.as_ref().and_then(of)).collect()
    };
    let current = view.current.unwrap_or_default();
    let lines: [(&str, Vec<Option<f64>>, String); 5] = [
        ("requests", course(|point| point.rate), per_second(current.rate)),
        ("failed", course(|point| point.failed), per_second(current.failed)),
        ("refused", course(|point| point.limited), per_second(current.limited)),
        ("p95", course(|point| point.p95), millis(current.p95)),
        ("cpu", course(|point| point.cpu), cores(current.cpu)),
    ];
    text.push('\n');
    for (name, values, value) in lines {
        let _ = writeln!(text, "{name:<9} {} {value}", sparkline(&values, WIDE));
    }
    let kept = match view.history.kept_by {
        Keeper::Supervisor => "history kept by the supervisor",
        Keeper::Monitor => "measured since this command began",
    };
    let _ = write!(text, "\n{kept}; Ctrl-C ends\n");
    text
}

/// The problems, each with the next command; empty without any.
pub(crate) fn problems(view: &View) -> String {
    let mut text = String::new();
    for problem in &view.problems {
        let _ =
            writeln!(text, "{}: {}\n  hint: {}", problem.severity.as_str(), problem.text, problem.command);
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

fn row(row: &Row) -> Vec<String> {
    let current = row.current.unwrap_or_default();
    let pool = match (current.pool_in_use, current.pool_max) {
        (Some(in_use), Some(max)) => format!("{in_use:.0} of {max:.0}"),
        _ => NO_DATA.to_owned(),
    };
    vec![
        row.name.clone(),
        if row.answers { row.state.clone() } else { "no answer".to_owned() },
        per_second(current.rate),
        millis(current.p95),
        current.failed_share.map_or_else(no_data, |share| format!("{share:.1}%")),
        cores(current.cpu),
        current.memory.map_or_else(no_data, |bytes| format!("{:.0} MiB", bytes / f64::from(1 << 20))),
        pool,
        row.limit.clone().unwrap_or_else(no_data),
        sparkline(&row.spark, NARROW),
    ]
}

/// Requests per second.
pub(crate) fn per_second(value: Option<f64>) -> String {
    value.map_or_else(no_data, |value| format!("{value:.1}/s"))
}

/// Milliseconds.
pub(crate) fn millis(value: Option<f64>) -> String {
    value.map_or_else(no_data, |value| format!("{value:.1} ms"))
}

/// Cores.
pub(crate) fn cores(value: Option<f64>) -> String {
    value.map_or_else(no_data, |value| format!("{value:.2}"))
}

fn no_data() -> String {
    NO_DATA.to_owned()
}

/// The last `width` values, the latest at the right end; a gap is a blank.
fn sparkline(values: &[Option<f64>], width: usize) -> String {
    let values = &values[values.len().saturating_sub(width)..];
    let most = values.iter().flatten().copied().fold(0.0, f64::max);
    let bar = |value: f64| {
        let last = BARS.len() - 1;
        let height = if most > 0.0 { (value / most * crate::float::from_usize(last)).round() } else { 0.0 };
        BARS[crate::float::to_usize(height).min(last)]
    };
    let course: String = values.iter().map(|value| value.map_or(' ', bar)).collect();
    format!("{course:>width$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitoring::problems::{Problem, Severity};
    use crate::monitoring::view::Origin;
    use crate::targets::status::Replicas;

    fn sample() -> View {
        let current = Point {
            rate: Some(126.04),
            limited: Some(26.0),
            failed: Some(0.0),
            failed_share: Some(0.0),
            p95: Some(12.34),
            pool_in_use: Some(2.4),
            pool_max: Some(50.0),
            cpu: Some(0.126),
            memory: Some(36e6),
            ..Point::default()
        };
        let row = |name: &str, current: Option<Point>| Row {
            name: name.into(),
            state: "ready".into(),
            restarts: 0,
            answers: current.is_some(),
            limit: current.map(|_| "shared".to_owned()),
            current,
            spark: vec![Some(0.0), None, Some(126.0)],
        };
        View {
            stack: "shop".into(),
            target: "local".into(),
            url: Some("http://127.0.0.1:5000".into()),
            now: 0,
            history: Origin { kept_by: Keeper::Supervisor, since: None },
            replicas: Replicas { desired: 2, ready: 2 },
            problems: vec![Problem {
                severity: Severity::Warning,
                text: "service-2 does not answer".into(),
                command: "appforge logs service-2 --tail 50".into(),
                alert: None,
            }],
            current: Some(current),
            rows: vec![row("service-1", Some(current)), row("service-2", None)],
            events: Vec::new(),
            window: "15m".into(),
            step: 2000,
            room: 450,
            first: 0,
            points: vec![Some(Point::default()), None, Some(current)],
        }
    }

    #[test]
    fn view_is_shown_with_its_problems_first_and_no_number_for_what_is_not_known() {
        let expected = "\
stack shop on local at http://127.0.0.1:5000, 2 of 2 replicas ready

warning: service-2 does not answer
  hint: appforge logs service-2 --tail 50

REPLICA    STATE      REQUESTS  P95      FAILED  CPU   MEMORY  MONGODB  LIMIT   LAST 40 S
service-1  ready      126.0/s   12.3 ms  0.0%    0.13  34 MiB  2 of 50  shared                   ▁ █
service-2  no answer  -         -        -       -     -       -        -                        ▁ █

requests                                                             █ 126.0/s
failed                                                               ▁ 0.0/s
refused                                                              █ 26.0/s
p95                                                                  █ 12.3 ms
cpu                                                                  █ 0.13

history kept by the supervisor; Ctrl-C ends
";
        let shown: Vec<String> = screen(&sample()).lines().map(str::trim_end).map(str::to_owned).collect();
        assert_eq!(shown.join("\n") + "\n", expected);
        let down = View { url: None, rows: Vec::new(), problems: Vec::new(), ..sample() };
        assert_eq!(now(&down), "stack shop on local is down\n\n");
    }

    #[test]
    fn sparkline_rises_to_its_highest_and_leaves_gaps_blank() {
        let values = [Some(0.0), Some(7.0), None, Some(3.5), Some(7.0)];
        assert_eq!(sparkline(&values, 4), "█ ▅█");
        assert_eq!(sparkline(&values, 7), "  ▁█ ▅█");
        assert_eq!(sparkline(&[Some(0.0), None], 3), " ▁ ");
        assert_eq!(sparkline(&[], 2), "  ");
    }
}
