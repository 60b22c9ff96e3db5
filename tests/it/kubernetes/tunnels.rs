//! Tunnels to pods that leave: what we cut off is not counted against the service, what the service cuts off is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use appforge_testing::wait::eventually;
use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::store::Key;
use super::{Place, STACK};
use crate::support::Run;

/// The service in a pod.
struct Backend {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    /// Hangs up on each request instead of answering.
    hangs_up: Arc<AtomicBool>,
}

impl Backend {
    fn start(runtime: &Runtime) -> Self {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, hangs_up) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let backend = Self { address, requests: requests.clone(), hangs_up: hangs_up.clone() };
        runtime.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (requests, hangs_up) = (requests.clone(), hangs_up.clone());
                tokio::spawn(async move {
                    let mut buffer = [0; 4096];
                    while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {
                        requests.fetch_add(1, Ordering::SeqCst);
                        if hangs_up.load(Ordering::SeqCst) {
                            return;
                        }
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                        if stream.write_all(answer).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        backend
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn pod(name: &str) -> Key {
    Key { api: "v1".into(), namespace: "shop".into(), plural: "pods".into(), name: name.into() }
}

impl Place {
    fn change_pod(&self, name: &str, change: impl FnOnce(&mut Value)) {
        self.api.store(|store| {
            let mut object = store.get(&pod(name)).unwrap();
            change(&mut object);
            store.put(&pod(name), object);
        });
    }
}

/// Runs a load on three replicas, calls `meanwhile` when all of them have had requests, and returns the load's report.
#[track_caller]
fn load(meanwhile: impl FnOnce(&Place, &[Backend])) -> (Value, Run, Vec<usize>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    let backends: Vec<Backend> = (0..3).map(|_| Backend::start(&runtime)).collect();
    place.api.store(|store| {
        for (index, backend) in backends.iter().enumerate() {
            store.backends.insert(format!("shop-app-{index}"), backend.address);
        }
    });
    let run = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            place.run(&["load", "--vus", "12", "--duration", "2s", "--think-time", "2ms", "-o", "json"])
        });
        eventually("each replica has had requests", || backends.iter().all(|one| one.requests() > 20));
        meanwhile(&place, &backends);
        load.join().unwrap()
    });
    let report = serde_json::from_str(&run.stdout).unwrap_or_default();
    (report, run, backends.iter().map(Backend::requests).collect())
}

#[test]
fn load_counts_no_cut_of_a_pod_that_leaves() {
    let (report, run, _) = load(|place, backends| {
        place.change_pod("shop-app-0", |pod| {
            pod["metadata"]["deletionTimestamp"] = "2026-01-31T12:00:00Z".into();
        });
        backends[0].hangs_up.store(true, Ordering::SeqCst);
    });
    assert_eq!((run.code, &report["errors"]), (Some(0), &json!({})), "{run:#?}");
}

#[test]
fn load_counts_no_cut_of_a_pod_that_is_gone() {
    let (report, run, _) = load(|place, backends| {
        // Killed without notice: the connections end first.
        backends[0].hangs_up.store(true, Ordering::SeqCst);
        let before = backends[0].requests();
        eventually("a request was cut off", || backends[0].requests() > before);
        place.api.store(|store| store.delete(&pod("shop-app-0")));
    });
    assert_eq!((run.code, &report["errors"]), (Some(0), &json!({})), "{run:#?}");
}

#[test]
fn unready_pod_gets_no_further_request() {
    let mut at = 0;
    let (report, run, requests) = load(|place, backends| {
        place.change_pod("shop-app-2", |pod| pod["status"]["conditions"][0]["status"] = "False".into());
        let others = || backends[0].requests() + backends[1].requests();
        let before = others();
        eventually("the others have had requests since", || others() > before + 100);
        at = backends[2].requests();
    });
    assert_eq!((run.code, &report["errors"]), (Some(0), &json!({})), "{run:#?}");
    assert_eq!(requests[2], at);
}

#[test]
fn service_that_hangs_up_is_counted() {
    let (report, run, _) =
        load(|_, backends| backends.iter().for_each(|one| one.hangs_up.store(true, Ordering::SeqCst)));
    assert_eq!(run.code, Some(7), "{run:#?}");
    assert!(report["errors"]["closed"].as_u64().is_some_and(|count| count > 0), "{report:#}");
}

#[test]
fn refused_port_forward_says_why() {
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    let forbidden = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403,
        "message": "pods \"shop-app-0\" is forbidden: User \"tester\" cannot create resource \"pods/portforward\"",
    });
    place.api.fail(Method::GET, "/portforward", None, 403, &forbidden.to_string(), 1);
    let refused = place.exits(1, &["load", "--vus", "1", "--duration", "1s"]);
    assert!(
        refused.stderr.contains("forbids `create` on `pods/portforward/shop-app-0`\n"),
        "{}",
        refused.stderr
    );
    assert!(
        refused.stderr.contains("auth can-i create pods --subresource=portforward -n shop\n"),
        "{}",
        refused.stderr
    );
    // No server listens in the pods.
    let refused = place.run(&["load", "--vus", "1", "--duration", "1s"]);
    let line = "no connection to port 5000 of shop-app-";
    assert_eq!(refused.stderr.matches(line).count(), 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("inside namespace: connection refused\n"), "{}", refused.stderr);
}

/// The metrics of a replica that answers 20 requests between two questions.
fn metered(runtime: &Runtime) -> SocketAddr {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    runtime.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let asked = asked.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {
                    let count = asked.fetch_add(20, Ordering::SeqCst);
                    let text = format!(
                        "process_start_time_seconds 7\nratelimit_backend_up 1\n\
                         http_requests_total{{method=\"GET\",route=\"/health\",status=\"200\"}} {count}\n"
                    );
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", text.len());
                    if stream.write_all((head + &text).as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[test]
fn monitor_reads_pods_through_tunnels_and_names_the_silent_one() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    place.api.store(|store| {
        for index in 0..2 {
            store.backends.insert(format!("shop-app-{index}"), metered(&runtime));
        }
        store.backends.insert("shop-app-2".to_owned(), appforge_testing::port::closed());
    });
    let run = place.exits(0, &["monitor", "--once", "-o", "json"]);
    let view: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&view["history"]["kept_by"], &view["target"]), (&json!("monitor"), &json!("kubernetes")));
    let names: Vec<&Value> = view["rows"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["answers"] == true)
        .map(|row| &row["name"])
        .collect();
    assert_eq!(names, ["shop-app-0", "shop-app-1"], "{view:#}");
    // 20 requests in 2 s from each of two.
    let rate = view["current"]["rate"].as_f64().unwrap();
    assert!((5.0..=25.0).contains(&rate), "{rate}");
    assert_eq!(view["problems"][0]["text"], "shop-app-2 does not answer", "{view:#}");
}
