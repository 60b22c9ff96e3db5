//! The arguments of `load`.

use std::path::PathBuf;

use clap::Args;

use crate::load::thresholds::Threshold;
use crate::stack::values::Span;

/// Options of `load`.
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
    /// `normal` (100 virtual users), `peak` (200), `stress` (350), `capacity`, or
    /// a scenario file
    #[arg(long, value_name = "NAME|FILE", default_value = "normal")]
    pub scenario: String,
    /// Send requests to URL instead of the running stack; a path limits them to
    /// that path
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// With --url: file with the probe secret of the service, so that virtual
    /// users count as different clients
    #[arg(long, value_name = "FILE", requires = "url")]
    pub probe_secret_file: Option<PathBuf>,
    /// With --url: accept any TLS certificate
    #[arg(long, requires = "url")]
    pub insecure: bool,
    /// With --url: number of replicas behind it, to compute the capacity of one
    #[arg(long, value_name = "N", requires = "url", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub replicas: Option<u32>,
    /// Duration of the test [default: 1m; with `capacity`, 5s a step]
    #[arg(long, value_name = "TIME")]
    pub duration: Option<Span>,
    /// Number of virtual users; with --rate, the maximum number of connections
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub vus: Option<u32>,
    /// Requests per second, independent of response times (open model)
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    pub rate: Option<f64>,
    /// Pause of a virtual user between requests [default: `load.think_time`]
    #[arg(long, value_name = "TIME", conflicts_with = "rate")]
    pub think_time: Option<Span>,
    /// Time limit of one request
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub timeout: Span,
    /// Threshold with its unit, such as `p95<500ms`, `error_rate<1%`, `checks>95%`, `rate>100`,
    /// `p99{items}<1s`; may be repeated
    #[arg(long = "threshold", value_name = "EXPRESSION")]
    pub thresholds: Vec<Threshold>,
    /// Abort once a threshold can no longer be met
    #[arg(long)]
    pub abort_on_fail: bool,
    /// Compare with `last` (of this scenario), a result file, or `none`
    #[arg(long, value_name = "last|FILE", default_value = "last")]
    pub compare: String,
    /// Also write a report to FILE.html, FILE.md or FILE.json
    #[arg(long = "report", value_name = "FILE")]
    pub reports: Vec<PathBuf>,
    /// Requests of a simulated client before a new one replaces it; 0 is no limit
    /// [default: the rate limit of the stack]
    #[arg(long, value_name = "N")]
    pub requests_per_client: Option<u64>,
    /// Threads of the generator [default: as the scenario needs, at most one a
    /// core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 =
        text.trim_end_matches("/s").parse().map_err(|_| "expected a number such as `500`".to_owned())?;
    if (0.01..=1e7).contains(&rate) { Ok(rate) } else { Err("must be between 0.01 and 10,000,000".into()) }
}
