//! What monitoring and alerts must mean. Pure.

use appforge_service::contract::ProbeUrl;

use crate::document::nearest;
use crate::rules;
use crate::stack::alerts::Receiver;
use crate::stack::model::{Stack, TargetKind};
use crate::stack::monitoring::every_fact;
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
    for receiver in Receiver::ALL.into_iter().filter(|receiver| *receiver != Receiver::PagerDuty) {
        let is_url = |text: &str| text.parse::<ProbeUrl>().is_ok();
        if alerts.secret(receiver).is_some_and(|secret| !is_url(secret.reveal().trim())) {
            // The value is a secret, even when it is a wrong one.
            violations.add(receiver.path(), "expected a URL such as `https://hooks.example.com/…`");
        }
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

/// What only a command that shows or stops what runs does without: a target that has monitoring.
pub(super) fn target(stack: &Stack, violations: &mut Violations) {
    if stack.monitoring.enabled && stack.target == TargetKind::Kubernetes {
        violations.add("monitoring.enabled", ONLY_COMPOSE);
    }
}

/// Why another target refuses monitoring.
pub(crate) const ONLY_COMPOSE: &str = "runs on the target compose only; on kubernetes, let a Prometheus of the cluster scrape the pods, with the rules of \
     `appforge alerts --print rules`";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::layers::{Layer, resolve};

    /// What is wrong with a stack of these keys and variables.
    fn problems(target: &str, keys: &str, variables: &[(&str, &str)]) -> Vec<String> {
        let text = format!("target: {target}\n{keys}");
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let layers = [Layer::File { name: "appforge.yaml".into(), text }, Layer::Env(variables.collect())];
        let problems = resolve(&layers).err().unwrap_or_default();
        problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect()
    }

    #[test]
    fn receivers_are_switched_on_by_the_file_or_by_a_secret() {
        let keys = "alerts: {slack: {channel: '#shop'}, pagerduty: null, webhook: {enabled: true}}\n";
        let receivers = |keys: &str, variables: &[(&str, &str)]| {
            let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let file = Layer::File { name: "appforge.yaml".into(), text: keys.into() };
            resolve(&[file, Layer::Env(variables.collect())]).unwrap().stack.alerts.receivers()
        };
        assert_eq!(receivers("", &[]), []);
        assert_eq!(receivers(keys, &[]), [Receiver::Slack, Receiver::Webhook]);
        let key = [("APPFORGE_ALERTS_PAGERDUTY_KEY", "key")];
        assert_eq!(receivers("", &key), [Receiver::PagerDuty]);
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
            ("alerts: {slack: {url: 'hunter2'}}", "alerts.slack.url"),
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
