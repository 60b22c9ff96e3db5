//! Replicas that are gone, restart, or run out of what they may use.

use std::time::Duration;

use super::facts::{Facts, Feature, minutes};
use super::rule::{Rule, Runbook, Severity};

pub(super) fn rules(facts: &Facts) -> Vec<Rule> {
    [presence(facts), resources(facts)].concat()
}

fn presence(facts: &Facts) -> Vec<Rule> {
    let (service, stack) = (facts.of_service(), facts.of_stack());
    vec![
        Rule {
            id: "AppforgeServiceAbsent",
            severity: Severity::Critical,
            hold: minutes(1),
            // `absent` has no labels but those it is asked for; a stopped replica is no longer a target, so no 0 is left.
            expression: format!(
                "sum by (stack, component) (up{{{service}}}) == 0\nor absent(up{{{service}}})"
            ),
            labels: Vec::new(),
            needs: &[],
            condition: "no replica answers".into(),
            summary: format!("no replica of {} answers", facts.stack),
            next: "appforge status",
            runbook: Runbook {
                means: "No request is served, or monitoring reaches no replica.",
                steps: &[
                    "`appforge status` and `appforge logs service --tail 100`: did they crash, and why?",
                    "`appforge up` starts what is missing.",
                    "When replicas answer: `appforge verify`; monitoring has lost its network to them.",
                ],
            },
        },
        Rule {
            id: "AppforgeReplicaDown",
            severity: Severity::Warning,
            hold: minutes(2),
            expression: format!("up{{{service}}} == 0"),
            labels: Vec::new(),
            needs: &[],
            condition: "a replica exists and does not answer".into(),
            summary: "{{ $labels.instance }} of {{ $labels.stack }} does not answer".into(),
            next: "appforge status",
            runbook: Runbook {
                means: "A replica is frozen, overloaded or cut off. The others serve its requests.",
                steps: &[
                    "`appforge logs service --since 10m`: what did it do last?",
                    "`appforge restart` replaces the replicas in turn.",
                ],
            },
        },
        Rule {
            id: "AppforgeReplicasMissing",
            severity: Severity::Warning,
            hold: minutes(10),
            expression: format!(
                "appforge_replicas_desired{{{stack}}} - on (stack) count by (stack) (up{{{service}}} == 1) > 0"
            ),
            labels: Vec::new(),
            needs: &[],
            condition: "fewer replicas answer than the stack asks for".into(),
            summary: "{{ $labels.stack }}: replicas missing: {{ $value }}".into(),
            next: "appforge up",
            runbook: Runbook {
                means: "A stopped replica is no longer a target of monitoring; the desired number shows that it is missing.",
                steps: &[
                    "`appforge status`: which one is missing?",
                    "`appforge up` starts it; its output says why it does not become ready.",
                ],
            },
        },
        Rule {
            id: "AppforgeReplicaRestarts",
            severity: Severity::Warning,
            hold: Duration::ZERO,
            expression: format!("changes(process_start_time_seconds{{{service}}}[15m]) > 2"),
            labels: Vec::new(),
            needs: &[],
            condition: "a replica restarted more than twice in 15 minutes".into(),
            summary:
                "{{ $labels.instance }} of {{ $labels.stack }} restarted {{ $value }} times in 15 minutes"
                    .into(),
            next: "appforge logs service --since 15m",
            runbook: Runbook {
                means: "A replica crashes again and again, or is ended for its memory.",
                steps: &[
                    "`appforge logs service --since 15m`: the last lines before each start.",
                    "When it is ended for its memory: `service.resources.memory`.",
                ],
            },
        },
        Rule {
            id: "AppforgeAtMaxReplicas",
            severity: Severity::Warning,
            hold: minutes(15),
            expression: format!(
                "count by (stack) (up{{{service}}} == 1) >= on (stack) appforge_replicas_max{{{stack}}}"
            ),
            labels: Vec::new(),
            needs: &[Feature::Autoscaling],
            condition: "the stack runs at its maximum number of replicas".into(),
            summary: "{{ $labels.stack }} runs at its maximum of {{ $value }} replicas".into(),
            next: "appforge scale --replicas N --max M",
            runbook: Runbook {
                means: "More load finds no more replicas.",
                steps: &[
                    "`appforge cost --users N` shows what more replicas cost and which limit comes next.",
                    "`appforge scale --replicas N --max M` raises the maximum.",
                ],
            },
        },
    ]
}

fn resources(facts: &Facts) -> Vec<Rule> {
    let service = facts.of_service();
    vec![
        Rule {
            id: "AppforgeMemoryHigh",
            severity: Severity::Warning,
            hold: minutes(10),
            expression: format!(
                "process_resident_memory_bytes{{{service}}}\n/ on (stack, instance) process_memory_limit_bytes{{{service}}} > 0.9"
            ),
            labels: Vec::new(),
            needs: &[],
            condition: "a replica uses more than 90 % of its memory".into(),
            summary: "{{ $labels.instance }} of {{ $labels.stack }} uses {{ $value | humanizePercentage }} of its memory".into(),
            next: "appforge status",
            runbook: Runbook {
                means: "The kernel ends a replica that exceeds its limit, with all its requests.",
                steps: &["Raise `service.resources.memory`, then `appforge up`."],
            },
        },
        Rule {
            id: "AppforgeCpuThrottled",
            severity: Severity::Warning,
            hold: minutes(10),
            expression: format!("rate(process_cpu_throttled_seconds_total{{{service}}}[10m]) > 0.05"),
            labels: Vec::new(),
            needs: &[],
            condition: "a replica is stopped by its CPU limit for more than 5 % of the time".into(),
            summary: "{{ $labels.instance }} of {{ $labels.stack }} was stopped by its CPU limit for {{ $value | humanizePercentage }} of the time".into(),
            next: "appforge status",
            runbook: Runbook {
                means: "Requests wait while the kernel holds the replica back. Stops of 50 ms also make it count the rate limit by itself.",
                steps: &[
                    "Raise `service.resources.cpu`, then `appforge up`.",
                    "Or spread the load: `appforge scale --replicas N`.",
                ],
            },
        },
        Rule {
            id: "AppforgeFilesHigh",
            severity: Severity::Warning,
            hold: minutes(5),
            expression: format!("process_open_fds{{{service}}} / process_max_fds{{{service}}} > 0.8"),
            labels: Vec::new(),
            needs: &[],
            condition: "a replica uses more than 80 % of its file descriptors".into(),
            summary: "{{ $labels.instance }} of {{ $labels.stack }} uses {{ $value | humanizePercentage }} of its file descriptors".into(),
            next: "appforge status",
            runbook: Runbook {
                means: "At the limit, new connections wait until others leave.",
                steps: &[
                    "`appforge status`: how many connections are open?",
                    "`appforge scale --replicas N` spreads them; `ulimit -n` of the host is the limit.",
                ],
            },
        },
        Rule {
            id: "AppforgeLogsLost",
            severity: Severity::Info,
            hold: Duration::ZERO,
            expression: format!("sum by (stack) (increase(log_lines_lost_total{{{service}}}[10m])) > 0"),
            labels: Vec::new(),
            needs: &[],
            condition: "log lines were dropped".into(),
            summary: "{{ $labels.stack }} lost {{ $value | humanize }} log lines".into(),
            next: "appforge logs service",
            runbook: Runbook {
                means: "Whatever collects the logs reads them too slowly. Replicas drop lines rather than wait.",
                steps: &["Log less (`LOG_LEVEL: warn` in `service.env`), or look at the log driver of the host."],
            },
        },
    ]
}
