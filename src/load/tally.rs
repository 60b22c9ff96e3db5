//! What was measured: counters and distributions of a window of time, or of a whole run. Its size does not depend on
//! how much is recorded.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::load::connection::{Answer, ErrorKind, Opened};
use crate::load::histogram::Latencies;
use crate::load::step::{Condition, Step};

/// Counters and distributions.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Requests that ended, in whatever way.
    pub requests: u64,
    /// Those without an answer, or with a status that is no success; answers 429 are not among them.
    pub failed: u64,
    /// Those that the rate limiter refused (429).
    pub limited: u64,
    /// Latencies of all requests that were answered or timed out, but for limited ones: a refusal is quick and
    /// would flatter the service.
    pub duration: Latencies,
    /// Latencies of successful requests.
    pub succeeded: Latencies,
    /// Latencies of limited requests.
    pub limited_duration: Latencies,
    /// From the last byte sent to the head of the answer.
    pub waiting: Latencies,
    /// From the head of the answer to its end.
    pub receiving: Latencies,
    /// Time to connect (TCP).
    pub connecting: Latencies,
    /// Time to shake hands (TLS).
    pub tls: Latencies,
    /// How late the generator itself woke up to send.
    pub late: Latencies,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without an answer, by kind, in the order of [`ErrorKind::ALL`].
    pub errors: [u64; ErrorKind::ALL.len()],
    /// Requests that were due while every connection was busy.
    pub queued: u64,
    /// Simulated clients that sent something.
    pub clients: u64,
    /// Bytes written.
    pub sent: u64,
    /// Bytes read.
    pub received: u64,
    /// CPU time of the generator.
    pub cpu: Duration,
    /// What each step did, in the scenario's order.
    pub routes: Vec<Route>,
}

/// What one step did.
#[derive(Clone, Debug)]
pub struct Route {
    /// Requests that ended.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that were limited.
    pub limited: u64,
    /// Latencies, as [`Tally::duration`].
    pub duration: Latencies,
    /// Passed and failed, for each check of the step.
    pub checks: Vec<(u64, u64)>,
}

impl Tally {
    /// Nothing yet, for these steps.
    pub fn new(steps: &[Step]) -> Self {
        let route = |step: &Step| Route {
            requests: 0,
            failed: 0,
            limited: 0,
            duration: Latencies::new(),
            checks: vec![(0, 0); step.checks.len()],
        };
        Self {
            requests: 0,
            failed: 0,
            limited: 0,
            duration: Latencies::new(),
            succeeded: Latencies::new(),
            limited_duration: Latencies::new(),
            waiting: Latencies::new(),
            receiving: Latencies::new(),
            connecting: Latencies::new(),
            tls: Latencies::new(),
            late: Latencies::new(),
            statuses: BTreeMap::new(),
            errors: [0; ErrorKind::ALL.len()],
            queued: 0,
            clients: 0,
            sent: 0,
            received: 0,
            cpu: Duration::ZERO,
            routes: steps.iter().map(route).collect(),
        }
    }

    /// A connection was made.
    pub fn opened(&mut self, opened: Opened) {
        self.connecting.record(opened.connecting);
        if let Some(tls) = opened.tls {
            self.tls.record(tls);
        }
    }

    /// A request of step `index` was answered. `since` is when it was due (open) or sent (closed), `sent` when it was sent.
    pub fn answered(&mut self, index: usize, step: &Step, since: Instant, sent: Instant, answer: &Answer) {
        let latency = answer.end_at.saturating_duration_since(since);
        let status = answer.status;
        self.requests += 1;
        *self.statuses.entry(status).or_default() += 1;
        let route = &mut self.routes[index];
        route.requests += 1;
        if step.limited(status) {
            self.limited += 1;
            route.limited += 1;
            self.limited_duration.record(latency);
            return;
        }
        self.duration.record(latency);
        route.duration.record(latency);
        self.waiting.record(answer.head_at.saturating_duration_since(sent));
        self.receiving.record(answer.end_at.saturating_duration_since(answer.head_at));
        if step.succeeds(status) {
            self.succeeded.record(latency);
        } else {
            self.failed += 1;
            route.failed += 1;
        }
        for (check, (passed, failed)) in step.checks.iter().zip(&mut route.checks) {
            *if holds(&check.condition, answer, latency) { passed } else { failed } += 1;
        }
    }

