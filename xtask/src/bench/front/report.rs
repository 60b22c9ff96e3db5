//! What came of it, with the goals.

use super::size::{CONNECTIONS as SIZE_CONNECTIONS, LONG, Sizes, WEBSOCKETS};
use super::{BODY_CONNECTIONS, CLIENTS, Case, Work, paced};
use crate::bench::Bench;
use crate::bench::document::{Goal, Part, table};
use crate::bench::outage::HEAD;

/// The section.
pub(super) fn part(
    bench: &Bench,
    cases: &[Case],
    sizes: &Sizes,
    failing: (Vec<Vec<String>>, Vec<Goal>),
) -> Part {
    let mut goals = requests(cases);
    goals.extend(added(cases));
    goals.extend([
        Goal::at_most(
            format!("front, {SIZE_CONNECTIONS} connections with bodies of 1 MB: memory"),
            30.0,
            sizes.bodies,
            "MB",
            1,
        ),
        Goal::at_most(format!("front, {} GB down and up: growth", LONG >> 30), 1.0, sizes.long, "MB", 1),
        Goal::at_most(
            format!("front, {WEBSOCKETS} idle WebSockets: memory"),
            60.0,
            sizes.websockets,
            "MB",
            1,
        ),
    ]);
    goals.extend(failing.1);
    Part { title: "The front beside other proxies".into(), text: text(bench, cases, &failing.0), goals }
}

fn find<'a>(cases: &'a [Case], name: &str, work: Work) -> Option<&'a Case> {
    cases.iter().find(|case| case.name == name && case.work == work)
}

fn requests(cases: &[Case]) -> Vec<Goal> {
    let mut goals = Vec::new();
    let pair = |name, peer, work| find(cases, name, work).zip(find(cases, peer, work));
    for (connections, most) in [(64, 1.30), (350, 1.40)] {
        let work = Work::Requests(connections);
        if let Some((front, nginx)) = pair("front", "nginx limit_req", work) {
            let figure = format!("front, {connections} connections: CPU a request over nginx limit_req");
            goals.push(Goal::at_most(
                figure,
                most,
                front.rounds.over(&nginx.rounds, |round| round.cpu),
                "",
                2,
            ));
            let figure = format!("front, {connections} connections: Redis CPU a request");
            goals.push(Goal::at_most(figure, 2.5, front.rounds.median(|round| round.redis), "µs", 2));
        }
        if let Some((front, traefik)) = pair("front", "Traefik with Redis", work) {
            let figure = format!("front, {connections} connections: req/s over Traefik with Redis");
            goals.push(Goal::at_least(
                figure,
                3.5,
                front.rounds.over(&traefik.rounds, |round| round.run.rate),
                "",
                2,
            ));
        }
    }
    if let Some((front, nginx)) = pair("front", "nginx limit_req", Work::Refusals) {
        let figure = "front, refused: CPU a request over nginx limit_req".to_owned();
        goals.push(Goal::at_most(figure, 1.08, front.rounds.over(&nginx.rounds, |round| round.cpu), "", 2));
    }
    for (work, name) in [(Work::Down, "down"), (Work::Up, "up")] {
        if let Some((front, haproxy)) = pair("front", "HAProxy", work) {
            let figure = format!("front, bodies {name}: CPU a MB over HAProxy");
            goals.push(Goal::at_most(
                figure,
                1.2,
                front.rounds.over(&haproxy.rounds, |round| round.cpu),
                "",
                2,
            ));
        }
    }
    goals
}

/// What is added to the median answer, in ms.
fn added(cases: &[Case]) -> Vec<Goal> {
    let over = |name, base| {
        let (case, base) = find(cases, name, Work::Paced).zip(find(cases, base, Work::Paced))?;
        Some(case.rounds.with(&base.rounds, |one, two| one.paced - two.paced))
    };
    let figure = |what| format!("{} requests a second: p50 added by the front, {what}", paced::RATE);
    let (Some(nginx), Some(off), Some(on), Some(limiter), Some(traefik)) = (
        over("nginx", "no proxy"),
        over("front, limit off", "no proxy"),
        over("front", "no proxy"),
        over("service", "service, limit off"),
        over("Traefik with Redis", "no proxy"),
    ) else {
        return Vec::new();
    };
    vec![
        Goal::at_most(figure("limit off, over nginx's"), 1.25, off / nginx, "", 2),
        Goal::at_most(
            figure("limit on, over 1.25 x nginx's and 1.15 x the limiter's in the service"),
            1.0,
            on / (1.25 * nginx + 1.15 * limiter.max(0.0)),
            "",
            2,
        ),
        Goal::at_most(figure("limit on, over Traefik's with Redis"), 0.55, on / traefik, "", 2),
    ]
}

fn text(bench: &Bench, cases: &[Case], failing: &[Vec<String>]) -> String {
    let row = |case: &Case| {
        let work = match case.work {
            Work::Requests(connections) => format!("{connections} connections"),
            Work::Refusals => "refused".into(),
            Work::Down => "1 MB down".into(),
            Work::Up => "1 MB up".into(),
            Work::Paced => format!("{} a second", paced::RATE),
        };
        let saturated = case.work != Work::Paced;
        let number = |show: bool, read: fn(&super::Round) -> f64, digits: usize| {
            if show { format!("{:.digits$}", case.rounds.median(read)) } else { "-".to_owned() }
        };
        vec![
            case.name.to_owned(),
            work,
            number(saturated, |round| round.run.rate, 0),
            number(true, |round| if round.paced > 0.0 { round.paced } else { round.run.p50 }, 3),
            number(saturated, |round| round.run.p99, 2),
            number(saturated, |round| round.cpu, 1),
            number(saturated, |round| round.redis, 2),
        ]
    };
    let head = ["proxy", "load", "req/s", "p50 ms", "p99 ms", "CPU µs/req", "Redis µs/req"];
    format!(
        "Each proxy has core 0, one worker or thread; the app (nginx, 100 bytes), `wrk` and Valkey share core 1. {} rounds of {} s, all \
         cases in turn, there and back, medians; ratios are medians of those within a round. Requests come from {CLIENTS} clients by \
         `X-Forwarded-For`; \"refused\": one client over a limit of 100, 64 connections; bodies over {BODY_CONNECTIONS} connections. The \
         limits of nginx, HAProxy and Envoy count in the memory of one machine; those of the front and of Traefik count in Redis.\n\n{}\n\
         The front, while Redis fails for the middle third of {} s:\n\n{}",
        bench.lengths.front_rounds,
        bench.lengths.turn.as_secs(),
        table(&head, &cases.iter().map(row).collect::<Vec<_>>()),
        bench.lengths.outage.as_secs(),
        table(&HEAD, failing)
    )
}
