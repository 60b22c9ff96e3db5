//! The same test for k6: a script with the scenarios, steps and thresholds of the stack. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use appforge_service::contract::PROBE_HEADER as HEADER;
use serde_json::{Map, Value, json};

use crate::float;
use crate::load::scenario::{BUILT_IN, built_in_steps};
use crate::load::schedule::Schedule;
use crate::load::thresholds::Threshold;
use crate::stack::Stack;

const TEMPLATE: &str = include_str!("../../templates/load/load-test.js");
/// How long each scenario takes.
const DURATION: Duration = Duration::from_secs(60);

/// The script `load-test.js` of a stack.
pub fn script(stack: &Stack) -> String {
    let steps: Vec<Value> = built_in_steps(&stack.service)
        .iter()
        .map(|step| json!({"name": step.name, "path": step.path, "weight": step.weight}))
        .collect();
    let (expected, condition) = if stack.service.is_own() {
        ("2xx or 3xx", "a.status >= 200 && a.status < 400")
    } else {
        ("200", "a.status === 200")
    };
    let per_client = stack.cost.requests_per_user.min(stack.rate_limit.requests).max(1);
    let parts = [
        ("name", stack.name.to_string()),
        ("base_url", json!(format!("http://localhost:{}", stack.service.port)).to_string()),
        ("think_time", json!(stack.load.think_time.0.as_secs_f64()).to_string()),
        ("requests_per_client", per_client.to_string()),
        ("steps", pretty(&Value::Array(steps))),
        ("scenarios", pretty(&scenarios(stack.load.think_time.0))),
        ("thresholds", pretty(&thresholds(stack)).replace('\n', "\n  ")),
        ("header", HEADER.to_owned()),
        ("expected", expected.to_owned()),
        ("condition", condition.to_owned()),
    ];
    parts
        .iter()
        .fold(TEMPLATE.to_owned(), |text, (name, value)| text.replace(&format!("{{{{{name}}}}}"), value))
}

fn scenarios(think_time: Duration) -> Value {
    let mut scenarios = Map::new();
    let mut start = Duration::ZERO;
    for (name, users) in BUILT_IN {
        let schedule = Schedule::ramped(f64::from(users), DURATION, think_time);
        let stages: Vec<Value> = schedule
            .stages()
            .iter()
            .map(|stage| json!({"duration": seconds(stage.duration), "target": float::to_u64(stage.target)}))
            .collect();
        let scenario = json!({
            "executor": "ramping-vus",
            "startVUs": 0,
            "startTime": seconds(start),
            "stages": stages,
        });
        scenarios.insert(name.to_owned(), scenario);
        // Answers that are still on their way may take a moment.
        start += DURATION + Duration::from_secs(10);
    }
    Value::Object(scenarios)
}

fn seconds(duration: Duration) -> String {
    format!("{}s", duration.as_secs_f64())
}

fn thresholds(stack: &Stack) -> Value {
    let mut by_metric: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for threshold in Threshold::of_stack(&stack.load.thresholds) {
        let (metric, expression) = threshold.k6();
        by_metric.entry(metric).or_default().push(expression);
    }
    json!(by_metric)
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|_| unreachable!("a tree of texts and numbers"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::values::Health;

    #[test]
    fn the_script_has_the_scenarios_and_thresholds_of_the_stack_and_nothing_left_open() {
        let script = script(&Stack::default());
        assert!(!script.contains("{{") && !script.contains("}}"), "{script}");
        for text in [
            r#"__ENV.BASE_URL || "http://localhost:5000""#,
            r#""p(95)<500""#,
            r#""p(99)<1000""#,
            r#""rate<0.01""#,
            r#""rate>0.95""#,
            r#""target": 350"#,
            "const THINK_TIME = 1.0;",
            "'x-appforge-probe': identity()",
        ] {
            assert!(script.contains(text), "{text} in {script}");
        }
    }

    #[test]
    fn script_of_an_app_asks_its_health_or_the_root() {
        let mut stack = Stack::default();
        stack.service.image = "shop:1".parse().unwrap();
        for (health, path, name) in [(None, "/", "root"), (Some("/healthz"), "/healthz", "health")] {
            stack.service.health =
                health.map(|path| Health { path: path.to_owned(), host: "localhost".to_owned() });
            let script = script(&stack);
            let step = format!("\"name\": \"{name}\",\n    \"path\": \"{path}\"");
            assert!(script.contains(&step) && !script.contains("/api/items"), "{script}");
            assert!(script.contains("status is 2xx or 3xx`]: (a) => a.status >= 200 && a.status < 400"));
        }
    }
}
