//! What monitoring and alerts must mean. Pure.

use appforge_service::contract::ProbeUrl;

use crate::document::nearest;
use crate::rules;
use crate::stack::model::{Stack, TargetKind};
use crate::stack::monitoring::every_fact;
use crate::stack::validate::variable_of;
use crate::stack::validate::violations::Violations;
use crate::stack::values::Span;

/// The longest time that Prometheus can be asked to keep series for.
const LONGEST_RETENTION: Span = Span::of_secs(365 * 24 * 3600);

pub(super) fn monitoring(stack: &Stack, violations: &mut Violations) {
    let monitoring = &stack.monitoring;
    let interval = monitoring.scrape_interval;
    violations.within("monitoring.scrape_interval", interval, Span::of_secs(1), Span::of_secs(300));
    let (least, most) = (Span::of_secs(3600), LONGEST_RETENTION);
    violations.within("monitoring.retention", monitoring.retention, least, most);
    for (path, span) in
        [("monitoring.scrape_interval", interval), ("monitoring.retention", monitoring.retention)]
    {
        if span.millis() % 1000 != 0 {
            violations.add(path, format!("must be whole seconds, got {span}"));
        }
    }
    if let Some(reason) = monitoring.probe.as_ref().and_then(|probe| probe.parse::<ProbeUrl>().err()) {
        violations.add("monitoring.probe", reason);
    }
    alerts(stack, violations);
}

fn alerts(stack: &Stack, violations: &mut Violations) {
    let alerts = &stack.alerts;
    if let Some(channel) = &alerts.slack.channel {
        let fits = !channel.trim().is_empty() && !channel.contains(['{', '}', '\0', '\n']);
        violations.expect("alerts.slack.channel", channel, fits, "a channel such as `#shop`");
    }
    if let Some(runbooks) = &alerts.runbooks {
        let fits = ["http://", "https://"].iter().any(|scheme| runbooks.starts_with(scheme))
            && !runbooks.contains(|c: char| c.is_control() || c.is_whitespace() || "{}#".contains(c));
        violations.expect("alerts.runbooks", runbooks, fits, "a URL without a fragment");
    }
    let known = rules::ids(&every_fact(stack));
    for name in &alerts.disable {
        if known.contains(&name.as_str()) {
            continue;
        }
        let message = match nearest(name, known.iter().copied()) {
            Some(near) => format!("unknown alert `{name}`; did you mean `{near}`?"),
            None => format!("unknown alert `{name}`; `appforge alerts` lists them"),
        };
        violations.add("alerts.disable", message);
    }
}

/// What only a command that starts the stack needs: the secrets, and a target that has monitoring.
pub(super) fn starting(stack: &Stack, violations: &mut Violations) {
    if !stack.monitoring.enabled {
        return;
    }
    if stack.target == TargetKind::Kubernetes {
        violations.add("monitoring.enabled", ONLY_COMPOSE);
    }
    if stack.target != TargetKind::Compose {
        return;
    }
    for receiver in stack.alerts.receivers() {
        if stack.alerts.secret(receiver).is_none_or(|secret| secret.reveal().trim().is_empty()) {
            let path = receiver.path();
            violations.add(path, format!("is missing; set {} in the environment", variable_of(path)));
        }
    }
}

/// Why another target refuses monitoring.
pub(crate) const ONLY_COMPOSE: &str = "runs on the target compose only; on kubernetes, let a Prometheus of the cluster scrape the pods, with the rules of \
     `appforge alerts --print rules`";

#[cfg(test)]
mod tests {
    use crate::stack::layers::{Layer, resolve, resolve_running};

    /// What is wrong with a stack of these keys and variables.
    fn problems(target: &str, keys: &str, variables: &[(&str, &str)]) -> Vec<String> {
        let text = format!("target: {target}\n{keys}");
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let layers = [Layer::File { name: "appforge.yaml".into(), text }, Layer::Env(variables.collect())];
        let problems = resolve(&layers).err().unwrap_or_default();
        problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect()
    }

    #[test]
    fn receiver_without_its_secret_names_the_variable() {
        let keys = "monitoring: {enabled: true}\nalerts: {slack: {channel: '#shop'}, pagerduty: {enabled: true}, \
                    heartbeat: {enabled: true}, webhook: null}\n";
        assert_eq!(
            problems("compose", keys, &[]),
            [
                "alerts.heartbeat.url: is missing; set APPFORGE_ALERTS_HEARTBEAT_URL in the environment",
                "alerts.pagerduty.key: is missing; set APPFORGE_ALERTS_PAGERDUTY_KEY in the environment",
                "alerts.slack.url: is missing; set APPFORGE_ALERTS_SLACK_URL in the environment",
            ]
        );
        let secrets = [
            ("APPFORGE_ALERTS_SLACK_URL", "https://hooks.example.com/x"),
            ("APPFORGE_ALERTS_PAGERDUTY_KEY", "key"),
            ("APPFORGE_ALERTS_HEARTBEAT_URL", "https://ping.example.com/x"),
        ];
        assert_eq!(problems("compose", keys, &secrets), [""; 0]);
        // Nothing is sent where nothing runs, and a command that shows what runs needs no secret.
        assert_eq!(problems("local", keys, &[]), [""; 0]);
        assert_eq!(
            problems("compose", keys.strip_prefix("monitoring: {enabled: true}\n").unwrap(), &[]),
            [""; 0]
        );
        let text = format!("target: compose\n{keys}");
        assert!(resolve_running(&[Layer::File { name: "appforge.yaml".into(), text }]).is_ok());
    }

    #[test]
    fn unknown_alert_is_refused_with_the_nearest_name() {
        let keys = "alerts: {disable: [AppforgeCacheMisses, AppforgeRedisDwon, Nonsense]}\n";
        assert_eq!(
            problems("local", keys, &[]),
            [
                "alerts.disable: unknown alert `AppforgeRedisDwon`; did you mean `AppforgeRedisDown`?",
                "alerts.disable: unknown alert `Nonsense`; `appforge alerts` lists them",
            ]
        );
    }

    #[test]
    fn values_that_prometheus_cannot_have_are_refused() {
        for (keys, path) in [
            ("monitoring: {scrape_interval: 500ms}", "monitoring.scrape_interval"),
            ("monitoring: {scrape_interval: 1500ms}", "monitoring.scrape_interval"),
            ("monitoring: {retention: 10m}", "monitoring.retention"),
            ("monitoring: {probe: 'https://u:hunter2@shop.test/'}", "monitoring.probe"),
            ("alerts: {slack: {channel: '{{ x }}'}}", "alerts.slack.channel"),
            ("alerts: {runbooks: 'wiki'}", "alerts.runbooks"),
        ] {
            let found = problems("local", keys, &[]);
            assert!(!found.is_empty() && found.iter().all(|it| it.starts_with(path)), "{keys}: {found:?}");
            assert!(!found.concat().contains("hunter2"), "{found:?}");
        }
        let found = problems("kubernetes", "monitoring: {enabled: true}", &[]);
        assert!(
            found.len() == 1 && found[0].starts_with("monitoring.enabled: runs on the target compose only"),
            "{found:?}"
        );
    }
}
