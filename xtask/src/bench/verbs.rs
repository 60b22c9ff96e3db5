//! What a user waits for: the verbs on the local target with embedded stores, and what an idle replica holds.

use std::process::Command;

use anyhow::Result;

use super::document::{Goal, Part, table};
use super::process::finish;
use super::stack::{Limit, Stack};
use super::{Bench, median};
use crate::run::say;

/// How often the quick verbs are run.
const QUICK: usize = 20;

/// Times the verbs.
pub(super) fn measure(bench: &Bench) -> Result<Part> {
    let mut version = Vec::new();
    for _ in 0..QUICK {
        let (_, took) = finish(Command::new(&bench.appforge).arg("--version"), &[0])?;
        version.push(took.as_secs_f64() * 1e3);
    }
    let (mut up, mut scale, mut verify, mut down) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut one, mut three) = (Vec::new(), Vec::new());
    for round in 1..=bench.lengths.rounds {
        let mut stack = Stack::prepare(&bench.appforge, bench.folder.join("verbs"), Limit::Block, None)?;
        up.push(stack.run(&["up"])?);
        stack.find_replicas()?;
        one.push(stack.memory()?.0);
        scale.push(stack.run(&["scale", "--replicas", "3"])?);
        verify.push(stack.run(&["verify"])?);
        stack.find_replicas()?;
        three.push(stack.memory()?.0);
        down.push(stack.run(&["down", "--volumes", "--yes"])?);
        say(&format!("   round {round} of {}", bench.lengths.rounds));
    }
    let version = median(&mut version);
    let (up, scale, verify, down) =
        (median(&mut up), median(&mut scale), median(&mut verify), median(&mut down));
    let (one, three) = (median(&mut one), median(&mut three));
    let row = |what: &str, value: f64, unit: &str| vec![what.to_owned(), format!("{value:.1} {unit}")];
    let rows = vec![
        row("`appforge --version`", version, "ms"),
        row("`appforge up` in an empty folder, embedded stores, to ready", up, "ms"),
        row("`appforge scale --replicas 3`, from 1", scale, "ms"),
        row("`appforge verify`, all checks, 3 replicas", verify, "ms"),
        row("`appforge down --volumes --yes`", down, "ms"),
        row("resident memory of a replica just after `up`", one, "MB"),
        row("resident memory of the largest of 3 replicas after `verify`", three, "MB"),
    ];
    let text = format!(
        "Wall-clock time of the command as a user sees it, medians of {} rounds ({QUICK} for `--version`), both cores.\n\n{}",
        bench.lengths.rounds,
        table(&["what", "median"], &rows)
    );
    let goals = vec![
        Goal::at_most("`--version`".into(), 10.0, version, "ms", 1),
        Goal::at_most("`up` with embedded stores, to ready".into(), 1000.0, up, "ms", 0),
        Goal::at_most("`scale` 1 to 3".into(), 1000.0, scale, "ms", 0),
        Goal::at_most("`verify`".into(), 3000.0, verify, "ms", 0),
        Goal::at_most("memory of an idle replica".into(), 30.0, one, "MB", 1),
    ];
    Ok(Part { title: "Verbs on the local target".into(), text, goals })
}
