//! An API server of one test: real HTTP on a port of its own, the semantics of server-side apply that the target relies on,
//! and faults that a test asks for. Every request is judged: one that the real server would not take is a violation.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::broadcast;

use super::forward;
use super::store::{Key, Store};
use super::watches::{self, decoded};

/// What a request looked like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub method: String,
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub content_type: String,
}

impl Seen {
    /// Whether it changed something.
    pub(super) fn is_change(&self) -> bool {
        self.method != "GET"
            && !self.query.contains_key("dryRun")
            && !self.path.contains("selfsubjectaccessreviews")
            && !self.path.ends_with("/portforward")
            && !self.path.contains("/leases")
    }
}

/// An answer in place of the usual one.
struct Fault {
    method: Method,
    part: String,
    dry: Option<bool>,
    status: u16,
    body: String,
    left: usize,
}

pub(super) struct Inner {
    pub store: Store,
    seen: Vec<Seen>,
    violations: Vec<String>,
    faults: Vec<Fault>,
    logs: String,
    admin: SocketAddr,
}

/// The server; it ends with the test.
pub(super) struct Api {
    pub address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
    _runtime: tokio::runtime::Runtime,
}

impl Api {
    pub(super) fn start() -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (changes, _) = broadcast::channel(1024);
        let inner = Inner {
            store: Store::new(changes.clone()),
            seen: Vec::new(),
            violations: Vec::new(),
            faults: Vec::new(),
            logs: String::new(),
            admin: runtime.block_on(forward::admin()),
        };
        let inner = Arc::new(Mutex::new(inner));
        let shared = inner.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, changes) = (shared.clone(), changes.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(shared.clone(), changes.clone(), request));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .with_upgrades()
                        .await;
                });
            }
        });
        Self { address, inner, _runtime: runtime }
    }

    /// The kubeconfig that leads here; the context is `test`, its server on loopback.
    pub(super) fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
             contexts: [{{name: test, context: {{cluster: test, user: tester}}}}]\n\
             clusters: [{{name: test, cluster: {{server: 'http://{}'}}}}]\n\
             users: [{{name: tester, user: {{token: secret-token}}}}]\n",
            self.address
        )
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Answers the next `times` requests of this method whose path contains `part` with a fixture or a body.
    pub(super) fn fail(
        &self,
        method: Method,
        part: &str,
        dry: Option<bool>,
        status: u16,
        body: &str,
        times: usize,
    ) {
        let fault = Fault { method, part: part.into(), dry, status, body: body.into(), left: times };
        self.lock().faults.push(fault);
    }

    /// Changes the store as somebody else would.
    pub(super) fn store<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        change(&mut self.lock().store)
    }

    /// What pods say.
    pub(super) fn say(&self, log: &str) {
        self.lock().logs = log.to_owned();
    }

    /// The requests since the last call.
    pub(super) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.lock().seen)
    }

    /// The names of the objects of a kind, by its plural.
    pub(super) fn names(&self, plural: &str) -> Vec<String> {
        self.lock().store.names(plural)
    }

    /// One object.
    pub(super) fn object(&self, plural: &str, name: &str) -> Option<Value> {
        self.lock().store.find(plural, name)
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        let violations = std::mem::take(&mut self.lock().violations);
        if !std::thread::panicking() {
            assert!(violations.is_empty(), "requests that no API server takes: {violations:#?}");
        }
    }
}

pub(super) type Body = BoxBody<Bytes, std::convert::Infallible>;

pub(super) fn reply(status: u16, value: &Value) -> Response<Body> {
    text(status, "application/json", value.to_string())
}

fn text(status: u16, kind: &str, body: String) -> Response<Body> {
    Response::builder()
        .status(StatusCode::from_u16(status).unwrap())
        .header("content-type", kind)
        .body(Full::new(Bytes::from(body)).boxed())
        .unwrap()
}

fn not_found(what: &str) -> Response<Body> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404,
        "message": format!("{what} not found"),
    });
    reply(404, &status)
}

fn changed() -> Response<Body> {
    let status = json!({"kind": "Status", "status": "Failure", "code": 409, "message": "changed", "reason": "Conflict"});
    reply(409, &status)
}

