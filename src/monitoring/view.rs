//! What the page, `top`, `status` and `--once` show of a history: numbers for people, as JSON. Pure.

use serde::{Deserialize, Serialize};

use super::figures::{Field, Figures};
use super::history::{Event, History, STEP, Window};
use super::problems::Problem;
use super::reading::Reading;
use crate::targets::status::{Replicas, Status};

/// What "now" means: the mean of so many of the shortest intervals.
const NOW: u64 = 5;
/// So many intervals are shown beside a replica.
const SPARK: u64 = 60;

/// What is asked of a history, as the query of an address: `window=2h&since=850000000`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) window: Window,
    /// The number of the first interval that is of interest; 0 for all.
    pub(crate) since: u64,
}

impl Question {
    /// Reads a query; `None` when it is not one.
    pub(crate) fn parse(query: &str) -> Option<Self> {
        let mut question = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=')? {
                ("window", name) => {
                    question.window = Window::ALL.into_iter().find(|window| window.as_str() == name)?;
                }
                ("since", number) => question.since = number.parse().ok()?,
                _ => return None,
            }
        }
        Some(question)
    }

    /// The query.
    pub(crate) fn query(self) -> String {
        format!("window={}&since={}", self.window.as_str(), self.since)
    }
}

/// What is known of a stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct View {
    pub(crate) stack: String,
    pub(crate) target: String,
    /// Where the service answers; `None` while it is down.
    pub(crate) url: Option<String>,
    /// Milliseconds since 1970.
    pub(crate) now: u64,
    pub(crate) history: Origin,
    pub(crate) replicas: Replicas,
    pub(crate) problems: Vec<Problem>,
    /// The last 10 seconds; `None` when nothing answered.
    pub(crate) current: Option<Point>,
    pub(crate) rows: Vec<Row>,
    pub(crate) events: Vec<Event>,
    /// The window, its intervals in milliseconds and how many it holds.
    pub(crate) window: String,
    pub(crate) step: u64,
    pub(crate) room: usize,
    /// The number of the first of `points`: its time is this times `step`.
    pub(crate) first: u64,
    /// `None` is a gap: nothing answered.
    pub(crate) points: Vec<Option<Point>>,
}

/// Where a history comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// Who keeps it.
    pub(crate) kept_by: Keeper,
    /// Since when, in milliseconds since 1970.
    pub(crate) since: Option<u64>,
}

/// Who keeps a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Keeper {
    /// The supervisor of the local target, in a file.
    Supervisor,
    /// The command itself, as long as it runs.
    Monitor,
}

/// One interval. `None` is what was not reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    /// Requests per second.
    pub(crate) rate: Option<f64>,
    pub(crate) ok: Option<f64>,
    /// 429 per second.
    pub(crate) limited: Option<f64>,
    /// 5xx per second.
    pub(crate) failed: Option<f64>,
    /// Failures among the requests that were not refused, in percent.
    pub(crate) failed_share: Option<f64>,
    /// Refusals among all requests, in percent.
    pub(crate) limited_share: Option<f64>,
    /// Milliseconds.
    pub(crate) p50: Option<f64>,
    pub(crate) p95: Option<f64>,
    pub(crate) p99: Option<f64>,
    /// Replicas that count the limit by themselves, in percent.
    pub(crate) local: Option<f64>,
    pub(crate) pool_in_use: Option<f64>,
    pub(crate) pool_open: Option<f64>,
    pub(crate) pool_max: Option<f64>,
    /// Percent.
    pub(crate) cache_hits: Option<f64>,
    /// Cores.
    pub(crate) cpu: Option<f64>,
    /// Bytes.
    pub(crate) memory: Option<f64>,
    /// Replicas that answered.
    pub(crate) replicas: Option<f64>,
}

/// A replica now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) restarts: u32,
    /// Whether it reported its metrics last.
    pub(crate) answers: bool,
    /// `shared`, `local` or `off`; `None` when it does not answer.
    pub(crate) limit: Option<String>,
    pub(crate) current: Option<Point>,
    /// Requests per second in the last 2 minutes.
    pub(crate) spark: Vec<Option<f64>>,
}

impl Point {
    /// `None` for a gap.
    pub(super) fn of(figures: &Figures) -> Option<Self> {
        let percent = |share: Option<f64>| share.map(|share| share * 100.0);
        (!figures.is_gap()).then(|| {
            Self {
                rate: figures.requests(),
                ok: figures.rate(Field::Ok),
                limited: figures.rate(Field::Limited),
                failed: figures.rate(Field::Failed),
                failed_share: percent(figures.share(Field::Failed, &[Field::Ok])),
                limited_share: percent(figures.share(Field::Limited, &[Field::Ok, Field::Failed])),
                p50: figures.percentile(0.5),
                p95: figures.percentile(0.95),
                p99: figures.percentile(0.99),
                local: percent(figures.share(Field::Local, &[Field::Shared])),
                pool_in_use: figures.mean(Field::PoolInUse),
                pool_open: figures.mean(Field::PoolOpen),
                pool_max: figures.mean(Field::PoolMax),
                cache_hits: percent(figures.share(Field::Hits, &[Field::Misses])),
                cpu: figures.cpu(),
                memory: figures.mean(Field::Memory),
                replicas: figures.mean(Field::Replicas),
            }
            .rounded()
        })
    }

