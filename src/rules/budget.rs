//! Requests that fail or take too long, measured against what the thresholds of the stack allow in 30 days.
//!
//! A refusal (429) is neither a success nor a failure: counted as a success, an attack would hide the failures of real users. Two
//! windows must both burn, the short one so that the alert ends soon after its cause. Ratios alone page over one of five requests
//! at night, so each alert has a floor.

use std::time::Duration;

use super::facts::{Facts, le, minutes, shown};
use super::rule::{Recording, Rule, Runbook, Severity};

/// Windows that ratios are recorded over.
const WINDOWS: [&str; 7] = ["5m", "30m", "1h", "2h", "6h", "1d", "3d"];

/// How fast a budget burns, over which windows, and what that is worth.
struct Burn {
    severity: Severity,
    /// Times the speed at which the budget lasts 30 days.
    factor: f64,
    long: &'static str,
    short: &'static str,
    hold: Duration,
}

const BURNS: [Burn; 4] = [
    Burn { severity: Severity::Critical, factor: 14.4, long: "1h", short: "5m", hold: minutes(2) },
    Burn { severity: Severity::Critical, factor: 6.0, long: "6h", short: "30m", hold: minutes(15) },
    Burn { severity: Severity::Warning, factor: 3.0, long: "1d", short: "2h", hold: minutes(60) },
    Burn { severity: Severity::Warning, factor: 1.0, long: "3d", short: "6h", hold: minutes(180) },
];

const RUNBOOK: Runbook = Runbook {
    means: "Users notice it: more requests fail, or take longer, than the thresholds of the stack file allow. The label `slo` names the \
            threshold (`error_rate`, `p95`, `p99`), `window` the time over which it was missed. A burn over `1h` or `6h` uses up the budget of \
            30 days within hours or days; over `1d` or `3d` it is slow.",
    steps: &[
        "`appforge status`: is a replica or a store down, or a pool at its limit?",
        "`appforge logs service --since 15m`: which requests fail, and with what?",
        "After a deployment: `appforge rollback` (kubernetes), or deploy the earlier version.",
        "When all replicas are busy: `appforge scale --replicas N`.",
        "When the threshold is stricter than users need: `load.thresholds` in `appforge.yaml`.",
    ],
};

/// A threshold, with the series that measure it.
struct Objective {
    slo: &'static str,
    series: &'static str,
    /// The share of requests that may miss it.
    budget: f64,
    missed: String,
    /// What is counted for the floor, and its least number.
    counted: String,
    floor: u32,
}

fn objectives(facts: &Facts) -> [Objective; 3] {
    let service = facts.of_service();
    let answered = format!("http_request_duration_seconds_count{{{service},outcome!=\"limited\"}}");
    let slow = |slo, series, budget, threshold| Objective {
        slo,
        series,
        budget,
        missed: format!("take longer than {}", shown(threshold)),
        counted: answered.clone(),
        floor: 100,
    };
    [
        Objective {
            slo: "error_rate",
            series: "appforge:http_failed",
            budget: facts.error_rate,
            missed: "fail".to_owned(),
            counted: format!("http_requests_total{{{service},status=~\"5..\"}}"),
            floor: 10,
        },
        slow("p95", "appforge:http_slow_p95", 0.05, facts.p95),
        slow("p99", "appforge:http_slow_p99", 0.01, facts.p99),
    ]
}

pub(super) fn rules(facts: &Facts) -> Vec<Rule> {
    let mut rules = Vec::new();
    for objective in objectives(facts) {
        // A ratio cannot exceed 1.
        for burn in BURNS.iter().filter(|burn| burn.factor * objective.budget < 1.0) {
            rules.push(rule(&objective, burn));
        }
    }
    rules
}

fn rule(objective: &Objective, burn: &Burn) -> Rule {
    let Objective { slo, series, budget, missed, counted, floor } = objective;
    let Burn { severity, factor, long, short, hold } = burn;
    let allowed = if *factor > 1.0 {
        format!("{factor} times what {slo} allows")
    } else {
        format!("what {slo} allows")
    };
    Rule {
        id: "AppforgeBudgetBurn",
        severity: *severity,
        hold: *hold,
        expression: format!(
            "{series}:ratio_rate{long} > ({factor} * {budget})\nand {series}:ratio_rate{short} > ({factor} * {budget})\n\
             and on (stack) sum by (stack) (increase({counted}[{long}])) > {floor}"
        ),
        labels: vec![("slo", (*slo).to_owned()), ("window", (*long).to_owned())],
        needs: &[],
        condition: format!("requests {missed}: more than {allowed}, over {long} and {short}"),
        summary: format!(
            "{{{{ $labels.stack }}}}: {{{{ $value | humanizePercentage }}}} of requests {missed} (over {long}, more than {allowed})"
        ),
        next: "appforge status",
        runbook: RUNBOOK,
    }
}

pub(super) fn recordings(facts: &Facts) -> Vec<Recording> {
    WINDOWS.iter().flat_map(|window| over(facts, window)).collect()
}

/// The three ratios over one window.
fn over(facts: &Facts, window: &str) -> [Recording; 3] {
    let service = facts.of_service();
    let requests =
        |status: &str| format!("sum by (stack) (rate(http_requests_total{{{service},{status}}}[{window}]))");
    let failed = Recording {
        name: format!("appforge:http_failed:ratio_rate{window}"),
        expression: format!("{}\n/ {}", requests("status=~\"5..\""), requests("status!=\"429\"")),
    };
    let slow = |name: &str, threshold| {
        let of = |part: &str, more: &str| {
            format!(
                "sum by (stack) (rate(http_request_duration_seconds_{part}{{{service},outcome!=\"limited\"{more}}}[{window}]))"
            )
        };
        let fast = of("bucket", &format!(",le=\"{}\"", le(threshold)));
        Recording {
            name: format!("appforge:http_slow_{name}:ratio_rate{window}"),
            expression: format!("1 - {fast}\n/ {}", of("count", "")),
        }
    };
    [failed, slow("p95", facts.p95), slow("p99", facts.p99)]
}