    /// A request of step `index` has no answer. `waited` is how long it waited in vain; `None` when it never got that
    /// far, since the time to be refused says nothing of the service's speed.
    pub fn lost(&mut self, index: usize, kind: ErrorKind, waited: Option<Duration>) {
        self.requests += 1;
        self.failed += 1;
        self.errors[kind as usize] += 1;
        let route = &mut self.routes[index];
        route.requests += 1;
        route.failed += 1;
        route.checks.iter_mut().for_each(|(_, failed)| *failed += 1);
        if let Some(waited) = waited {
            self.duration.record(waited);
            route.duration.record(waited);
        }
    }

    /// Requests lost in this way.
    pub fn errors_of(&self, kind: ErrorKind) -> u64 {
        self.errors[kind as usize]
    }

    /// Passed and failed checks of all steps.
    pub fn checks(&self) -> (u64, u64) {
        self.routes
            .iter()
            .flat_map(|route| &route.checks)
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// Adds all of `other`, which has the same steps.
    pub fn merge(&mut self, other: &Self) {
        for (mine, its) in [
            (&mut self.requests, other.requests),
            (&mut self.failed, other.failed),
            (&mut self.limited, other.limited),
            (&mut self.queued, other.queued),
            (&mut self.clients, other.clients),
            (&mut self.sent, other.sent),
            (&mut self.received, other.received),
        ] {
            *mine += its;
        }
        for (mine, its) in self.latencies_mut().into_iter().zip(other.distributions()) {
            mine.merge(its);
        }
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        self.errors.iter_mut().zip(other.errors).for_each(|(mine, its)| *mine += its);
        self.cpu += other.cpu;
        for (mine, its) in self.routes.iter_mut().zip(&other.routes) {
            mine.requests += its.requests;
            mine.failed += its.failed;
            mine.limited += its.limited;
            mine.duration.merge(&its.duration);
            for (mine, its) in mine.checks.iter_mut().zip(&its.checks) {
                *mine = (mine.0 + its.0, mine.1 + its.1);
            }
        }
    }

    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.latencies_mut().into_iter().for_each(Latencies::clear);
        for route in &mut self.routes {
            (route.requests, route.failed, route.limited) = (0, 0, 0);
            route.duration.clear();
            route.checks.fill((0, 0));
        }
        (self.requests, self.failed, self.limited, self.queued, self.clients) = (0, 0, 0, 0, 0);
        (self.sent, self.received, self.cpu) = (0, 0, Duration::ZERO);
        self.statuses.clear();
        self.errors = [0; ErrorKind::ALL.len()];
    }

    fn latencies_mut(&mut self) -> [&mut Latencies; 8] {
        [
            &mut self.duration,
            &mut self.succeeded,
            &mut self.limited_duration,
            &mut self.waiting,
            &mut self.receiving,
            &mut self.connecting,
            &mut self.tls,
            &mut self.late,
        ]
    }

    fn distributions(&self) -> [&Latencies; 8] {
        [
            &self.duration,
            &self.succeeded,
            &self.limited_duration,
            &self.waiting,
            &self.receiving,
            &self.connecting,
            &self.tls,
            &self.late,
        ]
    }
}

fn holds(condition: &Condition, answer: &Answer, latency: Duration) -> bool {
    match condition {
        Condition::Status(statuses) => statuses.contains(&answer.status),
        Condition::BodyContains(text) => {
            let body = &answer.body;
            text.is_empty() || body.windows(text.len()).any(|part| part == text.as_bytes())
        }
        Condition::Header(name, text) => {
            let value = answer.headers.get(name);
            value.is_some_and(|value| String::from_utf8_lossy(value.as_bytes()).contains(text))
        }
        Condition::Within(limit) => latency <= *limit,
    }
}
