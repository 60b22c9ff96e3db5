//! `cost`: reads prices, measured capacity and the clock, and shows what the pure model makes of them.

use std::path::{Path, PathBuf};

use anyhow::Result;
use jiff::civil::Date;
use serde_json::Value;

use crate::cli::cost::CostArgs;
use crate::commands::Context;
use crate::cost::assumptions::{Assumption, assumptions};
use crate::cost::catalogue::Tier;
use crate::cost::compare::offers;
use crate::cost::data::{self, Setting};
use crate::cost::estimate::Estimate;
use crate::cost::money::{Currency, count};
use crate::cost::pricing;
use crate::cost::view::{self, View};
use crate::cost::{Capacity, Catalogue, Inputs, chart, explain, report};
use crate::document::report;
use crate::error::{ExitStatus, Failure};
use crate::files;
use crate::output::Format;
use crate::stack::Resolved;
use crate::stack::values::Amount;
use crate::trust;

/// Where `load` keeps what one replica carries.
const CAPACITY_FILE: &str = "capacity.json";

/// Users a day of a comparison that names none: the load that the setup is built for.
const COMPARED_USERS: u64 = 10_000;

/// Points of the chart's data: 16 for each power of ten, and the last.
const CHART_POINTS: usize = 65;

/// What an estimate is made from: one stack with its prices.
struct Scene {
    resolved: Resolved,
    catalogue: Catalogue,
    inputs: Inputs,
    today: Date,
}

/// Runs `cost`.
pub(super) fn run(context: &Context, args: &CostArgs) -> Result<ExitStatus> {
    let today = args.as_of.unwrap_or_else(today);
    let scene = Scene::of(context, args, capacity(context)?, today)?;
    let assumptions = scene.assumptions();
    let setting = Setting { catalogue: &scene.catalogue, assumptions: &assumptions, today };
    if let Some(file) = &args.chart {
        return chart(context, &scene, setting, file.as_deref());
    }
    if !args.compare.is_empty() {
        return compare(context, args, &scene, setting);
    }
    let chosen = args.users.map(|users| scene.estimate(users));
    if let (Some(topic), Some(found)) = (&args.explain, &chosen) {
        let explained = explain::explain(&scene.catalogue, &scene.inputs, found, topic)
            .map_err(|message| Failure::new(ExitStatus::Usage, message))?;
        show(context, &view::explanation(found, &explained))?;
        return gate(&scene.catalogue, found, args.max);
    }
    let tiers = scene.tiers(None);
    context.out.data(&data::document(setting, chosen.as_ref(), &tiers), || {
        match (&chosen, context.out.format) {
            (Some(found), Format::Csv) => data::csv(&scene.catalogue.currency.0, std::slice::from_ref(found)),
            (None, Format::Csv) => data::csv(&scene.catalogue.currency.0, &tiers),
            (Some(found), _) => report::estimate(setting, found),
            (None, _) => report::side_by_side(setting, &tiers),
        }
    })?;
    match &chosen {
        Some(found) => gate(&scene.catalogue, found, args.max.or(scene.resolved.stack.cost.budget)),
        None => Ok(ExitStatus::Done),
    }
}

impl Scene {
    fn of(context: &Context, args: &CostArgs, capacity: Capacity, today: Date) -> Result<Self> {
        let resolved = context.stack(&flags(args))?;
        let catalogue = catalogue(context, args, &resolved)?;
        let inputs = Inputs::new(&resolved.stack, capacity);
        Ok(Self { resolved, catalogue, inputs, today })
    }

    fn assumptions(&self) -> Vec<Assumption> {
        assumptions(&self.inputs, |path| self.resolved.origin(path).to_string())
    }

    fn estimate(&self, users: u64) -> Estimate {
        pricing::estimate(&self.catalogue, &self.inputs, users, self.today)
    }

    /// Each tier for `users`, or for the users that it is shown for.
    fn tiers(&self, users: Option<u64>) -> Vec<Estimate> {
        let tiers = self.catalogue.tiers.iter();
        tiers.map(|tier| self.on_tier(tier, users.unwrap_or(tier.users))).collect()
    }

    fn on_tier(&self, tier: &Tier, users: u64) -> Estimate {
        pricing::on_tier(&self.catalogue, &self.inputs, tier, users, self.today)
    }
}

fn show(context: &Context, view: &View) -> Result<()> {
    context.out.data(&view.json, || match context.out.format {
        Format::Csv => data::lines(&view.rows),
        _ => view.text.clone(),
    })
}

