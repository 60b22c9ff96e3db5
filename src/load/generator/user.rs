//! One virtual user: a connection, an identity, and what it does with them. Shared by both models.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use appforge_service::contract;
use bytes::Bytes;
use http::header::HOST;
use tokio_util::sync::CancellationToken;

use crate::load::client::Identity;
use crate::load::connection::{Connection, Deadline, ErrorKind, Traffic, Wish};
use crate::load::generator::plan::Plan;
use crate::load::step::Step;
use crate::load::tally::Tally;

/// The placeholder for a number that no other request has.
const NUMBER: &str = "${n}";

/// What the users of one thread share.
pub(crate) struct Shared {
    pub plan: Arc<Plan>,
    /// The index of this thread.
    pub worker: usize,
    /// When the first request is due.
    pub begin: Instant,
    pub tally: RefCell<Tally>,
    pub traffic: Rc<Traffic>,
    /// No new requests; also wakes those who sleep.
    pub stop: CancellationToken,
    /// The same, cheap to ask.
    pub stopped: Cell<bool>,
    /// The next arrival of an open model, counted within this thread.
    pub arrivals: Cell<u64>,
    numbers: Cell<u64>,
    templates: Vec<Template>,
    weights: u64,
}

/// The bytes of a step's request, but for what differs from one to the next.
struct Template {
    /// Request line and headers, without the empty line at the end.
    head: String,
    body: Bytes,
    /// Head or body holds `${n}`.
    numbered: bool,
    wish: Wish,
}

impl Shared {
    pub(crate) fn new(
        plan: Arc<Plan>,
        worker: usize,
        begin: Instant,
        stop: CancellationToken,
    ) -> Result<Self> {
        let steps = &plan.scenario.steps;
        let templates = steps.iter().map(|step| template(&plan, step)).collect::<Result<_>>()?;
        let tally = RefCell::new(Tally::new(steps));
        let weights = steps.iter().map(|step| u64::from(step.weight)).sum();
        Ok(Self {
            plan,
            worker,
            begin,
            tally,
            traffic: Rc::default(),
            stop,
            stopped: Cell::new(false),
            arrivals: Cell::new(0),
            numbers: Cell::new(0),
            templates,
            weights,
        })
    }

    /// Sleeps until `at`; false when the run ended meanwhile.
    pub(crate) async fn sleep_until(&self, at: Instant) -> bool {
        tokio::select! {
            () = tokio::time::sleep_until(at.into()) => true,
            () = self.stop.cancelled() => false,
        }
    }

    /// A number that no other request of this run has.
    fn number(&self) -> u64 {
        let number = self.numbers.get();
        self.numbers.set(number + 1);
        number * self.plan.threads as u64 + self.worker as u64
    }

    /// Writes the bytes of a request of step `index` to `bytes`, with one more header if given.
    fn write(&self, index: usize, identity: Option<(&str, &[u8])>, bytes: &mut Vec<u8>) {
        let template = &self.templates[index];
        bytes.clear();
        let (head, body) = if template.numbered {
            let number = self.number().to_string();
            let body = String::from_utf8_lossy(&template.body).replace(NUMBER, &number);
            (Cow::from(template.head.replace(NUMBER, &number)), Bytes::from(body))
        } else {
            (Cow::from(&template.head), template.body.clone())
        };
        bytes.extend_from_slice(head.as_bytes());
        if let Some((name, value)) = identity {
            [name.as_bytes(), b": ", value, b"\r\n"]
                .into_iter()
                .for_each(|part| bytes.extend_from_slice(part));
        }
        if !body.is_empty() || self.plan.scenario.steps[index].sends_length() {
            bytes.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&body);
    }
}

