//! What a verification found, for people, programs and CI.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::markup::escape;
use crate::output::table;

/// The outcome of all checks.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whether no check failed.
    pub passed: bool,
    /// The checks, in order.
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// How it went.
    pub verdict: Verdict,
    /// What the file says.
    pub expected: String,
    /// What was seen.
    pub observed: String,
    /// The numbers behind it.
    pub evidence: Map<String, Value>,
    /// How long it took.
    pub duration_ms: u64,
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As the file says.
    Pass,
    /// Not as the file says.
    Fail,
    /// It does not apply here.
    Skip,
}

/// A check before it has a name.
pub(super) struct Finding {
    verdict: Verdict,
    expected: String,
    observed: String,
    evidence: Map<String, Value>,
}

impl Finding {
    /// Passed or failed, as `good` says.
    pub(super) fn of(good: bool, expected: impl Into<String>, observed: impl Into<String>) -> Self {
        let verdict = if good { Verdict::Pass } else { Verdict::Fail };
        Self { verdict, expected: expected.into(), observed: observed.into(), evidence: Map::new() }
    }

    pub(super) fn failed(expected: impl Into<String>, observed: impl Into<String>) -> Self {
        Self::of(false, expected, observed)
    }

    /// It does not apply, and why.
    pub(super) fn skipped(why: impl Into<String>) -> Self {
        Self { verdict: Verdict::Skip, expected: String::new(), observed: why.into(), evidence: Map::new() }
    }

    /// Adds a number behind it.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.evidence.insert(name.to_owned(), value.into());
        self
    }

    pub(super) fn check(self, name: &str, took: Duration) -> Check {
        Check {
            name: name.to_owned(),
            verdict: self.verdict,
            expected: self.expected,
            observed: self.observed,
            evidence: self.evidence,
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl Report {
    pub(super) fn new(checks: Vec<Check>) -> Self {
        Self { passed: checks.iter().all(|check| check.verdict != Verdict::Fail), checks }
    }

    /// Adds a check.
    pub fn push(&mut self, check: Check) {
        self.passed &= check.verdict != Verdict::Fail;
        self.checks.push(check);
    }

    /// For people.
    pub fn text(&self) -> String {
        let rows = self.checks.iter().map(|check| {
            let mark = match check.verdict {
                Verdict::Pass => "pass",
                Verdict::Fail => "FAIL",
                Verdict::Skip => "skip",
            };
            let took = format!("{}ms", check.duration_ms);
            vec![mark.to_owned(), check.name.clone(), check.expected.clone(), check.observed.clone(), took]
        });
        let count = |verdict| self.checks.iter().filter(|check| check.verdict == verdict).count();
        let sum = match (count(Verdict::Fail), count(Verdict::Pass), count(Verdict::Skip)) {
            (0, 1, 0) => "1 check passed\n".to_owned(),
            (0, passed, 0) => format!("all {passed} checks passed\n"),
            (0, passed, skipped) => {
                format!("{passed} of {} checks passed, {skipped} skipped\n", self.checks.len())
            }
            (failed, ..) => format!("{failed} of {} checks failed\n", self.checks.len()),
        };
        table(&["", "check", "expected", "observed", "took"], rows.collect()) + "\n" + &sum
    }

    /// JUnit XML.
    pub fn junit(&self) -> String {
        let failed = self.checks.iter().filter(|check| check.verdict == Verdict::Fail).count();
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let tests = self.checks.len();
        text.push_str(&format!(
            "<testsuite name=\"appforge verify\" tests=\"{tests}\" failures=\"{failed}\">\n"
        ));
        for check in &self.checks {
            let seconds = Duration::from_millis(check.duration_ms).as_secs_f64();
            let name = escape(&check.name);
            text.push_str(&format!(
                "  <testcase classname=\"appforge.verify\" name=\"{name}\" time=\"{seconds:.3}\">"
            ));
            match check.verdict {
                Verdict::Pass => {}
                Verdict::Skip => text.push_str("<skipped/>"),
                Verdict::Fail => {
                    let message =
                        escape(&format!("expected {}, observed {}", check.expected, check.observed));
                    text.push_str(&format!("<failure message=\"{message}\"/>"));
                }
            }
            text.push_str("</testcase>\n");
        }
        text.push_str("</testsuite>\n");
        text
    }
}

/// How long one check may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs one check; what goes wrong on the way is a failed check with its reason.
pub(super) async fn judged(name: &str, check: impl Future<Output = Result<Finding>>) -> Check {
    let began = Instant::now();
    let finding = match tokio::time::timeout(LIMIT, check).await {
        Ok(Ok(finding)) => finding,
        Ok(Err(error)) => Finding::failed("an answer", format!("{error:#}")),
        Err(_) => Finding::failed("an answer", format!("none within {}s", LIMIT.as_secs())),
    };
    finding.check(name, began.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn junit_is_xml_whatever_was_observed() {
        let check =
            Finding::failed("a < b", "\"c\" & d\u{7}").check("rate-limit", Duration::from_millis(1500));
        let report = Report::new(vec![check]);
        assert!(!report.passed);
        assert_eq!(
            report.junit(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <testsuite name=\"appforge verify\" tests=\"1\" failures=\"1\">\n  \
             <testcase classname=\"appforge.verify\" name=\"rate-limit\" time=\"1.500\">\
             <failure message=\"expected a &lt; b, observed &quot;c&quot; &amp; d\"/></testcase>\n\
             </testsuite>\n"
        );
    }
}
