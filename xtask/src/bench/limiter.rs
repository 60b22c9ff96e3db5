//! The rate limiter under saturation: passing and refusing, against the same server without it and against nginx.

use anyhow::{Context, Result, ensure};

use super::Bench;
use super::document::{Goal, Part, table};
use super::nginx::Nginx;
use super::process::Core;
use super::redis::{Redis, Work};
use super::rounds::{Rounds, in_turn};
use super::stack::{Limit, Stack};
use super::wrk::{Load, Run, Wrk};
use crate::run::say;

/// Addresses that the passing load comes from.
const CLIENTS: u32 = 10_000;
/// Connections of the two workloads.
const CONNECTIONS: [u32; 2] = [64, 350];
const REPLICAS: [u32; 2] = [1, 3];

/// What is loaded.
enum Subject {
    Stack(Stack),
    Nginx(String),
}

/// One row of the table, with its rounds.
struct Case {
    name: &'static str,
    limit: Limit,
    replicas: u32,
    connections: u32,
    subject: usize,
    rounds: Rounds<Round>,
}

/// One run and what it cost.
#[derive(Clone, Copy)]
struct Round {
    run: Run,
    /// CPU of the server, in us a request; nginx is not asked.
    server: Option<f64>,
    /// CPU of Redis, in us a request.
    redis: f64,
    /// Commands of the limiter, per request.
    commands: f64,
    /// Memory of the largest replica after the run, in MB.
    memory: Option<f64>,
}

/// Measures all cases in turn, there and back: of two that are compared, none is always the first.
pub(super) fn measure(bench: &Bench, wrk: &Wrk, redis: &Redis, nginx: Option<&Nginx>) -> Result<Part> {
    let (subjects, mut cases) = cases(bench, redis, nginx)?;
    in_turn(&mut cases, bench.lengths.turns, |round, case| {
        let subject = subjects.get(case.subject).context("each case has a subject")?;
        let measured = one(bench, wrk, redis, subject, case)
            .with_context(|| format!("{}, {} replicas", case.name, case.replicas))?;
        say(&format!(
            "   round {round}: {:<24} {} replicas {:>3} connections {:>9.0} req/s  p99 {:.2} ms",
            case.name, case.replicas, case.connections, measured.run.rate, measured.run.p99
        ));
        case.rounds.push(measured);
        Ok(())
    })?;
    Ok(Part { title: "The limiter under saturation".into(), text: text(bench, &cases), goals: goals(&cases) })
}

fn cases(bench: &Bench, redis: &Redis, nginx: Option<&Nginx>) -> Result<(Vec<Subject>, Vec<Case>)> {
    let (mut subjects, mut cases) = (Vec::new(), Vec::new());
    let mut add = |name, limit, replicas, subject| {
        subjects.push(subject);
        let subject = subjects.len() - 1;
        cases.extend(CONNECTIONS.map(|connections| Case {
            name,
            limit,
            replicas,
            connections,
            subject,
            rounds: Rounds::default(),
        }));
    };
    for replicas in REPLICAS {
        for (name, word, limit) in [
            ("without limiter", "off", Limit::Off),
            ("pass", "pass", Limit::Pass),
            ("block", "block", Limit::Block),
        ] {
            let folder = bench.folder.join(format!("{word}-{replicas}"));
            let port = Some(redis.port());
            let stack = Stack::up(&bench.appforge, folder, limit, port, replicas, Core::Server)?;
            add(name, limit, replicas, Subject::Stack(stack));
        }
    }
    if let Some(nginx) = nginx {
        for (name, route, limit) in [
            ("nginx, no limit", "/plain", Limit::Off),
            ("nginx limit_req, pass", "/pass", Limit::Pass),
            ("nginx limit_req, block", "/block", Limit::Block),
        ] {
            add(name, limit, 1, Subject::Nginx(nginx.url(route)));
        }
    }
    // Those that are compared run one after the other, for the machine's speed drifts from minute to minute.
    cases.sort_by_key(|case| (case.replicas, case.connections));
    Ok((subjects, cases))
}

fn one(bench: &Bench, wrk: &Wrk, redis: &Redis, subject: &Subject, case: &Case) -> Result<Round> {
    let url = match subject {
        Subject::Stack(stack) => stack.url("/health"),
        Subject::Nginx(url) => url.clone(),
    };
    // The same requests with and without a limiter, but for a client that is to be refused.
    let clients = if case.limit == Limit::Block { 1 } else { CLIENTS };
    let load = Load::get(url).connections(case.connections).clients(clients);
    if case.rounds.is_empty() {
        wrk.run(&load, bench.lengths.warm_up)?;
    }
    let (before, cpu) = (redis.work()?, cpu(subject)?);
    let run = wrk.run(&load, bench.lengths.turn)?;
    let (Work { cpu: redis_cpu, commands }, after) = (redis.work()?, self::cpu(subject)?);
    let share = run.refused / run.requests;
    let right = if case.limit == Limit::Block { share > 0.99 } else { share == 0.0 };
    ensure!(right, "{:.0} of {:.0} requests were refused", run.refused, run.requests);
    let each = |seconds: f64| seconds * 1e6 / run.requests;
    Ok(Round {
        run,
        server: cpu.zip(after).map(|(before, after)| each(after - before)),
        redis: each(redis_cpu - before.cpu),
        commands: (commands - before.commands) / run.requests,
        memory: match subject {
            Subject::Stack(stack) => Some(stack.memory()?.0),
            Subject::Nginx(_) => None,
        },
    })
}

