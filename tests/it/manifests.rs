//! The rendered manifests, as the schemas of Kubernetes and a scanner judge them, and what `render` says about numbers.

use std::path::PathBuf;
use std::process::Command;

use appforge_testing::need;

use crate::support::Project;

/// Stacks that together have every kind of object and each way of writing one.
const STACKS: [(&str, &str); 7] = [
    ("defaults", ""),
    (
        "external",
        "mongodb: {mode: external, uri: 'mongodb+srv://u:hunter2@h.mongodb.net/x'}\n\
         redis: {mode: external, url: 'rediss://:hunter2@h:12345'}\n\
         kubernetes: {autoscaling: null, cpu_limit: none, priority_class: none, network_policies: false}\n\
         service: {replicas: 4, port: 80}\n",
    ),
    (
        "ingress",
        "rate_limit: {trusted_proxies: [10.244.0.0/16]}\n\
         kubernetes: {ingress: shop.example.com, route: {class: nginx, issuer: letsencrypt, from_namespace: ingress}}\n\
         redis: {persistence: none}\n\
         service: {env: {HOSTILE: 'yes: {a} # ${HOME} $(PORT)', OCTAL: '0755', DATE: '2026-11-23'}}\n",
    ),
    (
        "gateway",
        "name: shop\nrate_limit: {trusted_proxies: [10.244.0.0/16]}\n\
         kubernetes: {ingress: shop.example.com, route: {api: gateway, class: public}, storage_class: fast, cpu_limit: 2}\n",
    ),
    (
        "own-image",
        "service: {image: 'registry.example.com:5000/team/shop:1.2'}\n\
         kubernetes: {priority_class: high, pull_secrets: [registry], probes: {liveness: /live, port: 8081}}\n",
    ),
    (
        "own-app",
        "service:\n  image: 'registry.example.com/shop:1.2'\n  command: 'node \"my server.js\"'\n  health: /healthz\n  port: 80\n\
         \x20 env: {URL: '${mongodb.uri}&x=$$(PORT)', AT: ':${port}'}\n  env_file: .env\n  workdir: /srv\n  run_as: 1000\n\
         \x20 writable: [/, '/tmp:1Gi', /var/cache]\n  egress: [internet, 'api.stripe.com:443', '10.1.2.3:25', 'fd00::/8']\n\
         \x20 pids: 64\n  release: ./migrate\n\
         runtime: {image: 'registry.example.com/appforge:1.2'}\n\
         kubernetes: {autoscaling: {memory: 90}, cpu_limit: none}\n\
         mongodb: {mode: external, uri: 'mongodb://u:hunter2@h/x'}\n",
    ),
    ("sentinel", "redis: {topology: sentinel}\n"),
];

/// Kinds of an API that the schemas of Kubernetes do not have.
const GATEWAY_API: [&str; 3] = ["gateway.yaml", "httproute.yaml", "redirect.yaml"];

fn rendered() -> Project {
    let project = Project::new();
    for (name, stack) in STACKS {
        project.write("appforge.yaml", &format!("target: kubernetes\n{stack}"));
        let run = project.done(&["render", "--out", &format!("out/{name}")]);
        assert_eq!(run.stderr, "", "{name}");
    }
    project
}