    /// Three decimals are what is shown, and what travels.
    fn rounded(mut self) -> Self {
        for number in [
            &mut self.rate,
            &mut self.ok,
            &mut self.limited,
            &mut self.failed,
            &mut self.failed_share,
            &mut self.limited_share,
            &mut self.p50,
            &mut self.p95,
            &mut self.p99,
            &mut self.local,
            &mut self.pool_in_use,
            &mut self.pool_open,
            &mut self.pool_max,
            &mut self.cache_hits,
            &mut self.cpu,
            &mut self.memory,
            &mut self.replicas,
        ] {
            *number = number.map(|number| (number * 1000.0).round() / 1000.0);
        }
        self
    }
}

/// What a view is made of.
pub(super) struct Known<'a> {
    pub(super) history: &'a History,
    pub(super) status: &'a Status,
    /// What each replica reported last.
    pub(super) readings: &'a [(String, Reading)],
    /// Replicas that were asked and did not answer.
    pub(super) silent: &'a [String],
    pub(super) kept_by: Keeper,
    pub(super) now: u64,
    pub(super) problems: Vec<Problem>,
}

impl Known<'_> {
    /// The answer to a question.
    pub(super) fn view(self, question: Question) -> View {
        let ring = self.history.ring(question.window);
        let (step, room) = question.window.shape();
        let first = ring.range().map_or(0, |(first, _)| first.max(question.since));
        let oldest = self.now.saturating_sub(step * room as u64);
        let status = self.status;
        View {
            stack: status.stack.clone(),
            target: status.target.clone(),
            url: status.url.clone(),
            now: self.now,
            history: Origin { kept_by: self.kept_by, since: self.history.since() },
            replicas: status.replicas,
            current: Point::of(&self.history.ring(Window::Minutes).sum_from(last_slots(self.now, NOW))),
            rows: self.rows(),
            events: self.history.events().filter(|event| event.at >= oldest).cloned().collect(),
            window: question.window.as_str().to_owned(),
            step,
            room,
            first,
            points: ring.from(first).map(|(_, figures)| Point::of(figures)).collect(),
            problems: self.problems,
        }
    }

    /// Those that answered, then those that did not.
    fn rows(&self) -> Vec<Row> {
        let answering = self.readings.iter().map(|(name, reading)| (name, Some(reading)));
        let mut names: Vec<(&String, Option<&Reading>)> =
            answering.chain(self.silent.iter().map(|name| (name, None))).collect();
        names.sort_by(|(one, _), (other, _)| natural(one).cmp(&natural(other)));
        names.into_iter().map(|(name, reading)| self.row(name, reading)).collect()
    }

    fn row(&self, name: &str, reading: Option<&Reading>) -> Row {
        let component = self.status.components.iter().find(|component| component.name == name);
        let ring = self.history.replica(name);
        let spark = ring.map(|ring| {
            let known = ring.from(last_slots(self.now, SPARK)).map(|(_, figures)| figures.requests());
            known.map(|rate| rate.map(|rate| (rate * 10.0).round() / 10.0)).collect()
        });
        let limit = reading.map(|reading| match reading.limit_shared {
            Some(true) => "shared",
            Some(false) => "local",
            None => "off",
        });
        Row {
            name: name.to_owned(),
            state: component.map_or("unknown", |component| component.state.as_str()).to_owned(),
            restarts: component.map_or(0, |component| component.restarts),
            answers: reading.is_some(),
            limit: limit.map(str::to_owned),
            current: ring.and_then(|ring| Point::of(&ring.sum_from(last_slots(self.now, NOW)))),
            spark: spark.unwrap_or_default(),
        }
    }
}

/// The number of the first of the last `count` of the shortest intervals.
pub(super) fn last_slots(now: u64, count: u64) -> u64 {
    (now / STEP).saturating_sub(count)
}

/// `service-2` comes before `service-10`.
fn natural(name: &str) -> (&str, u64, &str) {
    let digits = name.len() - name.bytes().rev().take_while(u8::is_ascii_digit).count();
    (&name[..digits], name[digits..].parse().unwrap_or_default(), name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_is_read_from_its_own_query_and_no_other() {
        for window in Window::ALL {
            let question = Question { window, since: 7 };
            assert_eq!(Question::parse(&question.query()), Some(question));
        }
        assert_eq!(Question::parse(""), Some(Question::default()));
        for query in ["window=1h", "since=-1", "since", "token=x", "since=99999999999999999999"] {
            assert_eq!(Question::parse(query), None, "{query}");
        }
    }

    #[test]
    fn replicas_are_in_the_order_of_their_numbers() {
        let mut names = ["service-10", "service-2", "front", "service-x", "12"];
        names.sort_by(|one, other| natural(one).cmp(&natural(other)));
        assert_eq!(names, ["12", "front", "service-2", "service-10", "service-x"]);
    }
}