fn chart(context: &Context, scene: &Scene, setting: Setting<'_>, file: Option<&Path>) -> Result<ExitStatus> {
    let (catalogue, inputs, today) = (&scene.catalogue, &scene.inputs, scene.today);
    let budget = scene.resolved.stack.cost.budget.map(|budget| budget.0);
    let Some(file) = file else {
        let points = chart::points(catalogue, inputs, today, CHART_POINTS);
        let text = chart::text(catalogue, inputs, today, budget);
        show(context, &view::chart(setting, &points, text, budget))?;
        return Ok(ExitStatus::Done);
    };
    context.out.supports(&[Format::Table])?;
    let svg = chart::svg(catalogue, inputs, today, budget);
    if file == Path::new("-") {
        context.out.text(&svg)?;
    } else {
        files::write(file, svg.as_bytes())?;
        context.out.say(format!("wrote {}", file.display()));
    }
    Ok(ExitStatus::Done)
}

fn compare(context: &Context, args: &CostArgs, scene: &Scene, setting: Setting<'_>) -> Result<ExitStatus> {
    let users = args.users.unwrap_or(COMPARED_USERS);
    let chosen = scene.estimate(users);
    let words: Vec<&str> = args.compare.iter().map(String::as_str).collect();
    let judged = match words[..] {
        ["tiers"] => {
            show(context, &view::tiers(setting, &chosen, &scene.tiers(Some(users))))?;
            chosen
        }
        ["providers"] => {
            show(context, &view::offers(setting, &chosen, &offers(&scene.catalogue, &chosen)))?;
            chosen
        }
        [from, to] => {
            let (from_side, to_side) =
                (side(context, args, scene, from, users)?, side(context, args, scene, to, users)?);
            if from_side.1 != to_side.1 {
                let message = format!("`{from}` is priced in {}, `{to}` in {}", from_side.1, to_side.1);
                return Err(Failure::new(ExitStatus::Usage, message).into());
            }
            show(context, &view::difference(setting, (from, to), &from_side.0, &to_side.0))?;
            to_side.0
        }
        _ => {
            let message = format!("`--compare {}` requires a second tier or stack file", words.join(" "));
            return Err(Failure::new(ExitStatus::Usage, message)
                .hint("use `--compare tiers`, `--compare providers`, or two tiers or stack files")
                .into());
        }
    };
    gate(&scene.catalogue, &judged, args.max)
}

/// One side of a comparison: a tier of the catalogue, or a stack file with prices of its own.
fn side(
    context: &Context,
    args: &CostArgs,
    scene: &Scene,
    word: &str,
    users: u64,
) -> Result<(Estimate, Currency)> {
    if let Some((_, tier)) = scene.catalogue.tier(word) {
        return Ok((scene.on_tier(tier, users), scene.catalogue.currency.clone()));
    }
    let path = Path::new(word);
    if !path.is_file() {
        let tiers: Vec<&str> = scene.catalogue.tiers.iter().map(|tier| tier.name.as_str()).collect();
        let message = format!("`{word}` is neither a tier nor a stack file");
        return Err(Failure::new(ExitStatus::Usage, message)
            .hint(format!("tiers: {}", tiers.join(", ")))
            .into());
    }
    let other = Scene::of(&context.of_file(path)?, args, scene.inputs.capacity.clone(), scene.today)?;
    Ok((other.estimate(users), other.catalogue.currency))
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
        .hint(format!("appforge cost --users {} --explain total", found.users))
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
    let unread = || Failure::new(ExitStatus::Config, format!("cannot read the catalogue `{name}`"));
    let text = trust::read(&path).map_err(|error| match error.downcast_ref::<Failure>() {
        Some(_) => error,
        None => unread().caused_by(error).into(),
    })?;
    let text = text.ok_or_else(|| unread().caused_by(anyhow::anyhow!("file not found")))?;
    // Where the day begins first, it is tomorrow; and a price may be of the day that prices are judged on.
    let latest = today().tomorrow().unwrap_or(Date::MAX).max(args.as_of.unwrap_or(Date::MIN));
    Catalogue::parse(&name, &text, latest)
        .map_err(|problems| Failure::new(ExitStatus::Config, report("the catalogue has", &problems)).into())
}

fn capacity(context: &Context) -> Result<Capacity> {
    let path = context.project.state_folder()?.join(CAPACITY_FILE);
    let Some(text) = files::read_private(&path)? else { return Ok(Capacity::default()) };
    Capacity::from_json(&text).map_err(|reason| {
        Failure::new(ExitStatus::Failed, format!("`{}` is not a capacity measurement", shown(context, &path)))
            .caused_by(anyhow::anyhow!(reason))
            .hint(
                "measure again (`appforge load --scenario capacity`), or remove the file to use the default",
            )
            .into()
    })
}

fn shown(context: &Context, path: &Path) -> String {
    path.strip_prefix(&context.project.folder).unwrap_or(path).display().to_string()
}
