//! What the Job controller of the test's cluster makes of a Job, and its release commands.

use http::Method;
use serde_json::{Value, json};

use super::api::Seen;
use super::kubelet::restricted;
use super::store::{Key, Store};
use super::{OWN, Place};

/// How the commands of Jobs end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Jobs {
    /// They succeed at once.
    #[default]
    Complete,
    /// They fail at once.
    Fail,
    /// They run on.
    Run,
    /// Their image cannot be pulled.
    CannotPull,
}

impl Store {
    /// Makes a Job that the namespace lets in; `None` when there is one of its name.
    pub(super) fn make_job(&mut self, key: Key, manager: &str, bytes: &[u8]) -> Option<Value> {
        let job: Value = serde_json::from_slice(bytes).unwrap();
        assert!(restricted(&job["spec"]["template"]) && manager == "appforge", "{manager}: {job}");
        let key = Key { name: job["metadata"]["name"].as_str().unwrap().to_owned(), ..key };
        self.get(&key).is_none().then(|| self.put(&key, job))
    }

    /// What becomes of a Job that was just made.
    pub(super) fn run_job(&mut self, key: &Key, mut job: Value) {
        if job["status"].is_object() {
            return;
        }
        let state = match self.jobs {
            Jobs::Complete => json!({"terminated": {"exitCode": 0, "reason": "Completed"}}),
            Jobs::Fail => json!({"terminated": {"exitCode": 3, "reason": "Error"}}),
            Jobs::Run => json!({"running": {}}),
            Jobs::CannotPull => json!({"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}),
        };
        let phase = match self.jobs {
            Jobs::Complete => "Succeeded",
            Jobs::Fail => "Failed",
            Jobs::Run => "Running",
            Jobs::CannotPull => "Pending",
        };
        let mut labels = job["spec"]["template"]["metadata"]["labels"].clone();
        labels["batch.kubernetes.io/job-name"] = key.name.clone().into();
        let pod =
            Key { api: "v1".into(), plural: "pods".into(), name: format!("{}-x", key.name), ..key.clone() };
        let owner = json!([{"apiVersion": "batch/v1", "kind": "Job", "name": key.name, "uid": "1"}]);
        self.put(
            &pod,
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": pod.name, "namespace": key.namespace, "labels": labels, "ownerReferences": owner},
                "spec": job["spec"]["template"]["spec"],
                "status": {"phase": phase, "containerStatuses": [{
                    "name": "app", "image": "a", "imageID": "", "ready": false, "restartCount": 0, "state": state,
                }]},
            }),
        );
        job["metadata"]["namespace"] = key.namespace.clone().into();
        job["status"] = match self.jobs {
            Jobs::Complete => json!({"conditions": [{"type": "Complete", "status": "True"}]}),
            Jobs::Fail => {
                json!({"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]})
            }
            Jobs::Run | Jobs::CannotPull => json!({"active": 1}),
        };
        self.objects.insert(key.clone(), job);
    }

    /// Ends the commands that run.
    fn complete_jobs(&mut self) {
        let jobs: Vec<(Key, Value)> = self
            .objects
            .iter()
            .filter(|(key, _)| key.plural == "jobs")
            .map(|(key, job)| (key.clone(), job.clone()))
            .collect();
        for (key, mut job) in jobs {
            job["status"] = json!({"conditions": [{"type": "Complete", "status": "True"}]});
            self.put(&key, job);
        }
    }
}

fn stack(more: &str) -> String {
    OWN.replace("shop:1'}", &format!("shop:1', release: ./migrate{more}}}"))
}

/// The Jobs that were made since the last look.
fn made(place: &Place) -> usize {
    let is_job = |seen: &&Seen| seen.method == "POST" && seen.path.ends_with("/jobs");
    place.api.seen().iter().filter(is_job).count()
}

fn image(place: &Place) -> Value {
    let deployment = place.api.object("deployments", "shop-app").unwrap();
    deployment["spec"]["template"]["spec"]["containers"][0]["image"].clone()
}

#[test]
fn release_runs_once_for_each_image_and_before_the_replicas() {
    let place = Place::new(&stack(""));
    assert!(place.exits(5, &["diff"]).stdout.contains("+ create job/shop-app-release-"));
    let first = place.exits(0, &["up", "--timeout", "20s"]);
    assert!(
        first.stderr.contains("running the release command `./migrate` as job/shop-app-release-"),
        "{}",
        first.stderr
    );
    let seen = place.api.seen();
    let at = |method: &str, part: &str| {
        seen.iter().position(|seen| seen.is_change() && seen.method == method && seen.path.contains(part))
    };
    let job = at("POST", "/jobs");
    assert!(job.is_some() && at("PATCH", "/statefulsets/") < job && job < at("PATCH", "/deployments/"));
    place.exits(0, &["up", "--timeout", "20s"]);
    assert_eq!(made(&place), 0, "a command that succeeded does not run again");
    place.exits(0, &["scale", "--replicas", "5"]);
    assert_eq!(made(&place), 0, "replicas are no environment");
    let before = place.api.names("jobs");
    place.file(&stack("").replace("shop:1", "shop:2"));
    place.exits(0, &["up", "--timeout", "20s"]);
    assert_eq!(made(&place), 1);
    let after = place.api.names("jobs");
    assert!(after.len() == 1 && after != before, "the older one is pruned: {before:?} {after:?}");
    place.file(OWN);
    place.exits(0, &["up", "--timeout", "20s"]);
    assert!(place.api.names("jobs").is_empty());
}

#[test]
fn failed_release_keeps_the_replicas_and_runs_again() {
    let place = Place::new(&stack(""));
    place.exits(0, &["up", "--timeout", "20s"]);
    place.api.store(|store| store.jobs = Jobs::Fail);
    place.api.say("2026-11-27T12:00:00.0Z relation \"users\" is missing\n");
    place.file(&stack("").replace("shop:1", "shop:2"));
    let failed = place.exits(1, &["up", "--timeout", "20s"]);
    for line in [
        "error: the release command `./migrate` failed (job/shop-app-release-",
        "Ended: `app` ended with exit code 3 (Error)",
        "relation \"users\" is missing",
        "the replicas that run were not changed",
    ] {
        assert!(failed.stderr.contains(line), "{line}: {}", failed.stderr);
    }
    assert_eq!(image(&place), "registry.example/shop:1");
    made(&place);
    place.api.store(|store| store.jobs = Jobs::Complete);
    place.exits(0, &["up", "--timeout", "20s"]);
    assert_eq!((made(&place), image(&place)), (1, "registry.example/shop:2".into()));
}

#[test]
fn release_that_another_command_began_is_waited_for() {
    let place = Place::new(&stack(""));
    place.api.store(|store| store.jobs = Jobs::Run);
    let late = place.exits(9, &["up", "--timeout", "3s"]);
    assert!(late.stderr.contains("the release command `./migrate` is still running"), "{}", late.stderr);
    assert_eq!(made(&place), 1);
    assert!(place.exits(5, &["diff"]).stdout.contains("`service.release` is still running"));
    std::thread::scope(|scope| {
        let second = scope.spawn(|| place.exits(0, &["up", "--timeout", "20s"]));
        appforge_testing::wait::eventually("the second command waits", || {
            place
                .api
                .seen()
                .iter()
                .any(|seen| seen.path.ends_with("/jobs") && seen.query.contains_key("watch"))
        });
        place.api.store(Store::complete_jobs);
        second.join().unwrap();
    });
    assert_eq!(made(&place), 0, "it ran once");
}

#[test]
fn job_that_another_command_made_meanwhile_is_not_made_twice() {
    let place = Place::new(&stack(""));
    place.exits(0, &["up", "--timeout", "20s"]);
    let there = place.api.names("jobs");
    // This command saw no Job when it began.
    let empty = json!({"apiVersion": "batch/v1", "kind": "JobList", "metadata": {"resourceVersion": "1"}, "items": []});
    place.api.fail(Method::GET, "/jobs", None, 200, &empty.to_string(), 1);
    place.exits(0, &["up", "--timeout", "20s"]);
    assert_eq!(place.api.names("jobs"), there);
}

#[test]
fn release_whose_pod_cannot_start_ends_early() {
    let place = Place::new(&stack(""));
    place.api.store(|store| store.jobs = Jobs::CannotPull);
    let failed = place.exits(1, &["up", "--timeout", "60s"]);
    assert!(failed.stderr.contains("the release command `./migrate` cannot start"), "{}", failed.stderr);
    assert!(failed.stderr.contains("ImagePullBackOff: not found"), "{}", failed.stderr);
    assert!(place.api.object("deployments", "shop-app").is_none());
}
