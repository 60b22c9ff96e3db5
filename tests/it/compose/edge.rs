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
    let limit = format!("rate_limit: {{enabled: false, trusted_proxies: [{}]}}\n", proxies.join(", "));
    stack.of_service("image: 'appforge-test-web:1'", &limit)
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
    assert!(render(&error).contains("but `compose.subnet` is 10.249.252.0/22"), "{}", render(&error));
    assert_eq!(stack.containers(), containers);
    assert!(request(stack.port).await.unwrap().starts_with("HTTP/1.1 200 "));
}

/// The programs with which the engine publishes a port.
fn proxies(port: u16) -> Vec<u64> {
    let words = |entry: &std::fs::DirEntry| {
        let line = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<String> = line.split('\0').map(str::to_owned).collect();
        words[0].ends_with("docker-proxy")
            && words.windows(2).any(|pair| pair == ["-host-port", &port.to_string()])
    };
    let processes = std::fs::read_dir("/proc").unwrap().flatten().filter(words);
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// All containers were well, and the port was closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs docker"]
async fn gateway_is_not_ready_when_its_published_port_is_dead() {
    let stack = Stack::new("unpublished");
    stack.web().up(1, LONG, &|_| {}).await.unwrap();
    let gateway = |status: &appforge::targets::status::Status| {
        status.components.iter().find(|component| component.name == "gateway").unwrap().clone()
    };
    assert_eq!(gateway(&stack.web().status(1).await.unwrap()).state, ComponentState::Ready);
    let pids = proxies(stack.port);
    assert!(!pids.is_empty(), "the engine publishes ports by a program");
    pids.into_iter().for_each(crate::stack::kill);
    let found = gateway(&stack.web().status(1).await.unwrap());
    assert_eq!(found.state, ComponentState::Unresponsive, "{found:?}");
    assert!(found.detail.contains("its published port does not answer"), "{found:?}");
    let error = stack.web().up(1, LONG, &|_| {}).await.unwrap_err();
    let text = render(&error);
    assert_eq!(status_of(&error), ExitStatus::Failed, "{text}");
    assert!(text.contains(&format!("`docker restart {}-gateway` publishes it again", stack.name)), "{text}");
    let name = format!("{}-gateway", stack.name);
    let restarted = Command::new("docker").args(["restart", "-t", "1", &name]).output().unwrap();
    assert!(restarted.status.success(), "{restarted:?}");
    assert_eq!(ready(&stack.web().up(1, LONG, &|_| {}).await.unwrap()), (1, 1));
    assert!(request(stack.port).await.unwrap().starts_with("HTTP/1.1 200 "));
}

#[test]
#[ignore = "needs docker"]
fn stack_under_its_former_name_is_named() {
    let (old, new) = (Stack::new("former"), Stack::new("renamed"));
    let text = old.text("image: 'appforge-test-web:1'");
    let project = Project::with(&text);
    project.done(&["up"]);
    let renamed = text.replace(&old.name, &new.name);
    project.write("appforge.yaml", &renamed);
    let run = project.run(&["up"]);
    assert_eq!(run.code, Some(1), "{run:#?}");
    let said = format!(
        "error: port {} is taken by the stack `{}`, the former name of this one\n",
        old.port, old.name
    );
    let stop = format!("APPFORGE_NAME={} appforge down --target compose", old.name);
    assert!(run.stderr.contains(&said) && run.stderr.contains(&stop), "{run:#?}");
    let doctor = project.run(&["doctor"]).stdout;
    assert!(doctor.contains(&format!("is taken by the stack `{}`", old.name)), "{doctor}");

    // With another port both run, and `up` says so.
    project.write("appforge.yaml", &renamed.replace(&old.port.to_string(), &new.port.to_string()));
    let run = project.done(&["up"]);
    let left =
        format!("the stack `{}`, the former name of this one, still runs; `{stop}` stops it\n", old.name);
    assert!(run.stderr.contains(&left), "{run:#?}");
    // A stack of another folder is not a former one.
    let other = Project::with(&renamed.replace(&new.name, &format!("{}-other", new.name)));
    other.write(
        "appforge.yaml",
        &other.read("appforge.yaml").replace(&old.port.to_string(), &new.port.to_string()),
    );
    let run = other.run(&["up"]);
    assert!(run.stderr.contains(&format!("is taken by the stack `{}`\n", new.name)), "{run:#?}");
    assert!(run.stderr.contains(&format!("docker compose -p {} down", new.name)), "{run:#?}");
    let mut down = project.command(&["down", "--target", "compose", "--volumes", "--yes"]);
    assert_eq!(crate::support::Run::of(down.env("APPFORGE_NAME", &old.name)).code, Some(0));
    assert_eq!(old.containers(), Vec::<String>::new());
    project.done(&["down", "--volumes", "--yes"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs docker"]
async fn gateway_is_published_on_the_address_of_the_service() {
    let stack = Stack::new("published");
    let text = stack.text("image: 'appforge-test-web:1', address: 127.0.0.2");
    let (_, status) = stack.of_file(text).up(1, LONG, &|_| {}).await.unwrap();
    assert_eq!(status.url, Some(format!("http://127.0.0.2:{}", stack.port)));
    assert!(request(stack.port).await.is_err(), "127.0.0.1 is not published");
}