fn template(plan: &Plan, step: &Step) -> Result<Template> {
    let mut head = format!("{} {} HTTP/1.1\r\n", step.method, step.target());
    if !step.headers.contains_key(HOST) {
        head.push_str(&format!("host: {}\r\n", plan.endpoint.host()));
    }
    for (name, value) in &step.headers {
        let value = value.to_str().with_context(|| format!("the header `{name}` is not ASCII"))?;
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let numbered = head.contains(NUMBER) || String::from_utf8_lossy(&step.body).contains(NUMBER);
    Ok(Template { head, body: step.body.clone(), numbered, wish: step.wish() })
}

/// A virtual user.
pub(crate) struct User {
    shared: Rc<Shared>,
    /// Which one, among those of all threads.
    pub number: usize,
    connection: Option<Connection>,
    identity: Identity,
    deadline: Deadline,
    random: u64,
    /// The bytes of the request that is sent, kept for its memory.
    bytes: Vec<u8>,
}

impl User {
    pub(crate) fn new(shared: Rc<Shared>, number: usize) -> Self {
        let identity = shared.plan.clients.user(number);
        let deadline = Deadline::new(shared.plan.timeout);
        let random = number as u64;
        Self { shared, number, connection: None, identity, deadline, random, bytes: Vec::new() }
    }

    /// Chooses a step by weight. The sequence of a user is the same in each run.
    pub(crate) fn choose(&mut self) -> usize {
        let steps = &self.shared.plan.scenario.steps;
        if steps.len() <= 1 {
            return 0;
        }
        let mut point = splitmix(&mut self.random) % self.shared.weights.max(1);
        for (index, step) in steps.iter().enumerate() {
            match point.checked_sub(u64::from(step.weight)) {
                Some(rest) => point = rest,
                None => return index,
            }
        }
        0
    }

    /// Makes sure that there is a connection on which a request can be sent.
    pub(crate) async fn connect(&mut self) -> Result<(), ErrorKind> {
        if let Some(connection) = &mut self.connection {
            if connection.usable().await {
                return Ok(());
            }
            self.connection = None;
        }
        let begin = Instant::now();
        let opening = Connection::open(&self.shared.plan.endpoint, self.number, &self.shared.traffic);
        let (connection, opened) =
            self.deadline.wait(begin, opening).await.unwrap_or(Err(ErrorKind::ConnectTimeout))?;
        self.shared.tally.borrow_mut().opened(opened);
        self.connection = Some(connection);
        Ok(())
    }

    /// Sends one request of step `index` and counts what comes of it. Latency counts from `due`, or without it from
    /// the moment of sending. False when there was no connection to send it on.
    pub(crate) async fn request(&mut self, index: usize, due: Option<Instant>) -> bool {
        if let Err(kind) = self.connect().await {
            self.shared.tally.borrow_mut().lost(index, kind, None);
            return false;
        }
        let Some(connection) = &mut self.connection else { return false };
        let before = self.identity.clients();
        let identity = self
            .identity
            .header(&self.shared.plan.clients)
            .map(|value| (contract::PROBE_HEADER, value.as_bytes()));
        self.shared.write(index, identity, &mut self.bytes);
        self.shared.tally.borrow_mut().clients += self.identity.clients() - before;
        let sent = Instant::now();
        let since = due.unwrap_or(sent);
        let wish = self.shared.templates[index].wish;
        let answer = self.deadline.wait(sent, connection.exchange(&self.bytes, wish)).await;
        let mut tally = self.shared.tally.borrow_mut();
        match answer {
            Some(Ok(answer)) => {
                tally.answered(index, &self.shared.plan.scenario.steps[index], since, sent, &answer);
            }
            Some(Err(kind)) => {
                self.connection = None;
                tally.lost(index, kind, None);
            }
            None => {
                self.connection = None;
                tally.lost(index, ErrorKind::Timeout, Some(since.elapsed().max(Duration::from_nanos(1))));
            }
        }
        true
    }
}

/// Sebastiano Vigna's splitmix64 (public domain): choosing among a handful of steps needs no better.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
