//! `cost`: reads prices, measured capacity and the clock, and shows what the pure model makes of them.

use std::path::{Path, PathBuf};

use anyhow::Result;
use jiff::civil::Date;
use serde_json::Value;

use crate::cli::cost::CostArgs;
use crate::commands::Context;
use crate::cost::assumptions::assumptions;
use crate::cost::data::{self, Setting};
use crate::cost::estimate::{self, Estimate};
use crate::cost::money::count;
use crate::cost::{Capacity, Catalogue, Inputs, report};
use crate::error::{ExitStatus, Failure};
use crate::files;
use crate::output::Format;
use crate::spec::Resolved;
use crate::spec::values::Amount;

/// Where `load` keeps what one replica carries.
const CAPACITY_FILE: &str = "capacity.json";

/// Runs `cost`.
pub fn run(context: &Context, args: &CostArgs) -> Result<ExitStatus> {
    context.out.supports(&[Format::Table, Format::Json, Format::Yaml, Format::Csv])?;
    let resolved = context.stack(&flags(args))?;
    let today = args.as_of.unwrap_or_else(today);
    let catalogue = catalogue(context, args, &resolved)?;
    let inputs = Inputs::new(&resolved.stack, capacity(context)?);
    let assumptions = assumptions(&inputs, |path| resolved.origin(path).to_string());
    let setting = Setting { catalogue: &catalogue, assumptions: &assumptions, today };
    let tiers: Vec<Estimate> = catalogue
        .tiers
        .iter()
        .map(|tier| estimate::on_tier(&catalogue, &inputs, tier, tier.users, today))
        .collect();
    let chosen = args.users.map(|users| estimate::estimate(&catalogue, &inputs, users, today));
    context.out.data(&data::document(setting, chosen.as_ref(), &tiers), || {
        match (&chosen, context.out.format) {
            (Some(found), Format::Csv) => data::csv(&catalogue.currency.0, std::slice::from_ref(found)),
            (None, Format::Csv) => data::csv(&catalogue.currency.0, &tiers),
            (Some(found), _) => report::estimate(setting, found),
            (None, _) => report::side_by_side(setting, &tiers),
        }
    })?;
    match &chosen {
        Some(found) => gate(&catalogue, found, args.max.or(resolved.stack.cost.budget)),
        None => Ok(ExitStatus::Done),
    }
}

fn flags(args: &CostArgs) -> Vec<(&'static str, &'static str, Value)> {
    let mut flags = Vec::new();
    if let Some(requests) = args.requests_per_user {
        flags.push(("--requests-per-user", "cost.requests_per_user", requests.into()));
    }
    if let Some(factor) = args.peak_factor {
        flags.push(("--peak-factor", "cost.peak_factor", factor.to_string().into()));
    }
    flags
}

/// The high end counts: a budget that only the low end keeps is a budget that is likely broken.
fn gate(catalogue: &Catalogue, found: &Estimate, most: Option<Amount>) -> Result<ExitStatus> {
    let Some(most) = most.filter(|most| found.total.high > most.0) else { return Ok(ExitStatus::Done) };
    let currency = &catalogue.currency;
    let how = if found.total.low > most.0 { "cost" } else { "may cost" };
    let message = format!(
        "over budget: {} users a day {how} {} a month, the budget is {}",
        count(found.users),
        currency.range(found.total),
        currency.amount(most.0)
    );
    Err(Failure::new(ExitStatus::OverBudget, message)
        .hint("`appforge cost` shows what each tier costs")
        .into())
}

fn today() -> Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}

fn catalogue(context: &Context, args: &CostArgs, resolved: &Resolved) -> Result<Catalogue> {
    // A path on the command line is meant from here, one in the file from the file.
    let path: Option<PathBuf> = match (&args.catalogue, &resolved.stack.cost.catalogue) {
        (Some(path), _) => Some(path.clone()),
        (None, Some(path)) => Some(context.project.folder.join(path)),
        (None, None) => None,
    };
    let Some(path) = path else { return Ok(Catalogue::builtin()) };
    let name = path.strip_prefix(&context.project.folder).unwrap_or(&path).display().to_string();
    let unread = || Failure::new(ExitStatus::Config, format!("the catalogue `{name}` cannot be read"));
    let text = files::read_if_there(&path).map_err(|error| unread().caused_by(error))?;
    let text = text.ok_or_else(|| unread().caused_by(anyhow::anyhow!("there is no such file")))?;
    Catalogue::parse(&text).map_err(|problems| {
        let noun = if problems.len() == 1 { "problem" } else { "problems" };
        let mut message = format!("the catalogue has {} {noun}", problems.len());
        for problem in problems {
            let path = if problem.path.is_empty() { String::new() } else { format!("{}: ", problem.path) };
            message.push_str(&format!(
                "\n  {name}:{}:{}: {path}{}",
                problem.line, problem.column, problem.message
            ));
        }
        Failure::new(ExitStatus::Config, message).into()
    })
}

fn capacity(context: &Context) -> Result<Capacity> {
    let path = context.project.state_folder().join(CAPACITY_FILE);
    let Some(text) = files::read_if_there(&path)? else { return Ok(Capacity::default()) };
    Capacity::from_json(&text).map_err(|reason| {
        Failure::new(ExitStatus::Failed, format!("`{}` is no measured capacity", shown(context, &path)))
            .caused_by(anyhow::anyhow!(reason))
            .hint("`appforge load` writes it again; without the file the default counts")
            .into()
    })
}

fn shown(context: &Context, path: &Path) -> String {
    path.strip_prefix(&context.project.folder).unwrap_or(path).display().to_string()
}