fn cpu(subject: &Subject) -> Result<Option<f64>> {
    match subject {
        Subject::Stack(stack) => stack.cpu().map(Some),
        Subject::Nginx(_) => Ok(None),
    }
}

fn text(bench: &Bench, cases: &[Case]) -> String {
    let rows = cases.iter().map(|case| {
        let optional = |read: fn(&Round) -> Option<f64>, digits: usize| {
            case.rounds.median_of_all(read).map_or("-".to_owned(), |median| format!("{median:.digits$}"))
        };
        vec![
            case.name.to_owned(),
            case.replicas.to_string(),
            case.connections.to_string(),
            format!("{:.0}", case.rounds.median(|round| round.run.rate)),
            format!("{:.2}", case.rounds.median(|round| round.run.p50)),
            format!("{:.2}", case.rounds.median(|round| round.run.p95)),
            format!("{:.2}", case.rounds.median(|round| round.run.p99)),
            optional(|round| round.server, 1),
            format!("{:.2}", case.rounds.median(|round| round.redis)),
            format!("{:.3}", case.rounds.median(|round| round.commands)),
            optional(|round| round.memory, 1),
        ]
    });
    let head = [
        "case",
        "replicas",
        "connections",
        "req/s",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "server µs/req",
        "Redis µs/req",
        "commands/req",
        "replica MB",
    ];
    format!(
        "`wrk` with one thread on `GET /health`, keep-alive, closed loop: {} rounds of {} s, all cases in turn, there and back, \
         medians; the ratios above are medians of those within a round. \"Pass\": {CLIENTS} clients, none of whom is \
         refused; \"block\": one client over its limit of 100. \
         \"Without limiter\" is the same binary with `RATE_LIMIT_ENABLED=false` and the same requests. Three replicas share the one \
         core, so they show what sharing a limit costs, not what three cores would carry. nginx's `limit_req` counts in the memory \
         of one machine and writes no `RateLimit` headers: an upper bound, not an equal.\n\n{}",
        bench.lengths.turns,
        bench.lengths.turn.as_secs(),
        table(&head, &rows.collect::<Vec<_>>())
    )
}

fn goals(cases: &[Case]) -> Vec<Goal> {
    let case = |name: &str, replicas: u32, connections: u32| {
        cases
            .iter()
            .find(|case| case.name == name && case.replicas == replicas && case.connections == connections)
    };
    let mut goals = Vec::new();
    let mut ratio = |name: &str, replicas, connections, peer: &str, goal: f64| {
        // The peer runs once, whatever the number of replicas.
        let peer_replicas = if peer.starts_with("nginx") { 1 } else { replicas };
        let pair = case(name, replicas, connections).zip(case(peer, peer_replicas, connections));
        if let Some((case, peer_case)) = pair {
            let noun = if replicas == 1 { "replica" } else { "replicas" };
            let figure = format!("{name}, {connections} connections, {replicas} {noun}: req/s over {peer}");
            goals.push(Goal::at_least(
                figure,
                goal,
                case.rounds.over(&peer_case.rounds, |round| round.run.rate),
                "",
                2,
            ));
        }
    };
    for replicas in REPLICAS {
        ratio("pass", replicas, 64, "without limiter", 0.62);
        ratio("pass", replicas, 350, "without limiter", 0.75);
        ratio("block", replicas, 64, "without limiter", 0.80);
        ratio("block", replicas, 350, "without limiter", 0.80);
    }
    for connections in CONNECTIONS {
        ratio("pass", 1, connections, "nginx limit_req, pass", 0.65);
        ratio("block", 1, connections, "nginx limit_req, block", 0.95);
    }
    // The sturdier figure on a machine that others use too: what the server itself spent.
    let mut spent = |name: &str, connections, goal: f64| {
        if let Some((case, off)) = case(name, 1, connections).zip(case("without limiter", 1, connections)) {
            let figure =
                format!("{name}, {connections} connections: requests per CPU second over without limiter");
            let ratio = off.rounds.over(&case.rounds, |round| round.server.unwrap_or(f64::NAN));
            goals.push(Goal::at_least(figure, goal, ratio, "", 2));
        }
    };
    for connections in CONNECTIONS {
        spent("pass", connections, 0.65);
        spent("block", connections, 0.75);
    }
    for connections in CONNECTIONS {
        if let Some(pass) = case("pass", 1, connections) {
            let figure = format!("pass, {connections} connections: Redis CPU per request");
            goals.push(Goal::at_most(figure, 2.5, pass.rounds.median(|round| round.redis), "µs", 2));
            let figure = format!("pass, {connections} connections: Redis commands per request");
            goals.push(Goal::at_most(figure, 1.02, pass.rounds.median(|round| round.commands), "", 3));
        }
    }
    for replicas in REPLICAS {
        if let Some(block) = case("block", replicas, 350) {
            let figure = format!("block, {replicas} replicas: Redis commands per refused request");
            goals.push(Goal::at_most(figure, 0.002, block.rounds.median(|round| round.commands), "", 4));
        }
    }
    if let Some(pass) = case("pass", 1, 350) {
        let figure = "pass, 350 connections: p99".to_owned();
        goals.push(Goal::at_most(figure, 10.0, pass.rounds.median(|round| round.run.p99), "ms", 2));
        let memory = pass.rounds.median(|round| round.memory.unwrap_or(f64::NAN));
        goals.push(Goal::at_most("memory of a replica at 350 connections".into(), 30.0, memory, "MB", 1));
    }
    goals
}
