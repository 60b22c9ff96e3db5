//! HTTPS of the Compose target: the pair of files, the redirect, the checks over it.

use std::path::PathBuf;
use std::process::Command;

use appforge_testing::port;
use appforge_testing::wait::eventually;
use serde_json::Value;

use super::Stack;
use super::own::{app, docker, get};
use crate::support::Project;

fn tls(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/tls").join(file)
}

/// What the stack answers to a client that trusts `authority`, over HTTPS.
fn https(port: u16, authority: &str) -> std::process::Output {
    let resolve = format!("registry.test:{port}:127.0.0.1");
    let mut curl = Command::new("curl");
    curl.args(["-s", "-i", "--max-time", "10", "--resolve", &resolve, "--cacert"]).arg(tls(authority));
    curl.arg(format!("https://registry.test:{port}/")).output().unwrap()
}

#[test]
#[ignore = "needs curl and docker"]
fn own_app_is_served_over_https_with_a_redirect() {
    let stack = Stack::new("owntls");
    let http = port::reserve();
    let https_of = |cert: &str| {
        let tls = format!("compose: {{tls: {{cert: {cert}, key: tls.key, http_port: {http}}}, ");
        stack.of_service(&app(""), "").replace("compose: {", &tls)
    };
    let project = Project::with(&https_of("tls.pem"));
    let refused = project.run(&["up"]);
    assert_eq!(refused.code, Some(3), "{refused:#?}");
    assert!(refused.stderr.contains("compose.tls.cert: no file `tls.pem`"), "{refused:#?}");
    std::fs::copy(tls("own.pem"), project.path().join("tls.pem")).unwrap();
    std::fs::copy(tls("server.key"), project.path().join("tls.key")).unwrap();
    // The key is that of another certificate.
    let refused = project.run(&["up"]);
    assert_eq!(refused.code, Some(3), "{refused:#?}");
    assert!(refused.stderr.contains("the gateway refuses the new haproxy.cfg"), "{refused:#?}");
    assert_eq!(stack.containers(), Vec::<String>::new());

    std::fs::copy(tls("server.pem"), project.path().join("tls.pem")).unwrap();
    let up: Value = serde_json::from_str(&project.done(&["up", "-o", "json"]).stdout).unwrap();
    assert_eq!(up["status"]["url"], format!("https://127.0.0.1:{}", stack.port));
    let answer = https(stack.port, "authority.pem");
    assert!(answer.status.success(), "{answer:?}");
    let answer = String::from_utf8(answer.stdout).unwrap();
    let seen: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(seen["headers"]["x-forwarded-proto"], "https", "{answer}");
    assert!(!https(stack.port, "own.pem").status.success(), "another authority signed it");
    let (head, _) = get(http, "/a?b=c", "");
    assert!(head.starts_with("HTTP/1.1 308 "), "{head}");
    assert!(head.contains(&format!("location: https://shop.test:{}/a?b=c\r", stack.port)), "{head}");
    let key = std::fs::read_to_string(tls("server.key")).unwrap();
    let line = key.lines().nth(1).unwrap();
    for document in ["docker-compose.yml", "haproxy.cfg"] {
        assert!(!project.read(&format!(".appforge/compose/{document}")).contains(line), "{document}");
    }
    assert_eq!(project.done(&["diff"]).stdout, "nothing to change\n");
    // The checks and a load accept the certificate of the stack file, though it names another host.
    let checks = ["service-health", "redis-ping", "rate-limit", "replicas"].map(|check| ["--check", check]);
    let verified = project.done(&[&["verify", "--drill", "redis-down"][..], checks.as_flattened()].concat());
    assert!(verified.stdout.contains("100 of 150 pass"), "{}", verified.stdout);
    let loaded = project.done(&["load", "--duration", "2s"]);
    assert!(loaded.stdout.contains(&format!("https://127.0.0.1:{}", stack.port)), "{}", loaded.stdout);

    // A pair that the gateway refuses changes nothing: the one that runs may be started again at any time.
    let secret = |name: &str| project.read(&format!(".appforge/compose/secrets/{name}"));
    let pair = || [secret("tls_cert"), secret("tls_key"), secret("gateway.env")];
    let before = pair();
    std::fs::copy(tls("own.pem"), project.path().join("tls.pem")).unwrap();
    assert_eq!(project.run(&["up"]).code, Some(3));
    assert_eq!(pair(), before);
    docker(&["restart", &format!("{}-gateway", stack.name)]);
    eventually("the gateway serves as before", || https(stack.port, "authority.pem").status.success());
    // Now the gateway has another certificate than the stack file.
    let refused = project.run(&["verify", "--check", "rate-limit"]);
    assert_eq!(refused.code, Some(6), "{refused:#?}");
    assert!(refused.stdout.contains("has another certificate than the stack file"), "{refused:#?}");

    // A renewed certificate replaces the gateway alone.
    let renewed = std::fs::read_to_string(tls("server.pem")).unwrap() + "\n";
    project.write("tls.pem", &renewed);
    let diff = project.run(&["diff"]).stdout;
    assert!(diff.contains("restart gateway") && !diff.contains("service"), "{diff}");
    project.done(&["up"]);
    assert!(https(stack.port, "authority.pem").status.success());
    project.done(&["down", "--volumes", "--yes"]);
}