async fn answer(
    inner: Arc<Mutex<Inner>>,
    changes: broadcast::Sender<(Key, Value)>,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, std::convert::Infallible> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (head, body) = request.into_parts();
    let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let header =
        |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let query: BTreeMap<String, String> = head
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), decoded(value)))
        .collect();
    let seen = Seen {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query,
        content_type: header("content-type").to_owned(),
    };
    let shared = inner.clone();
    let mut inner = inner.lock().unwrap();
    if header("authorization") != "Bearer secret-token" {
        inner.violations.push(format!("{seen:?} without credentials"));
    }
    inner.seen.push(seen.clone());
    let dry = seen.query.get("dryRun").is_some_and(|dry| dry == "All");
    let fault = inner.faults.iter_mut().find(|fault| {
        fault.left > 0
            && fault.method == head.method
            && seen.path.contains(&fault.part)
            && fault.dry.is_none_or(|wanted| wanted == dry)
    });
    if let Some(fault) = fault {
        fault.left -= 1;
        return Ok(text(fault.status, "application/json", fault.body.clone()));
    }
    if let Some((pod, "portforward")) = seen.path.rsplit_once('/') {
        let pod = pod.rsplit('/').next().unwrap_or_default();
        return Ok(match inner.store.find("pods", pod) {
            Some(_) => {
                let admin = (seen.query["ports"] == "9090").then_some(inner.admin);
                let backend = inner.store.backends.get(pod).copied().or(admin);
                forward::open(upgrade, &head.headers, &seen.query, backend)
            }
            None => not_found(pod),
        });
    }
    Ok(serve(&shared, &mut inner, &changes, &seen, dry, &bytes))
}

