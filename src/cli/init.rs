//! The arguments of `init`.

use clap::Args;

use crate::stack::model::{Autoscaling, StoreMode};
use crate::stack::values::{ImageRef, Name, Percent, Span};

/// Options of `init`. A flag answers its question.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  appforge init
  appforge init --yes --command 'node server.js'
  appforge init --yes --target compose --replicas 3
  appforge init --yes --rate-limit 100/15m --autoscaling 3..10")]
pub struct InitArgs {
    /// Name of the stack, a DNS label; by default that of the folder
    #[arg(long)]
    pub name: Option<Name>,
    /// Command of your own app, or `bundled`; by default what Procfile,
    /// package.json, pyproject.toml, requirements.txt, go.mod, Cargo.toml or
    /// (compose) a Dockerfile proposes
    #[arg(long, value_name = "TEXT")]
    pub command: Option<String>,
    /// Image of your own app, for compose and kubernetes
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<ImageRef>,
    /// Published port
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Number of replicas
    #[arg(long, value_name = "N")]
    pub replicas: Option<u32>,
    /// Rate limit per client: requests and window, such as `100/15m`
    #[arg(long, value_name = "REQUESTS/WINDOW", value_parser = rate)]
    pub rate_limit: Option<Rate>,
    /// Who runs MongoDB; `external` reads its address from APPFORGE_MONGODB_URI
    #[arg(long, value_enum, value_name = "MODE")]
    pub mongodb: Option<StoreMode>,
    /// Who runs Redis; `external` reads its address from APPFORGE_REDIS_URL
    #[arg(long, value_enum, value_name = "MODE")]
    pub redis: Option<StoreMode>,
    /// Autoscaling on Kubernetes: minimum and maximum, such as `3..10`, or `off`
    #[arg(long, value_name = "MIN..MAX|off", value_parser = autoscaling)]
    pub autoscaling: Option<Scaling>,
    /// Overwrite an existing file
    #[arg(long)]
    pub force: bool,
}

/// A rate: requests and window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(pub u32, pub Span);

/// Replicas on Kubernetes: a range, or fixed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scaling(pub Option<Autoscaling>);

impl std::str::FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        rate(text)
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.0, self.1)
    }
}

impl std::str::FromStr for Scaling {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        autoscaling(text)
    }
}

impl std::fmt::Display for Scaling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(scaling) => write!(f, "{}..{}", scaling.min, scaling.max),
            None => f.write_str("off"),
        }
    }
}

fn rate(text: &str) -> Result<Rate, String> {
    let parts = text.split_once('/').and_then(|(requests, window)| {
        Some(Rate(requests.trim().parse().ok()?, window.trim().parse().ok()?))
    });
    parts.ok_or_else(|| "expected REQUESTS/WINDOW, such as `100/15m`".to_owned())
}

fn autoscaling(text: &str) -> Result<Scaling, String> {
    if text == "off" {
        return Ok(Scaling(None));
    }
    let parts = text.split_once("..").and_then(|(min, max)| {
        let (min, max) = (min.trim().parse().ok()?, max.trim().parse().ok()?);
        Some(Scaling(Some(Autoscaling { min, max, cpu: Percent(70.0), memory: Some(Percent(80.0)) })))
    });
    parts.ok_or_else(|| "expected MIN..MAX, such as `3..10`, or `off`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_ranges_read_and_print_alike() {
        assert_eq!("100/15m".parse::<Rate>().unwrap().to_string(), "100/15m");
        assert_eq!("3..10".parse::<Scaling>().unwrap().to_string(), "3..10");
        assert_eq!("off".parse::<Scaling>().unwrap(), Scaling(None));
        for bad in ["100", "x/15m", "100/soon", "3", "3..", "on"] {
            bad.parse::<Rate>().expect_err(bad);
            bad.parse::<Scaling>().expect_err(bad);
        }
    }
}
