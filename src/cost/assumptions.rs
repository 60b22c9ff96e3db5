//! What an estimate rests on: each number with its value and who set it. Pure.

use crate::cost::model::{
    ANSWER_BYTES, CACHED_BYTES, CONNECTION_SHARE, COUNTER_BYTES, Inputs, LATENCY, MEMORY_SHARE, MONTH_HOURS,
    PACE, UTILISATION,
};
use crate::cost::money::{count, grouped};
use crate::stack::TargetKind;
use crate::stack::values::ByteSize;

/// One number that an estimate rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assumption {
    /// What it is.
    pub name: &'static str,
    /// Its value with its unit.
    pub value: String,
    /// Who set it: a file with its line, a flag, a measurement, or the model.
    pub source: String,
}

/// All assumptions of `inputs`. `origin` tells where a path of the configuration was set.
pub fn assumptions(inputs: &Inputs, origin: impl Fn(&str) -> String) -> Vec<Assumption> {
    let set = |path: &str| format!("{path}, {}", origin(path));
    let model = || "the model".to_owned();
    let percent = |share| format!("{} %", grouped(share * rust_decimal::Decimal::ONE_HUNDRED));
    let (capacity, source) = (
        format!("{} req/s", grouped(inputs.capacity.per_replica)),
        match &inputs.capacity.measured {
            None => "default: the setup's 10 replicas answered up to 200; `appforge load --scenario capacity` measures yours"
                .to_owned(),
            Some(measured) => {
                let mut source = format!("measured {}", measured.at);
                for (word, text) in [
                    ("on target", &measured.target),
                    ("on", &measured.machine),
                    ("at commit", &measured.commit),
                    ("within", &measured.thresholds),
                ] {
                    if !text.is_empty() {
                        source.push_str(&format!(" {word} {text}"));
                    }
                }
                if measured.at_least {
                    source.push_str("; the generator was the limit, so it may be higher");
                }
                source
            }
        },
    );
    let floor = match inputs.autoscaling {
        Some((min, most)) => (format!("{min} to {most}"), set("kubernetes.autoscaling.min")),
        None => (count(inputs.replicas.into()), set("service.replicas")),
    };
    let all = [
        ("requests per user a day", count(inputs.requests_per_user.into()), set("cost.requests_per_user")),
        ("peak over average", grouped(inputs.peak_factor), set("cost.peak_factor")),
        ("capacity of a replica", capacity, source),
        ("planned share of that capacity", percent(UTILISATION), model()),
        ("time of a request", format!("{LATENCY} s"), "the p95 of the setup's load test".to_owned()),
        ("time between two requests of a user", format!("{PACE} s"), model()),
        (
            "CPU and memory of a replica",
            format!("{}, {}", inputs.cpu, inputs.memory),
            set("service.resources.cpu"),
        ),
        ("replicas on Kubernetes", floor.0, floor.1),
        ("replicas on Docker Compose", count(inputs.replicas.into()), set("service.replicas")),
        ("connections of a replica", count(inputs.pool_max.into()), set("mongodb.pool.max")),
        ("planned share of a connection limit", percent(CONNECTION_SHARE), model()),
        ("a rate-limit counter", format!("{COUNTER_BYTES} B"), model()),
        ("cached answers per user", ByteSize(CACHED_BYTES).to_string(), model()),
        ("planned share of Redis memory", percent(MEMORY_SHARE), model()),
        ("an answer through the CDN", format!("{} B", count(ANSWER_BYTES)), model()),
        ("a month", format!("{MONTH_HOURS} h"), model()),
    ];
    all.into_iter().map(|(name, value, source)| Assumption { name, value, source }).collect()
}

/// What a tier's target is called in prices.
pub fn platform(target: TargetKind) -> &'static str {
    match target {
        TargetKind::Kubernetes => "Kubernetes",
        TargetKind::Compose => "Docker Compose",
        TargetKind::Local => "this machine",
    }
}