fn serve(
    shared: &Arc<Mutex<Inner>>,
    inner: &mut Inner,
    changes: &broadcast::Sender<(Key, Value)>,
    seen: &Seen,
    dry: bool,
    bytes: &Bytes,
) -> Response<Body> {
    if seen.path == "/version" {
        return reply(
            200,
            &json!({"major": "1", "minor": "36", "gitVersion": "v1.36.2", "gitCommit": "", "gitTreeState": "",
            "buildDate": "", "goVersion": "", "compiler": "", "platform": "linux/amd64"}),
        );
    }
    if seen.path.ends_with("/selfsubjectaccessreviews") {
        let mut review: Value = serde_json::from_slice(bytes).unwrap();
        let about = &review["spec"]["resourceAttributes"];
        let denied =
            |(verb, resource): &(&str, &str)| about["verb"] == *verb && about["resource"] == *resource;
        let allowed = !inner.store.denied.iter().any(denied);
        review["status"] = json!({"allowed": allowed});
        return reply(201, &review);
    }
    let Some((key, sub)) = Key::parse(&seen.path) else { return not_found(&seen.path) };
    let selector = seen.query.get("labelSelector").cloned().unwrap_or_default();
    let known = seen.query.get("fieldManager").map(String::as_str);
    match (seen.method.as_str(), sub.as_deref()) {
        ("GET", None) if seen.query.get("watch").is_some_and(|watch| watch == "true") => {
            let version = seen.query.get("resourceVersion").and_then(|version| version.parse().ok());
            let missed = version.map_or_else(Vec::new, |version| inner.store.since(version));
            watches::watch(missed, changes.subscribe(), key, selector)
        }
        ("GET", None) if key.name.is_empty() => match inner.store.list(&key, &selector, &seen.query) {
            Some(list) => reply(200, &list),
            None => not_found(&key.plural),
        },
        ("GET", None) => {
            inner.store.get(&key).map_or_else(|| not_found(&key.name), |object| reply(200, &object))
        }
        ("GET", Some("log")) => text(200, "text/plain", inner.logs.clone()),
        ("PATCH", None) if seen.content_type == "application/apply-patch+yaml" => {
            let ours = known.is_some_and(|manager| manager.starts_with("appforge"));
            if !ours || seen.query.get("fieldValidation").is_none_or(|value| value != "Strict") {
                inner.violations.push(format!("{seen:?} applies without our manager or without validation"));
            }
            let body: Value = serde_json::from_slice(bytes).unwrap();
            let there = inner.store.get(&key).unwrap_or_default();
            if super::store::changes_fixed(&there, &body, dry) {
                inner.violations.push(format!("{seen:?} changes what cannot be changed"));
            }
            let force = seen.query.get("force").is_some_and(|force| force == "true");
            match inner.store.apply(&key, known.unwrap_or_default(), body, dry, force) {
                Ok(object) => reply(200, &object),
                Err(status) => reply(409, &status),
            }
        }
        ("POST", None) if key.plural == "leases" => {
            let lease: Value = serde_json::from_slice(bytes).unwrap();
            let key = Key { name: lease["metadata"]["name"].as_str().unwrap().to_owned(), ..key };
            if inner.store.find("namespaces", &key.namespace).is_none() {
                return not_found(&key.namespace);
            }
            match inner.store.get(&key) {
                Some(_) => changed(),
                None => reply(201, &inner.store.put(&key, lease)),
            }
        }
        ("POST", None) if key.plural == "jobs" => {
            let made = inner.store.make_job(key, known.unwrap_or_default(), bytes);
            made.map_or_else(changed, |job| reply(201, &job))
        }
        ("POST", None) if key.plural == "pods" => {
            let mut pod: Value = serde_json::from_slice(bytes).unwrap();
            let key = Key { name: pod["metadata"]["name"].as_str().unwrap().to_owned(), ..key };
            if !super::kubelet::restricted(&pod)
                || known.is_none_or(|manager| !manager.starts_with("appforge"))
            {
                inner
                    .violations
                    .push(format!("{seen:?} makes a pod that the namespace does not let in: {pod}"));
            }
            pod["metadata"]["namespace"] = key.namespace.clone().into();
            pod["status"] = json!({"phase": "Pending"});
            let pod = inner.store.put(&key, pod);
            super::kubelet::run(shared.clone(), key);
            reply(201, &pod)
        }
        ("PATCH", None | Some("scale")) if seen.content_type == "application/merge-patch+json" => {
            if known.is_none_or(|manager| !manager.starts_with("appforge")) {
                inner.violations.push(format!("{seen:?} patches without our manager"));
            }
            let body: Value = serde_json::from_slice(bytes).unwrap();
            let version = body.pointer("/metadata/resourceVersion");
            let there = inner.store.get(&key).unwrap_or_default();
            if version.is_some_and(|version| there["metadata"]["resourceVersion"] != *version) {
                return changed();
            }
            match inner.store.merge(&key, known.unwrap_or_default(), &body) {
                Some(object) if sub.is_some() => reply(
                    200,
                    &json!({
                        "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": object["metadata"],
                        "spec": {"replicas": object["spec"]["replicas"]},
                    }),
                ),
                Some(object) => reply(200, &object),
                None => not_found(&key.name),
            }
        }
        ("DELETE", None) => {
            let body: Value = serde_json::from_slice(bytes).unwrap_or_default();
            if body["propagationPolicy"] != "Foreground" && !["pods", "leases"].contains(&key.plural.as_str())
            {
                inner.violations.push(format!("{seen:?} does not wait for what hangs on it"));
            }
            let version = body.pointer("/preconditions/resourceVersion");
            let uid = body.pointer("/preconditions/uid");
            let there = inner.store.get(&key).unwrap_or_default();
            if version.is_some_and(|version| there["metadata"]["resourceVersion"] != *version)
                || uid.is_some_and(|uid| there["metadata"]["uid"] != *uid)
            {
                return changed();
            }
            if inner.store.delete(&key) {
                reply(200, &json!({"kind": "Status", "apiVersion": "v1", "status": "Success", "code": 200}))
            } else {
                not_found(&key.name)
            }
        }
        _ => {
            inner.violations.push(format!("{seen:?}"));
            reply(
                405,
                &json!({"kind": "Status", "status": "Failure", "code": 405, "message": "no", "reason": "MethodNotAllowed"}),
            )
        }
    }
}
