//! `cargo xtask bench`: measures the `dist` build on this machine and writes docs/benchmarks.md.
//!
//! Everything comes from one run, since figures of two runs compare the machine's moods as much as programs. A missed goal
//! is told in the document and is no failure; what could not be measured is one.

mod document;
mod front;
mod generator;
mod limiter;
mod machine;
mod nginx;
mod outage;
mod process;
mod redis;
mod relay;
mod rounds;
mod stack;
mod verbs;
mod wrk;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;

use self::document::Part;
use self::nginx::Nginx;
use self::redis::Redis;
use self::wrk::Wrk;
use crate::peers;
use crate::run::{run, say};

/// What of it to do.
#[derive(Args)]
pub(crate) struct Options {
    /// One short round each, to see that all of it works; written to target/bench
    #[arg(long)]
    quick: bool,
    /// Only these parts
    #[arg(long, value_delimiter = ',', value_parser = PARTS)]
    only: Vec<String>,
    /// Measure this program instead of a fresh `dist` build; written to target/bench
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// The parts, in their order.
const PARTS: [&str; 6] = ["verbs", "limiter", "front", "outage", "generator", "stress"];

/// What all parts need.
struct Bench {
    /// Where stacks and servers keep their files.
    folder: PathBuf,
    /// The program under measurement.
    appforge: PathBuf,
    lengths: Lengths,
}

/// How long and how often.
struct Lengths {
    rounds: usize,
    measure: Duration,
    /// Rounds of the limiter, short and many: its cases are compared to the hundredth, and the machine's speed drifts.
    turns: usize,
    turn: Duration,
    /// The same number for the front and its peers, which are many.
    front_rounds: usize,
    /// What a case is loaded for before its first round.
    warm_up: Duration,
    outage: Duration,
    stress: Duration,
}

impl Lengths {
    fn of(quick: bool) -> Self {
        let seconds = Duration::from_secs;
        if quick {
            Self {
                rounds: 1,
                measure: seconds(2),
                turns: 1,
                turn: seconds(1),
                front_rounds: 1,
                warm_up: seconds(1),
                outage: seconds(3),
                stress: seconds(5),
            }
        } else {
            Self {
                rounds: 3,
                measure: seconds(4),
                turns: 9,
                turn: seconds(2),
                front_rounds: 5,
                warm_up: seconds(1),
                outage: seconds(9),
                stress: seconds(60),
            }
        }
    }
}

/// Measures and writes.
pub(crate) fn run_bench(root: &Path, options: &Options) -> Result<()> {
    let begin = Instant::now();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let target = std::path::absolute(target)?;
    let appforge = match &options.program {
        Some(program) => std::path::absolute(program)?,
        None => {
            say("== dist build");
            let mut build = Command::new(env!("CARGO"));
            build.current_dir(root).args(["build", "--profile", "dist", "--bin", "appforge"]);
            run(build.env("CARGO_TARGET_DIR", &target))?;
            target.join("dist/appforge")
        }
    };
    let peers = peers::peers(root)?;
    let folder = target.join("bench");
    fs::create_dir_all(&folder)?;
    ensure!(appforge.is_file(), "there is no `{}`", appforge.display());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    ensure!(cores >= 2, "a server and its load need a core each; this machine has one");
    let bench = Bench { folder, appforge, lengths: Lengths::of(options.quick) };
    let wrk = Wrk::find(&bench.folder)?;
    if wrk.is_none() {
        say("SKIPPED: what needs wrk, which is not installed: apt-get install wrk");
    }
    let nginx = match Nginx::start(&target.join("nginx"), &bench.folder.join("nginx")) {
        Ok(nginx) => Some(nginx),
        Err(error) => {
            say(&format!("SKIPPED: what needs nginx from Debian: {error:#}"));
            None
        }
    };
    let about = machine::about(root, &peers.valkey, nginx.is_some())?;
    let mut redis = Redis::start(&peers.valkey, bench.folder.join("valkey"))?;
    let mut parts = Vec::new();
    for name in PARTS {
        if !options.only.is_empty() && !options.only.iter().any(|only| only == name) {
            continue;
        }
        say(&format!("== {name}"));
        let since = Instant::now();
        let part = match (name, &wrk, &nginx) {
            ("verbs", ..) => Some(verbs::measure(&bench)?),
            ("limiter", Some(wrk), nginx) => Some(limiter::measure(&bench, wrk, &redis, nginx.as_ref())?),
            ("front", Some(wrk), _) => Some(front::measure(&bench, wrk, &target, root, &mut redis)?),
            ("outage", ..) => Some(outage::measure(&bench, &peers.valkey)?),
            ("generator", Some(wrk), Some(nginx)) => Some(generator::against_wrk(&bench, wrk, nginx)?),
            ("stress", ..) => Some(generator::stress(&bench, &redis)?),
            _ => None,
        };
        say(&format!("== {name}: {:.0}s", since.elapsed().as_secs_f64()));
        parts.push(part.unwrap_or_else(|| Part {
            title: name.to_owned(),
            text: "Skipped: `wrk` or nginx is missing (`apt-get install wrk`).\n".into(),
            goals: Vec::new(),
        }));
    }
    let whole = !options.quick && options.only.is_empty() && options.program.is_none();
    let file = if whole { root.join("docs/benchmarks.md") } else { bench.folder.join("benchmarks.md") };
    let text = document::document(&about, &parts);
    fs::write(&file, &text).with_context(|| format!("while writing `{}`", file.display()))?;
    for goal in parts.iter().flat_map(|part| &part.goals) {
        let verdict = if goal.met { "met   " } else { "MISSED" };
        say(&format!("{verdict}  {}: {} (goal {})", goal.figure, goal.measured, goal.goal));
    }
    say(&format!("wrote {} after {:.0}s", file.display(), begin.elapsed().as_secs_f64()));
    Ok(())
}

/// The middle one.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.get(middle), values.len() % 2) {
        (Some(value), 1) => *value,
        (Some(value), _) => (value + values.get(middle.wrapping_sub(1)).unwrap_or(value)) / 2.0,
        (None, _) => f64::NAN,
    }
}
