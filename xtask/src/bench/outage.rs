//! Redis that is far away, killed or frozen: what a request waits.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Bench;
use super::document::{Goal, Part, table};
use super::process::{Core, finish_json};
use super::redis::{Redis, round_trip};
use super::relay::relay;
use super::stack::{Limit, Stack};
use crate::run::say;

/// How far away, one way.
const FAR: Duration = Duration::from_millis(2);
/// Requests per second of the far case, far below saturation.
const RATE: &str = "2000";
/// The same of the outages, over 50 connections.
const OUTAGE_RATE: &str = "200";
const REPLICAS: u32 = 3;

/// p50, p95, p99, max in ms, failed requests and their number.
struct Seen([f64; 6]);

impl Seen {
    fn of(report: &Value) -> Result<Self> {
        let number = |path: &str| {
            let path = format!("/metrics/{path}");
            report.pointer(&path).and_then(Value::as_f64).with_context(|| format!("a report has {path}"))
        };
        let duration = |field: &str| number(&format!("http_req_duration/{field}"));
        Ok(Self([
            duration("med")?,
            duration("p(95)")?,
            duration("p(99)")?,
            duration("max")?,
            number("http_req_failed/passes")?,
            number("http_reqs/count")?,
        ]))
    }

    fn row(&self, name: &str) -> Vec<String> {
        let [p50, p95, p99, max, failed, all] = self.0;
        let ms = [p50, p95, p99, max].map(|value| format!("{value:.2}"));
        [vec![name.to_owned()], ms.to_vec(), vec![format!("{failed:.0} of {all:.0}")]].concat()
    }
}

/// Measures all of it.
pub(super) fn measure(bench: &Bench, valkey: &std::path::Path) -> Result<Part> {
    let mut redis = Redis::start(valkey, bench.folder.join("valkey-outage"))?;
    let mut rows = Vec::new();
    let mut goals = far(bench, &redis, &mut rows)?;
    let folder = bench.folder.join("outage");
    let stack = Stack::up(&bench.appforge, folder, Limit::Pass, Some(redis.port()), REPLICAS, Core::Server)?;
    let (more_rows, more_goals) =
        failing(bench, &mut redis, &format!("{REPLICAS} replicas"), || stack.load(&[]))?;
    rows.extend(more_rows);
    goals.extend(more_goals);
    let text = format!(
        "`appforge load` in the open model: latency counts from when a request was due. Far: {} ms each way through a relay. Killed and \
         frozen (SIGSTOP): for the middle third of {} s; all requests are within the limit.\n\n{}",
        FAR.as_millis(),
        bench.lengths.outage.as_secs(),
        table(&HEAD, &rows)
    );
    Ok(Part { title: "Redis far away, killed, frozen".into(), text, goals })
}

fn far(bench: &Bench, redis: &Redis, rows: &mut Vec<Vec<String>>) -> Result<Vec<Goal>> {
    let far = relay(redis.port(), FAR)?;
    let rtt = round_trip(far)?;
    let mut medians = Vec::new();
    for (name, word, limit, port) in [
        ("without limiter", "far-off", Limit::Off, redis.port()),
        ("Redis near", "near", Limit::Pass, redis.port()),
        ("Redis far", "far", Limit::Pass, far),
    ] {
        say(&format!("   {name}"));
        let folder = bench.folder.join(word);
        let stack = Stack::up(&bench.appforge, folder, limit, Some(port), 1, Core::Server)?;
        let seconds = format!("{}s", bench.lengths.measure.as_secs());
        // A route without a cache: that would be one more round trip, and none of the limiter's.
        let (url, secret) = (stack.url("/health"), stack.probe_secret());
        let target = ["--url", &url, "--probe-secret-file", &secret];
        let args = ["--rate", RATE, "--vus", "64", "--duration", &seconds, "-o", "json", "-q"];
        let seen = Seen::of(&finish_json(&mut stack.load(&[&target[..], &args[..]].concat()), &[0])?)?;
        rows.push(seen.row(&format!("1 replica, {RATE} req/s, {name}")));
        medians.push(seen.0[0]);
    }
    let [off, _, far] = medians[..] else { return Ok(Vec::new()) };
    let figure = format!("Redis {rtt:.1} ms away: what the limiter adds to p50, beyond the round trip");
    Ok(vec![Goal::at_most(figure, 0.7, far - off - rtt, "ms", 2)])
}

#[derive(Clone, Copy)]
enum Fault {
    None,
    Kill,
    Freeze,
}

/// What requests met while Redis was up, killed, frozen. `load` is the begin of the command that sends them.
pub(super) fn failing(
    bench: &Bench,
    redis: &mut Redis,
    subject: &str,
    load: impl Fn() -> Command,
) -> Result<(Vec<Vec<String>>, Vec<Goal>)> {
    let (mut rows, mut goals) = (Vec::new(), Vec::new());
    for (name, fault) in [("Redis up", Fault::None), ("killed", Fault::Kill), ("frozen", Fault::Freeze)] {
        say(&format!("   {name}"));
        let seen = outage(bench, load(), redis, fault)?;
        rows.push(seen.row(&format!("{subject}, {OUTAGE_RATE} req/s, {name}")));
        if !matches!(fault, Fault::None) {
            let figure = |what| format!("{subject}, Redis {name} under load: {what}");
            goals.push(Goal::at_most(figure("slowest request"), 60.0, seen.0[3], "ms", 1));
            goals.push(Goal::at_most(figure("failed requests"), 0.0, seen.0[4], "", 0));
        }
    }
    Ok((rows, goals))
}

/// The columns of [`failing`].
pub(super) const HEAD: [&str; 6] = ["case", "p50 ms", "p95 ms", "p99 ms", "max ms", "failed"];

/// What requests at a steady rate met while Redis failed for the middle third of the time. `load` is the begin of the command.
fn outage(bench: &Bench, mut command: Command, redis: &mut Redis, fault: Fault) -> Result<Seen> {
    let third = bench.lengths.outage / 3;
    let seconds = format!("{}s", bench.lengths.outage.as_secs());
    command.args(["--rate", OUTAGE_RATE, "--vus", "50", "--duration", &seconds, "-o", "json", "-q"]);
    let load = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    std::thread::sleep(third);
    match fault {
        Fault::None => {}
        Fault::Kill => redis.kill()?,
        Fault::Freeze => redis.freeze(true)?,
    }
    std::thread::sleep(third);
    match fault {
        Fault::None => {}
        Fault::Kill => redis.revive()?,
        Fault::Freeze => redis.freeze(false)?,
    }
    let output = load.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(matches!(output.status.code(), Some(0 | 7)), "appforge load: {}\n{said}", output.status);
    Seen::of(&serde_json::from_slice(&output.stdout)?)
}
