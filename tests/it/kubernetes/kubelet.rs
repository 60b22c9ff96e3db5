//! What the nodes of the test's cluster do with a pod that tries addresses: they run its command, which is the real program,
//! with the files of its Secret, behind the network policies of the cluster.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::api::Inner;
use super::store::{Key, Store, matches};

/// How nodes treat such pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Trials {
    /// They run.
    #[default]
    Run,
    /// The image has no such program.
    NoProgram,
    /// They are never scheduled.
    Pending,
}

/// Runs the pod until it ends; what it says becomes its status.
pub(super) fn run(inner: Arc<Mutex<Inner>>, key: Key) {
    std::thread::spawn(move || {
        let (pod, trials, files, open, sets) = {
            let inner = inner.lock().unwrap();
            let Some(pod) = inner.store.get(&key) else { return };
            let files = files(&inner.store, &pod["spec"]["volumes"][0]);
            let open = ports(&inner.store, &pod["metadata"]["labels"]);
            (pod, inner.store.trials, files, open, inner.store.names("statefulsets"))
        };
        let terminated = match trials {
            Trials::Pending => return,
            Trials::NoProgram => {
                json!({"exitCode": 128, "reason": "StartError", "message": "exec: \"/appforge\": no such file"})
            }
            Trials::Run => execute(&pod, &files, &open, &sets),
        };
        let failed = terminated["exitCode"] != 0;
        let mut pod = pod;
        pod["status"] = json!({
            "phase": if failed { "Failed" } else { "Succeeded" },
            "containerStatuses": [{"name": "reach", "image": "a", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"terminated": terminated}}],
        });
        let mut inner = inner.lock().unwrap();
        if inner.store.get(&key).is_some() {
            inner.store.put(&key, pod);
        }
    });
}

/// What a volume mounts, by path. Each Secret and key has to be there, else the pod would never start.
fn files(store: &Store, volume: &Value) -> Vec<(String, String)> {
    let sources = match volume["projected"]["sources"].as_array() {
        Some(sources) => sources.iter().map(|source| source["secret"].clone()).collect(),
        None => vec![volume["secret"].clone()],
    };
    let mut files = Vec::new();
    for source in sources {
        let name = source["secretName"].as_str().or(source["name"].as_str()).unwrap();
        let secret = store.find("secrets", name).expect("the Secret of the pod is there");
        for item in source["items"].as_array().unwrap() {
            let value = secret["data"][item["key"].as_str().unwrap()].as_str().unwrap();
            let text = String::from_utf8(BASE64_STANDARD.decode(value).unwrap()).unwrap();
            files.push((item["path"].as_str().unwrap().to_owned(), text));
        }
    }
    files
}

fn execute(pod: &Value, files: &[(String, String)], open: &BTreeSet<u16>, sets: &[String]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let container = &pod["spec"]["containers"][0];
    let mut command = Command::new(env!("CARGO_BIN_EXE_appforge"));
    // A machine of a test answers sooner.
    let arguments =
        container["command"].as_array().unwrap().iter().skip(1).map(|word| word.as_str().unwrap());
    command.args(arguments.map(|word| if word == "10s" { "1s" } else { word }));
    let mount = container["volumeMounts"][0]["mountPath"].as_str().unwrap();
    for (path, text) in files {
        if sets.iter().any(|set| text.contains(&format!("@{set}-0.{set}."))) {
            // A store of the cluster, which has no process here: it would answer.
            std::fs::write(folder.path().join(path), "").unwrap();
            continue;
        }
        // A port that no policy opens does not answer.
        let text =
            if port(text).is_some_and(|port| open.contains(&port)) { text.clone() } else { closed(text) };
        std::fs::write(folder.path().join(path), text).unwrap();
    }
    for variable in container["env"].as_array().unwrap() {
        let path = variable["value"].as_str().unwrap().strip_prefix(mount).unwrap();
        command.env(
            variable["name"].as_str().unwrap(),
            Path::new(folder.path()).join(path.trim_start_matches('/')),
        );
    }
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    let code = output.status.code().unwrap();
    match code {
        0 => json!({"exitCode": 0, "reason": "Completed"}),
        code => json!({"exitCode": code, "reason": "Error", "message": said}),
    }
}

/// The port of an address.
pub(super) fn port(address: &str) -> Option<u16> {
    let rest = address.split("://").nth(1)?.rsplit('@').next()?;
    rest.split(['/', '?']).next()?.rsplit(':').next()?.parse().ok()
}

fn closed(address: &str) -> String {
    let port = port(address).unwrap_or_default();
    address.replace(&format!(":{port}"), ":1")
}

/// The ports outside the cluster that policies open for pods with these labels; policies add up.
pub(super) fn ports(store: &Store, labels: &Value) -> BTreeSet<u16> {
    let policies = store.names("networkpolicies");
    let policies = policies.iter().filter_map(|name| store.find("networkpolicies", name));
    let rules = policies
        .filter(|policy| matches(labels, &policy["spec"]["podSelector"]["matchLabels"]))
        .flat_map(|policy| policy["spec"]["egress"].as_array().cloned().unwrap_or_default());
    let outside = |rule: &Value| {
        rule["to"]
            .as_array()
            .is_some_and(|peers| peers.iter().any(|peer| peer["ipBlock"]["cidr"] == "0.0.0.0/0"))
    };
    rules
        .filter(outside)
        .flat_map(|rule| rule["ports"].as_array().cloned().unwrap_or_default())
        .filter_map(|port| {
            let first = u16::try_from(port["port"].as_u64()?).ok()?;
            let last = port["endPort"].as_u64().and_then(|last| u16::try_from(last).ok());
            Some(first..=last.unwrap_or(first))
        })
        .flatten()
        .collect()
}

/// What the Pod Security Standard `restricted` asks for.
pub(super) fn restricted(pod: &Value) -> bool {
    let spec = &pod["spec"];
    let profile = &spec["securityContext"];
    let contained = |container: &Value| {
        let context = &container["securityContext"];
        context["allowPrivilegeEscalation"] == false && context["capabilities"]["drop"] == json!(["ALL"])
    };
    profile["runAsNonRoot"] == true
        && profile["seccompProfile"]["type"] == "RuntimeDefault"
        && spec["containers"].as_array().is_some_and(|containers| containers.iter().all(contained))
}
