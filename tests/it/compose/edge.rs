//! The gateway of the Compose target: what it is configured with, and that `up` waits for its checks.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use appforge::error::{ExitStatus, render, status_of};
use appforge::stack::{Layer, resolve};
use appforge::targets::status::ComponentState;

use super::{LONG, Stack, ready, request};
use crate::compose::target::Compose;
use crate::support::Project;

/// The web stand-in with these trusted proxies.
fn with_proxies(stack: &Stack, proxies: &[String]) -> String {
    let text = stack.text("image: 'appforge-test-web:1'");
    format!("{text}rate_limit: {{trusted_proxies: [{}]}}\n", proxies.join(", "))
}

fn quoted(network: &str) -> String {
    format!("'{network}'")
}

fn gateway(stack: &Stack) -> String {
    let name = format!("{}-gateway", stack.name);
    let output = Command::new("docker").args(["inspect", "-f", "{{.Id}}", &name]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// HAProxy takes 64 words a line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs docker"]
async fn gateway_works_with_hundreds_of_trusted_proxies() {
    let stack = Stack::new("proxies");
    stack.web().up(1, LONG, &|_| {}).await.unwrap();
    let mut proxies: Vec<String> = (0..62).map(|i| quoted(&format!("172.20.{i}.0/24"))).collect();
    stack.of_file(with_proxies(&stack, &proxies)).up(1, LONG, &|_| {}).await.unwrap();
    assert!(request(stack.port).await.unwrap().starts_with("HTTP/1.1 200 "));
    proxies.extend((0..400).map(|i| quoted(&format!("2001:db8:{i:x}::/48"))));
    stack.of_file(with_proxies(&stack, &proxies)).up(1, LONG, &|_| {}).await.unwrap();
    assert!(request(stack.port).await.unwrap().starts_with("HTTP/1.1 200 "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs docker"]
async fn gateway_stays_when_haproxy_refuses_its_configuration() {
    let stack = Stack::new("checked");
    let file = stack.text("image: 'appforge-test-web:1'");
    let with = |file: String, template: &str| {
        let layer = Layer::File { name: "appforge.yaml".into(), text: file };
        let templates = BTreeMap::from([("compose/haproxy.cfg".to_owned(), template.to_owned())]);
        Compose::new(&stack.folder.path().join(".appforge"), &resolve(&[layer]).unwrap().stack, templates)
    };
    // Nothing runs yet: nothing is started either.
    let error = with(file.clone(), "frontend\n").up(1, LONG, &|_| {}).await.unwrap_err();
    assert_eq!(status_of(&error), ExitStatus::Config, "{}", render(&error));
    assert_eq!(stack.containers(), Vec::<String>::new());

    stack.web().up(1, LONG, &|_| {}).await.unwrap();
    let (before, documents) = (gateway(&stack), stack.web().folder().join("haproxy.cfg"));
    let good = std::fs::read_to_string(&documents).unwrap();
    for (file, template, status, said) in [
        (file.clone(), "global\n    no-such-word 1\n", ExitStatus::Config, "no-such-word"),
        (
            file.clone(),
            "defaults\n    mode http\nbackend a\n    server b no-port-here:x\n",
            ExitStatus::Config,
            "[ALERT]",
        ),
        (
            file.replace("appforge-test-haproxy:1", "appforge-test-web:1"),
            good.as_str(),
            ExitStatus::Failed,
            "the image `appforge-test-web:1` cannot run `haproxy`",
        ),
    ] {
        let error = with(file, template).up(1, LONG, &|_| {}).await.unwrap_err();
        let text = render(&error);
        assert_eq!(status_of(&error), status, "{text}");
        assert!(text.contains(said) && text.contains("nothing was changed"), "{text}");
        assert_eq!(gateway(&stack), before, "the old one stays");
        assert_eq!(
            std::fs::read_to_string(&documents).unwrap(),
            good,
            "and its file, which it reads at a restart"
        );
        assert!(request(stack.port).await.unwrap().starts_with("HTTP/1.1 200 "));
    }
    let name = format!("name={}-gateway-check", stack.name);
    let left = Command::new("docker").args(["ps", "-aq", "--filter", &name]).output().unwrap();
    assert_eq!(String::from_utf8(left.stdout).unwrap(), "", "the container of the check is gone");
}

/// Every request of two seconds is answered.
async fn answers_at_once(stack: &Stack) {
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        let answer = request(stack.port).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "`up` said ready: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs docker"]
async fn up_waits_when_an_own_image_starts_slowly() {
    let stack = Stack::new("slow");
    let slow = stack.compose("image: 'appforge-test-slow:1'");
    assert_eq!(ready(&slow.up(1, LONG, &|_| {}).await.unwrap()), (1, 1));
    answers_at_once(&stack).await;
    // A restart in place: the same container, the same address, and a port that is closed for a while.
    let name = format!("{0}-{0}-1", stack.name);
    let restarted = Command::new("docker").args(["restart", "-t", "0", &name]).output().unwrap();
    assert!(restarted.status.success(), "{}", String::from_utf8_lossy(&restarted.stderr));
    let status = slow.status(1).await.unwrap();
    assert_eq!(status.replicas.ready, 0, "{status:?}");
    let replica = status.components.iter().find(|component| component.name == "service-1").unwrap();
    assert_eq!(replica.state, ComponentState::Starting, "{replica:?}");
    assert_eq!(ready(&slow.up(1, LONG, &|_| {}).await.unwrap()), (1, 1));
    answers_at_once(&stack).await;
    let error = slow.up(2, Duration::from_secs(5), &|_| {}).await.unwrap_err();
    assert_eq!(status_of(&error), ExitStatus::TimedOut, "{}", render(&error));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs docker"]
async fn up_waits_when_a_crashed_own_image_was_fixed() {
    let stack = Stack::new("fixed");
    let broken = stack.compose("image: 'appforge-test-broken:1'");
    assert_eq!(status_of(&broken.up(1, LONG, &|_| {}).await.unwrap_err()), ExitStatus::Failed);
    for fixed in ["appforge-test-slow:1", "appforge-test-web:1"] {
        let fixed = stack.compose(&format!("image: '{fixed}'"));
        assert_eq!(ready(&fixed.up(1, LONG, &|_| {}).await.unwrap()), (1, 1));
        answers_at_once(&stack).await;
    }
}

/// Docker gives containers the proxies of `~/.docker/config.json`; the gateway's own questions must not go there.
#[test]
#[ignore = "needs docker"]
fn gateway_is_reached_directly_when_docker_sets_a_proxy() {
    let stack = Stack::new("dockerproxy");
    let project = Project::with(&stack.text("image: 'appforge-test-web:1'"));
    std::fs::create_dir(project.path().join("docker")).unwrap();
    let nowhere = "http://127.0.0.1:1";
    let proxies = serde_json::json!({"proxies": {"default": {"httpProxy": nowhere, "httpsProxy": nowhere}}});
    project.write("docker/config.json", &proxies.to_string());
    let mut up = project.command(&["up"]);
    up.env("DOCKER_CONFIG", project.path().join("docker"));
    // Neither is the engine asked through a proxy.
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
        up.env(name, nowhere);
    }
    let run = crate::support::Run::of(&mut up);
    assert_eq!(run.code, Some(0), "{run:#?}");
    let name = format!("{}-gateway", stack.name);
    let output = Command::new("docker").args(["inspect", "-f", "{{.Config.Env}}", &name]).output().unwrap();
    let variables = String::from_utf8(output.stdout).unwrap();
    assert!(variables.contains(nowhere), "Compose sets them: {variables}");
    project.done(&["down", "--volumes", "--yes"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs docker"]
async fn running_stack_stays_when_its_subnet_is_changed() {
    let stack = Stack::new("subnet");
    stack.web().up(1, LONG, &|_| {}).await.unwrap();
    let containers = stack.containers();
    let file = stack.text("image: 'appforge-test-web:1'");
    let changed = file.replace("compose: {", "compose: {subnet: '10.249.252.0/22', ");
    let error = stack.of_file(changed).up(1, LONG, &|_| {}).await.unwrap_err();
    assert_eq!(status_of(&error), ExitStatus::Failed);
    assert!(render(&error).contains("asks for 10.249.252.0/22"), "{}", render(&error));
    assert_eq!(stack.containers(), containers);
    assert!(request(stack.port).await.unwrap().starts_with("HTTP/1.1 200 "));
}
