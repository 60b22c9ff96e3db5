//! Which scenario, with which thresholds: the flags over the scenario over the stack file.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::cli::load::LoadArgs;
use crate::document::report;
use crate::error::{ExitStatus, Failure};
use crate::float;
use crate::load::connection::Endpoint;
use crate::load::scenario::{self, Model, Scenario};
use crate::load::schedule::Schedule;
use crate::load::step::Step;
use crate::load::thresholds::Threshold;
use crate::load::user_file::{self, Defaults};
use crate::stack::Stack;
use crate::trust;

/// How long the built-in scenarios take unless told.
const DURATION: Duration = Duration::from_secs(60);
/// How long `capacity` tries one rate unless told.
pub(super) const TRIAL: Duration = Duration::from_secs(5);
/// The proof of a capacity takes this many times as long: a queue that grows slowly shows only with time.
pub(super) const PROOF: u32 = 4;
/// The first rate that `capacity` tries unless told, per second.
const FIRST_RATE: f64 = 100.0;

/// The scenario that the user chose.
pub(super) struct Choice {
    /// What to run.
    pub scenario: Scenario,
    /// Whether its rate is where a search begins.
    pub capacity: bool,
    from_file: bool,
}

impl Choice {
    /// Reads `--scenario` and what shapes it.
    pub(super) fn read(args: &LoadArgs, stack: &Stack) -> Result<Self> {
        for (flag, span) in [("--duration", args.duration), ("--timeout", Some(args.timeout))] {
            if span.is_some_and(|span| span.0.is_zero()) {
                return Err(Failure::new(ExitStatus::Usage, format!("{flag} must be longer than 0s")).into());
            }
        }
        let name = args.scenario.as_str();
        let think_time = args.think_time.unwrap_or(stack.load.think_time).0;
        let built_in = |name: &str, model| Scenario {
            name: name.to_owned(),
            model,
            steps: scenario::built_in_steps(&stack.service),
            thresholds: Vec::new(),
        };
        if name == "capacity" {
            let (rate, duration) =
                (args.rate.unwrap_or(FIRST_RATE), args.duration.map_or(TRIAL, |span| span.0));
            let scenario = built_in(name, constant(args, rate, duration));
            return Ok(Self { scenario, capacity: true, from_file: false });
        }
        if let Some((name, users)) = scenario::BUILT_IN.iter().find(|(known, _)| *known == name) {
            let users = Schedule::ramped(f64::from(*users), DURATION, think_time);
            // Runs of a rate are no runs of so many users: they are kept and compared apart.
            let name = if args.rate.is_some() { "rate" } else { name };
            let scenario = built_in(name, shaped(args, Model::Closed { users, think_time }));
            return Ok(Self { scenario, capacity: false, from_file: false });
        }
        let mut scenario = from_file(name, think_time)?;
        scenario.model = shaped(args, scenario.model);
        Ok(Self { scenario, capacity: false, from_file: true })
    }

    /// How long the run takes that is reported.
    pub(super) fn length(&self) -> Duration {
        self.scenario.model.duration() * if self.capacity { PROOF } else { 1 }
    }

    /// A URL with a path means that path and nothing else.
    pub(super) fn narrow(&mut self, endpoint: &Endpoint) -> Result<()> {
        match endpoint.path() {
            Some(_) if self.from_file => {
                let text = "both the scenario file and --url set a path";
                let hint = format!("--url {}", endpoint.base());
                Err(Failure::new(ExitStatus::Usage, text).hint(hint).into())
            }
            Some(path) => {
                self.scenario.steps = vec![Step::get("url", path, 1)];
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// The scenario with another rate.
pub(super) fn constant(args: &LoadArgs, rate: f64, duration: Duration) -> Model {
    // Enough for answers of a second, within what one replica is asked to hold at stress.
    let usual = float::to_u32(rate.ceil()).clamp(10, 350);
    Model::Open { rate: Schedule::constant(rate, duration), connections: args.vus.unwrap_or(usual) }
}

/// What flags make of a model: they replace its stages.
fn shaped(args: &LoadArgs, model: Model) -> Model {
    let duration = args.duration.map_or(model.duration(), |span| span.0);
    match (args.rate, model) {
        (Some(rate), _) => constant(args, rate, duration),
        (None, Model::Closed { users, think_time }) => {
            let think_time = args.think_time.map_or(think_time, |span| span.0);
            let users = match args.vus {
                None if args.duration.is_none() => users,
                vus => Schedule::ramped(vus.map_or(users.peak(), f64::from), duration, think_time),
            };
            Model::Closed { users, think_time }
        }
        (None, Model::Open { rate, connections }) => {
            let connections = args.vus.unwrap_or(connections);
            let rate = if args.duration.is_some() { Schedule::constant(rate.peak(), duration) } else { rate };
            Model::Open { rate, connections }
        }
    }
}

fn from_file(name: &str, think_time: Duration) -> Result<Scenario> {
    let names: Vec<&str> = scenario::BUILT_IN.iter().map(|(name, _)| *name).collect();
    let names = format!("scenarios: {}, capacity, or a YAML file", names.join(", "));
    let text = trust::read(Path::new(name))
        .map_err(|error| match error.downcast_ref::<Failure>() {
            Some(_) => error,
            None => {
                Failure::new(ExitStatus::Config, format!("`{name}` cannot be read")).caused_by(error).into()
            }
        })?
        .ok_or_else(|| Failure::new(ExitStatus::Config, format!("unknown scenario `{name}`")).hint(names))?;
    let stem = Path::new(name).file_stem().map_or(name.into(), |stem| stem.to_string_lossy());
    let variable = |name: &str| std::env::var(name).ok();
    let defaults = Defaults { name: &stem, think_time, variable: &variable };
    user_file::parse(name, &text, &defaults)
        .map_err(|problems| Failure::new(ExitStatus::Config, report("the scenario has", &problems)).into())
}

/// What must hold.
pub(super) fn thresholds(args: &LoadArgs, stack: &Stack, scenario: &Scenario) -> Result<Vec<Threshold>> {
    let file = Threshold::layered(Threshold::of_stack(&stack.load.thresholds), &scenario.thresholds);
    let all = Threshold::layered(file, &args.thresholds);
    for threshold in &all {
        let known = |name: &str| scenario.steps.iter().any(|step| step.name == name);
        if let Some(name) = threshold.step().filter(|name| !known(name)) {
            let names: Vec<&str> = scenario.steps.iter().map(|step| step.name.as_str()).collect();
            let text = format!("the threshold `{threshold}` refers to the unknown step `{name}`");
            let hint = format!("steps: {}", names.join(", "));
            return Err(Failure::new(ExitStatus::Usage, text).hint(hint).into());
        }
    }
    Ok(all)
}
