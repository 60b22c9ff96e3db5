//! The arguments of `cost`.

use std::path::PathBuf;

use clap::Args;
use jiff::civil::Date;

use crate::cost::MAX_USERS;
use crate::stack::values::Amount;

/// What `cost` takes.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  appforge cost
  appforge cost --users 10000
  appforge cost --users 10000 -o json | jq .total
  appforge cost --users 30000 --max 500
  appforge cost --users 50000 --explain nodes
  appforge cost --users 10000 --compare providers
  appforge cost --users 10000 --compare production scale
  appforge cost --users 10000 --compare appforge.yaml new.yaml
  appforge cost --chart=cost.svg")]
#[command(group = clap::ArgGroup::new("view").args(["compare", "explain", "chart"]))]
pub struct CostArgs {
    /// Daily users, such as 10000, 10,000 or 10k [default: a table of all tiers]
    #[arg(long, value_name = "N", value_parser = users, allow_hyphen_values = true)]
    pub users: Option<u64>,
    /// Exit 8 if the high end of the estimate exceeds this amount a month
    /// [default: `cost.budget` of the stack file]
    #[arg(long, value_name = "AMOUNT", requires = "users", allow_hyphen_values = true)]
    pub max: Option<Amount>,
    /// Explain one number: a line item such as `nodes`, or `replicas`, `tier`,
    /// `total`
    #[arg(long, value_name = "ITEM", requires = "users")]
    pub explain: Option<String>,
    /// Compare `tiers`, `providers`, or two tiers or stack files, at the given
    /// users or at 10,000
    #[arg(long, value_name = "WHAT", num_args = 1..=2)]
    pub compare: Vec<String>,
    /// Draw the cost for 100 to 1,000,000 daily users; with FILE as SVG (`-` for
    /// stdout)
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, conflicts_with_all = ["users", "max"])]
    pub chart: Option<Option<PathBuf>>,
    /// Daily requests of one user [default: `cost.requests_per_user`]
    #[arg(long, value_name = "N")]
    pub requests_per_user: Option<u32>,
    /// Peak load divided by average load [default: `cost.peak_factor`]
    #[arg(long, value_name = "FACTOR")]
    pub peak_factor: Option<Amount>,
    /// Price catalogue; with `extends: default` it changes the embedded one
    /// [default: `cost.catalogue`]
    #[arg(long, value_name = "FILE")]
    pub catalogue: Option<PathBuf>,
    /// Date against which the age of prices is measured [default: today]
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub as_of: Option<Date>,
}

fn users(text: &str) -> Result<u64, String> {
    let plain = text.trim().replace([',', '_'], "");
    let (digits, factor) = match plain.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1_000),
        None => plain.strip_suffix(['m', 'M']).map_or((plain.as_str(), 1), |digits| (digits, 1_000_000)),
    };
    let whole = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
    let number = if whole { digits.parse::<u64>().ok() } else { None };
    number.and_then(|number| number.checked_mul(factor)).filter(|number| *number <= MAX_USERS).ok_or_else(
        || "expected a number of daily users from 0 to 1,000,000,000, such as `10000` or `10k`".to_owned(),
    )
}

fn day(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| "expected a date such as `2026-02-01`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_whole_and_bounded() {
        for (text, number) in [
            ("0", 0),
            ("10000", 10_000),
            ("10,000", 10_000),
            ("10k", 10_000),
            ("1_000", 1000),
            ("1M", 1_000_000),
        ] {
            assert_eq!(users(text), Ok(number), "{text}");
        }
        for text in
            ["", "-1", "1e12", "NaN", "2.5", "1000000000001", "k", "ten", "99999999999999999999k", "+5"]
        {
            users(text).expect_err(text);
        }
    }
}
