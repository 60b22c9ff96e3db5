//! One virtual user: a connection, an identity, and what it does with them. Shared by both models.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::Full;
use tokio_util::sync::CancellationToken;

use super::Plan;
use crate::load::client::Identity;
use crate::load::connection::{Connection, Deadline, ErrorKind, Traffic};
use crate::load::scenario::Step;
use crate::load::tally::Tally;

/// The placeholder for a number that no other request has.
const NUMBER: &str = "${n}";

/// What the users of one thread share.
pub struct Shared {
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

/// The part of a step's request that is the same each time.
struct Template {
    method: Method,
    headers: HeaderMap,
    /// `None` when the path has a placeholder.
    uri: Option<Uri>,
    numbered_body: bool,
    keep_body: bool,
}

impl Shared {
    pub fn new(plan: Arc<Plan>, worker: usize, begin: Instant, stop: CancellationToken) -> Result<Self> {
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
    pub async fn sleep_until(&self, at: Instant) -> bool {
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

    fn request(&self, index: usize) -> Result<Request<Full<Bytes>>, ErrorKind> {
        let (step, template) = (&self.plan.scenario.steps[index], &self.templates[index]);
        let number = if template.uri.is_none() || template.numbered_body { self.number() } else { 0 };
        let uri = match &template.uri {
            Some(uri) => uri.clone(),
            None => step.path.replace(NUMBER, &number.to_string()).parse().map_err(|_| ErrorKind::Other)?,
        };
        let body = if template.numbered_body {
            Bytes::from(String::from_utf8_lossy(&step.body).replace(NUMBER, &number.to_string()))
        } else {
            step.body.clone()
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = template.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = template.headers.clone();
        Ok(request)
    }
}

fn template(plan: &Plan, step: &Step) -> Result<Template> {
    let mut headers = step.headers.clone();
    if !headers.contains_key(HOST) {
        headers.insert(HOST, plan.endpoint.host().clone());
    }
    let uri = if step.path.contains(NUMBER) {
        None
    } else {
        Some(step.path.parse().with_context(|| format!("the path `{}` is no path", step.path))?)
    };
    let numbered_body = String::from_utf8_lossy(&step.body).contains(NUMBER);
    Ok(Template { method: step.method.clone(), headers, uri, numbered_body, keep_body: step.reads_body() })
}

/// A virtual user.
pub struct User {
    shared: Rc<Shared>,
    /// Which one, among those of all threads.
    pub number: usize,
    connection: Option<Connection>,
    identity: Identity,
    deadline: Deadline,
    random: u64,
}

impl User {
    pub fn new(shared: Rc<Shared>, number: usize) -> Self {
        let identity = shared.plan.clients.user(number);
        let deadline = Deadline::new(shared.plan.timeout);
        Self { shared, number, connection: None, identity, deadline, random: number as u64 }
    }

    /// Chooses a step by weight. The sequence of a user is the same in each run.
    pub fn choose(&mut self) -> usize {
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
    pub async fn connect(&mut self) -> Result<(), ErrorKind> {
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
    pub async fn request(&mut self, index: usize, due: Option<Instant>) -> bool {
        if let Err(kind) = self.connect().await {
            self.shared.tally.borrow_mut().lost(index, kind, None);
            return false;
        }
        let Some(connection) = &mut self.connection else { return false };
        let request = self.shared.request(index).map(|mut request| {
            let before = self.identity.clients();
            if let Some((name, value)) = self.identity.header(&self.shared.plan.clients) {
                request.headers_mut().insert(name, value);
                self.shared.tally.borrow_mut().clients += self.identity.clients() - before;
            }
            request
        });
        let request = match request {
            Ok(request) => request,
            Err(kind) => {
                self.shared.tally.borrow_mut().lost(index, kind, None);
                return true;
            }
        };
        let sent = Instant::now();
        let since = due.unwrap_or(sent);
        let keep = self.shared.templates[index].keep_body;
        let answer = self.deadline.wait(sent, connection.exchange(request, keep)).await;
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