fn manifests(project: &Project) -> Vec<PathBuf> {
    let folders = STACKS.iter().map(|(name, _)| project.path().join("out").join(name));
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let paths = files.map(|file| file.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect()
}

#[test]
#[ignore = "needs scanners"]
fn manifests_pass_strict_schemas_and_the_scanner() {
    let scanners = need::folder("APPFORGE_PEER_SCANNERS");
    let project = rendered();
    let manifests = manifests(&project);
    assert!(manifests.len() > 80, "{}", manifests.len());
    let known = manifests.iter().filter(|path| !GATEWAY_API.iter().any(|name| path.ends_with(name)));
    let known: Vec<&PathBuf> = known.collect();
    for version in ["1.30", "1.34", "1.37"] {
        let mut validate = Command::new(scanners.join("kubernetes-validate"));
        let output = validate.args(["--strict", "--quiet", "-k", version]).args(&known).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{version}: {said}");
    }
    let mut checkov = Command::new(scanners.join("checkov"));
    checkov.args(["--framework", "kubernetes", "--skip-download", "--quiet", "-o", "json", "-d"]);
    // The folder of the test is below a hidden one.
    checkov.env("CKV_IGNORE_HIDDEN_DIRECTORIES", "false");
    let output = checkov.arg(project.path().join("out")).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let failed = &report["results"]["failed_checks"];
    assert_eq!(report["summary"]["failed"], 0, "{failed:#}");
    assert_eq!(report["summary"]["parsing_errors"], 0);
    assert!(report["summary"]["passed"].as_u64() > Some(1000), "{}", report["summary"]);
}

#[test]
#[ignore = "needs scanners"]
fn schemas_refuse_a_broken_manifest() {
    let scanners = need::folder("APPFORGE_PEER_SCANNERS");
    let project = Project::with(
        "target: kubernetes\npatches:\n  kubernetes/hpa.yaml:\n    - {op: replace, path: /spec/minReplicas, value: three}\n",
    );
    project.done(&["render"]);
    let mut validate = Command::new(scanners.join("kubernetes-validate"));
    let output = validate
        .args(["--strict", "-k", "1.34"])
        .arg(project.path().join("deploy/hpa.yaml"))
        .output()
        .unwrap();
    assert!(!output.status.success());
}

#[test]
fn the_same_folder_checks_clean_and_holds_no_secret() {
    let project =
        Project::with("target: kubernetes\nmongodb: {mode: external, uri: 'mongodb://u:hunter2@h'}\n");
    let run = project.done(&["render", "--out", "kubernetes"]);
    assert!(run.stdout.contains("kubernetes/deployment.yaml\n"), "{}", run.stdout);
    assert!(!run.stdout.contains("mongodb-"), "{}", run.stdout);
    project.done(&["render", "--out", "kubernetes", "--check"]);
    for line in run.stdout.lines() {
        assert!(!project.read(line).contains("hunter2"), "{line}");
    }
    assert!(!project.path().join(".appforge").exists());
}

#[test]
fn the_file_of_init_renders_what_the_defaults_do() {
    let project = Project::new();
    project.done(&["init", "--yes", "--name", "appforge", "--target", "kubernetes"]);
    assert!(project.read("appforge.yaml").contains("  topology: single\n"));
    project.done(&["render", "--out", "init"]);
    project.write("appforge.yaml", "target: kubernetes\n");
    project.done(&["render", "--out", "init", "--check"]);
}

#[test]
fn numbers_that_do_not_fit_are_said_and_nothing_is_done() {
    let project =
        Project::with("target: kubernetes\nkubernetes: {autoscaling: {max: 40}, cpu_limit: 500m}\n");
    let run = project.run(&["render"]);
    assert_eq!(run.code, Some(3), "{run:#?}");
    assert_eq!(
        run.stderr,
        "warning: kubernetes.cpu_limit: at 500m a busy replica is throttled for up to 50 ms of every 100 ms; after waiting 50 ms \
         for Redis it counts the rate limit alone; set 1 or more, or `none`\n\
         error: this stack cannot run: 1 problem\n\
         \x20 mongodb.pool.max: (40 replicas + 1 during a rollout) x (pool of 50 + 2) = 2132 connections, but mongodb.memory \
         leaves room for 1024; reduce the replicas or the pool, or raise the limit\n\n\
         hint: correct these values; nothing was changed\n"
    );
    assert!(!project.path().join("deploy").exists());
    // Before any cluster is looked for.
    for verb in ["up", "diff"] {
        let refused = project.run(&[verb]);
        assert_eq!((refused.code, &refused.stderr), (Some(3), &run.stderr));
    }
}
