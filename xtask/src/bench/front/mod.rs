//! The front beside other reverse proxies: what a request, a refusal and a body cost, what it adds to an answer, how much it holds.

mod paced;
mod peers;
mod report;
mod sink;
mod size;

use std::path::Path;

use anyhow::{Context, Result, ensure};

use self::peers::{Place, Subject};
use self::size::Sizes;
use super::Bench;
use super::document::Part;
use super::outage::failing;
use super::process::{Core, cpu_of_family, pinned};
use super::redis::Redis;
use super::rounds::{Rounds, in_turn};
use super::stack::{Limit, Stack};
use super::wrk::{Load, Run, Wrk};
use crate::run::say;

/// Addresses that the passing load comes from.
const CLIENTS: u32 = 10_000;
/// Connections of the passing load.
const CONNECTIONS: [u32; 2] = [64, 350];
/// Connections that carry bodies.
const BODY_CONNECTIONS: u32 = 16;

/// What is asked of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// Small requests of many clients, all of which pass.
    Requests(u32),
    /// One client over its limit.
    Refusals,
    /// Bodies of 1 MB from the app, or to it.
    Down,
    Up,
    /// A steady rate far below saturation.
    Paced,
}

/// One row of a table, with its rounds.
struct Case {
    name: &'static str,
    work: Work,
    subject: usize,
    rounds: Rounds<Round>,
}

/// One run and what it cost.
#[derive(Clone, Copy, Default)]
struct Round {
    run: Run,
    /// CPU of the proxy, in us a request.
    cpu: f64,
    /// CPU of Redis, in us a request.
    redis: f64,
    /// The median answer of the paced load, in ms.
    paced: f64,
}

/// Who is loaded.
enum Loaded {
    Proxy(Subject),
    /// The bundled service, whose limiter the front shares.
    Service(Stack),
}

impl Loaded {
    fn url(&self, path: &str) -> String {
        match self {
            Self::Proxy(subject) => subject.url(path),
            Self::Service(stack) => stack.url(path),
        }
    }

    fn cpu(&self) -> Result<f64> {
        match self {
            Self::Proxy(subject) => cpu_of_family(subject.id()),
            Self::Service(stack) => stack.cpu(),
        }
    }
}

/// Measures all of it.
pub(super) fn measure(
    bench: &Bench,
    wrk: &Wrk,
    target: &Path,
    root: &Path,
    redis: &mut Redis,
) -> Result<Part> {
    let mut place = Place::prepare(target, root, bench.folder.join("front"), &bench.appforge)?;
    place.redis = redis.port();
    place.sink = sink::start()?;
    let app = place.app()?;
    place.app = app.port;
    let (subjects, mut cases) = cases(bench, &place, app)?;
    in_turn(&mut cases, bench.lengths.front_rounds, |round, case| {
        let subject = subjects.get(case.subject).context("each case has a subject")?;
        let measured = one(bench, wrk, redis, subject, case)
            .with_context(|| format!("{}, {:?}", case.name, case.work))?;
        say(&format!(
            "   round {round}: {:<22} {:<15} {:>7.0} req/s {:>7.1} µs  Redis {:>5.1} µs  {:.3} ms",
            case.name,
            format!("{:?}", case.work),
            measured.run.rate,
            measured.cpu,
            measured.redis,
            measured.paced
        ));
        case.rounds.push(measured);
        Ok(())
    })?;
    say("   memory");
    let sizes: Sizes = size::measure(bench, wrk, || place.front(Limit::Pass, place.sink))?;
    let front = place.front(Limit::Pass, place.app)?;
    let url = front.url("/");
    let failing = failing(bench, redis, "front", || {
        let mut load = pinned(Core::Client, &bench.appforge);
        load.current_dir(&bench.folder).args(["load", "--url", &url, "--compare", "none"]);
        load
    })?;
    Ok(report::part(bench, &cases, &sizes, failing))
}

