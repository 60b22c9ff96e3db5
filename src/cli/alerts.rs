//! Options of `alerts`.

use clap::Args;

/// Options of `alerts`.
#[derive(Clone, Copy, Debug, Args)]
pub struct AlertsArgs {
    /// Print a document made of the alerts instead of the list
    #[arg(long, value_enum, value_name = "PART")]
    pub print: Option<Part>,
}

/// What is made of the alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Rule file for Prometheus
    Rules,
    /// Unit tests of the rules, for `promtool test rules`
    Tests,
    /// Dashboard for Grafana
    Dashboard,
    /// What each alert means and what to do, as Markdown
    Runbooks,
}
