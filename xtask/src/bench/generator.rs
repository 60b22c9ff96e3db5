//! The load generator: against wrk on the same workload, and with the brief's 350 users.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::document::{Goal, Part, table};
use super::nginx::Nginx;
use super::process::{Core, cpu_of_children, finish_json, memory_of, pinned};
use super::redis::Redis;
use super::stack::{Limit, Stack};
use super::wrk::{Load, Wrk};
use super::{Bench, median};
use crate::run::say;

/// Connections of the comparison.
const CONNECTIONS: u32 = 64;
/// Between two looks at the memory of the generator.
const LOOK: Duration = Duration::from_millis(500);

/// The generator against wrk, on a server that answers as fast as either can ask.
pub(super) fn against_wrk(bench: &Bench, wrk: &Wrk, nginx: &Nginx) -> Result<Part> {
    let url = nginx.url("/plain");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let folder = bench.folder.join("generator");
    std::fs::create_dir_all(&folder)?;
    for round in 1..=bench.lengths.rounds {
        let run = wrk.run(&Load::get(url.clone()).connections(CONNECTIONS), bench.lengths.measure)?;
        theirs.push((run.rate, run.cpu * 1e6 / run.requests));
        let (rate, cpu) = appforge(&bench.appforge, &folder, &url, bench.lengths.measure)?;
        ours.push((rate, cpu));
        say(&format!("   round {round}: appforge {rate:.0} req/s, wrk {:.0} req/s", run.rate));
    }
    let rates = |runs: &[(f64, f64)]| median(&mut runs.iter().map(|run| run.0).collect::<Vec<_>>());
    let costs = |runs: &[(f64, f64)]| median(&mut runs.iter().map(|run| run.1).collect::<Vec<_>>());
    let row = |name: &str, runs: &[(f64, f64)]| {
        vec![name.to_owned(), format!("{:.0}", rates(runs)), format!("{:.2}", costs(runs))]
    };
    let rows = vec![row("`wrk`", &theirs), row("`appforge load`", &ours)];
    let text = format!(
        "One thread of the generator on one core, nginx (`return 200`) on the other, {CONNECTIONS} keep-alive connections, no think \
         time, {} rounds of {} s in turn, medians. CPU is that of the generator's process. `appforge load` also keeps \
         distributions of eight phases per interval and checks each status.\n\n{}",
        bench.lengths.rounds,
        bench.lengths.measure.as_secs(),
        table(&["generator", "req/s", "generator µs/req"], &rows)
    );
    let goals = vec![
        Goal::at_least("generator: req/s over wrk's".into(), 0.8, rates(&ours) / rates(&theirs), "", 2),
        Goal::at_least(
            "generator: requests per CPU second over wrk's".into(),
            0.8,
            costs(&theirs) / costs(&ours),
            "",
            2,
        ),
    ];
    Ok(Part { title: "The generator against wrk".into(), text, goals })
}

fn appforge(program: &Path, folder: &Path, url: &str, length: Duration) -> Result<(f64, f64)> {
    let before = cpu_of_children()?;
    let (connections, seconds) = (CONNECTIONS.to_string(), format!("{}s", length.as_secs()));
    let mut command = pinned(Core::Client, program);
    command.current_dir(folder).args(["load", "--url", url, "--vus", &connections, "--duration", &seconds]);
    command.args(["--think-time", "0s", "--threads", "1", "--compare", "none", "-o", "json", "-q"]);
    let report = finish_json(&mut command, &[0])?;
    let cpu = cpu_of_children()? - before;
    let number = |path: &str| report.pointer(path).and_then(Value::as_f64).context("a report has numbers");
    ensure!(number("/metrics/http_req_failed/rate")? == 0.0, "requests failed: {report}");
    // A run ends with its last answer, and the users start one after the other: wrk's time is from first to last, too.
    Ok((number("/metrics/http_reqs/rate")?, cpu * 1e6 / number("/metrics/http_reqs/count")?))
}

/// The brief's stress test: 350 users who think for a second, on three replicas.
pub(super) fn stress(bench: &Bench, redis: &Redis) -> Result<Part> {
    let folder = bench.folder.join("stress");
    let stack = Stack::up(&bench.appforge, folder, Limit::Pass, Some(redis.port()), 3, Core::Server)?;
    let seconds = format!("{}s", bench.lengths.stress.as_secs());
    let args = ["--scenario", "stress", "--duration", &seconds, "-o", "json", "-q"];
    let mut command = stack.load(&args);
    let load = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut memory = Vec::new();
    for _ in 0..bench.lengths.stress.as_millis() / LOOK.as_millis() {
        std::thread::sleep(LOOK);
        // `taskset` becomes the program that it starts, so this is the generator itself; at its end it is gone.
        memory.extend(memory_of(load.id()).ok().map(|(now, _)| now));
    }
    let output = load.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(matches!(output.status.code(), Some(0 | 7)), "appforge load: {}\n{said}", output.status);
    let report: Value = serde_json::from_slice(&output.stdout)?;
    let number = |path: &str| report.pointer(path).and_then(Value::as_f64).context("a report has numbers");
    let cores = number("/generator/cpu_cores")?;
    let most = memory.iter().copied().fold(0.0, f64::max);
    // All users are there after the ramp, the first tenth.
    let middle = memory.get(memory.len() / 2).copied().unwrap_or(0.0);
    let growth = memory.last().copied().unwrap_or(0.0) - middle;
    let rows = [
        ("requests per second", format!("{:.1}", number("/metrics/http_reqs/rate")?)),
        ("p50", format!("{:.2} ms", number("/metrics/http_req_duration/med")?)),
        ("p95", format!("{:.2} ms", number("/metrics/http_req_duration/p(95)")?)),
        ("p99", format!("{:.2} ms", number("/metrics/http_req_duration/p(99)")?)),
        ("failed", format!("{:.2} %", number("/metrics/http_req_failed/rate")? * 100.0)),
        ("thresholds", if report["passed"] == true { "all hold".into() } else { "missed".into() }),
        ("CPU of the generator", format!("{:.1} % of one core", cores * 100.0)),
        ("memory of the generator, most", format!("{most:.1} MB")),
        ("memory of the generator, second half", format!("{growth:+.1} MB")),
    ];
    let rows = rows.map(|(name, value)| vec![name.to_owned(), value]).to_vec();
    let goals = vec![
        Goal::at_most("350 users: CPU of the generator".into(), 10.0, cores * 100.0, "% of one core", 1),
        Goal::at_most("350 users: memory of the generator".into(), 50.0, most, "MB", 1),
        Goal::at_most("350 users: its growth in the second half".into(), 1.0, growth, "MB", 1),
    ];
    let text = format!(
        "`appforge load --scenario stress --duration {seconds}` on 3 replicas: 350 users, a second of think time.\n\n{}",
        table(&["what", "measured"], &rows)
    );
    Ok(Part { title: "350 users".into(), text, goals })
}