/// All cases, so ordered that those which are compared run one after the other: the machine's speed drifts.
fn cases(bench: &Bench, place: &Place, app: Subject) -> Result<(Vec<Loaded>, Vec<Case>)> {
    use Limit::{Block, Off, Pass};
    use Loaded::Proxy;

    let (mut subjects, mut cases) = (Vec::new(), Vec::new());
    let mut add = |name, subject, works: &[Work]| {
        subjects.push(subject);
        let subject = subjects.len() - 1;
        cases.extend(works.iter().map(|work| Case { name, work: *work, subject, rounds: Rounds::default() }));
    };
    let pass = CONNECTIONS.map(Work::Requests);
    let both = [pass[0], pass[1], Work::Paced];
    let service = |word: &str, limit| {
        let folder = bench.folder.join(format!("front-{word}"));
        Stack::up(&bench.appforge, folder, limit, Some(place.redis), 1, Core::Server).map(Loaded::Service)
    };
    add("no proxy", Proxy(app), &both);
    add("nginx", Proxy(place.nginx_proxy("nginx", Off, place.app)?), &both);
    add("front, limit off", Proxy(place.front(Off, place.app)?), &both);
    add("front", Proxy(place.front(Pass, place.app)?), &both);
    add("nginx limit_req", Proxy(place.nginx_proxy("nginx-limit", Pass, place.app)?), &pass);
    add("HAProxy", Proxy(place.haproxy("haproxy", Off, place.app)?), &pass);
    add("HAProxy stick table", Proxy(place.haproxy("haproxy-limit", Pass, place.app)?), &pass);
    add("Caddy", Proxy(place.caddy()?), &pass);
    add("Envoy", Proxy(place.envoy("envoy", Off)?), &pass);
    add("Envoy local limit", Proxy(place.envoy("envoy-limit", Pass)?), &pass);
    add("Traefik", Proxy(place.traefik("traefik", Off)?), &pass);
    add("Traefik with Redis", Proxy(place.traefik("traefik-limit", Pass)?), &both);
    add("service, limit off", service("off", Off)?, &[Work::Paced]);
    add("service", service("pass", Pass)?, &[Work::Paced]);
    add("front", Proxy(place.front(Block, place.app)?), &[Work::Refusals]);
    add("nginx limit_req", Proxy(place.nginx_proxy("nginx-block", Block, place.app)?), &[Work::Refusals]);
    add("HAProxy stick table", Proxy(place.haproxy("haproxy-block", Block, place.app)?), &[Work::Refusals]);
    add("Envoy local limit", Proxy(place.envoy("envoy-block", Block)?), &[Work::Refusals]);
    add("Traefik with Redis", Proxy(place.traefik("traefik-block", Block)?), &[Work::Refusals]);
    let bodies = [Work::Down, Work::Up];
    add("front", Proxy(place.front(Pass, place.sink)?), &bodies);
    add("HAProxy", Proxy(place.haproxy("haproxy-body", Off, place.sink)?), &bodies);
    add("nginx", Proxy(place.nginx_proxy("nginx-body", Off, place.sink)?), &bodies);
    cases.sort_by_key(|case| match case.work {
        Work::Requests(connections) => connections,
        Work::Refusals => 1000,
        Work::Paced => 1001,
        Work::Down => 1002,
        Work::Up => 1003,
    });
    Ok((subjects, cases))
}

fn one(bench: &Bench, wrk: &Wrk, redis: &Redis, subject: &Loaded, case: &Case) -> Result<Round> {
    let length = bench.lengths.turn;
    let load = match case.work {
        Work::Requests(connections) => Load::get(subject.url("/")).connections(connections).clients(CLIENTS),
        Work::Refusals => Load::get(subject.url("/")).connections(64).clients(1),
        Work::Down => Load::get(subject.url("/1000000")).connections(BODY_CONNECTIONS),
        Work::Up => Load::post(subject.url("/")).connections(BODY_CONNECTIONS),
        Work::Paced => {
            let (port, path) = match subject {
                Loaded::Proxy(subject) => (subject.port, "/"),
                Loaded::Service(stack) => (stack.port, "/health"),
            };
            return Ok(Round { paced: paced::run(port, path, length)?, ..Round::default() });
        }
    };
    if case.rounds.is_empty() {
        wrk.run(&load, bench.lengths.warm_up)?;
    }
    let (redis_before, before) = (redis.work()?.cpu, subject.cpu()?);
    let run = wrk.run(&load, length)?;
    let (redis_after, after) = (redis.work()?.cpu, subject.cpu()?);
    let share = run.refused / run.requests;
    let right = if case.work == Work::Refusals { share > 0.95 } else { share == 0.0 };
    ensure!(right, "{:.0} of {:.0} requests were refused", run.refused, run.requests);
    let each = |seconds: f64| seconds * 1e6 / run.requests;
    Ok(Round { run, cpu: each(after - before), redis: each(redis_after - redis_before), paced: 0.0 })
}
