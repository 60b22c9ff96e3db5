//! The arguments of `load`.

use std::path::PathBuf;

use clap::Args;

use crate::load::thresholds::Threshold;
use crate::stack::values::Span;

/// Load the service and judge what it does.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  appforge load                                        100 users for a minute
  appforge load --scenario stress --duration 30s       350 users
  appforge load --rate 500 --threshold 'p99<50ms'      500 requests per second, whatever the answers take
  appforge load --scenario capacity                    the highest rate that holds the thresholds
  appforge load --scenario shop.yaml --report run.html your own steps, a page with charts
  appforge load --url http://localhost:8080/health     any other service")]
pub struct LoadArgs {
    /// `normal` (100 users), `peak` (200), `stress` (350), `capacity`, or a scenario file
    #[arg(long, value_name = "NAME|FILE", default_value = "normal")]
    pub scenario: String,
    /// Load this instead of the running stack; with a path, only that path
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// With --url: the file that holds the service's probe secret, so that users count as different clients
    #[arg(long, value_name = "FILE", requires = "url")]
    pub probe_secret_file: Option<PathBuf>,
    /// With --url: how many replicas serve it, to state the capacity of one
    #[arg(long, value_name = "N", requires = "url", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub replicas: Option<u32>,
    /// How long to send [default: 1m; with `capacity`, 5s a step]
    #[arg(long, value_name = "TIME")]
    pub duration: Option<Span>,
    /// Virtual users; with --rate, most connections
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub vus: Option<u32>,
    /// Send this many requests per second, whatever the answers take
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    pub rate: Option<f64>,
    /// How long a user waits between requests [default: the stack's]
    #[arg(long, value_name = "TIME", conflicts_with = "rate")]
    pub think_time: Option<Span>,
    /// How long one request may take
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub timeout: Span,
    /// What must hold, such as `p95<500ms`, `error_rate<1%`, `checks>95%`, `rate>100`, `p99{items}<1s`
    #[arg(long = "threshold", value_name = "EXPRESSION")]
    pub thresholds: Vec<Threshold>,
    /// End the run as soon as a threshold cannot be believed to hold any more
    #[arg(long)]
    pub abort_on_fail: bool,
    /// Compare with the last run of this scenario or with a result file; `none` does not
    #[arg(long, value_name = "last|FILE", default_value = "last")]
    pub compare: String,
    /// Also write a report: FILE.html, FILE.md or FILE.json
    #[arg(long = "report", value_name = "FILE")]
    pub reports: Vec<PathBuf>,
    /// Requests of one simulated client before another takes its place; 0 for ever [default: the stack's]
    #[arg(long, value_name = "N")]
    pub requests_per_client: Option<u64>,
    /// Threads of the generator [default: what the scenario needs, one a core at most]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 =
        text.trim_end_matches("/s").parse().map_err(|_| "a rate is a number such as `500`".to_owned())?;
    if (0.01..=1e7).contains(&rate) { Ok(rate) } else { Err("a rate is within 0.01 and 10000000".into()) }
}
