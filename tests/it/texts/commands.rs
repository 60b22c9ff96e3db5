//! What the command line refuses, and what each verb says when its target is not there.

use std::os::unix::fs::{PermissionsExt, lchown, symlink};

use super::{Case, Texts};
use crate::support::Project;

const EMPTY: &[(&str, &str)] = &[];

const USAGE: &[Case] = &[
    (EMPTY, "stauts"),
    (EMPTY, "help stauts"),
    (EMPTY, "help weather"),
    (EMPTY, "up --replcias 3"),
    (EMPTY, "up --replicas"),
    (EMPTY, "up --replicas many"),
    (EMPTY, "up --timeout soon"),
    (EMPTY, "up --dry-run=never"),
    (EMPTY, "up --target swarm"),
    (EMPTY, "up --target all"),
    (EMPTY, "up extra"),
    (EMPTY, "status -q -v"),
    (EMPTY, "status -o csv"),
    (EMPTY, "logs -o yaml"),
    (EMPTY, "logs --since yesterday -q"),
    (EMPTY, "logs --since 9999999999999h -q"),
    (EMPTY, "logs -n many"),
    (EMPTY, "monitor --once --port 5080"),
    (EMPTY, "monitor --port 99999"),
    (EMPTY, "top -o yaml"),
    (EMPTY, "scale"),
    (EMPTY, "scale 2 --replicas 3"),
    (EMPTY, "rollback latest"),
    (EMPTY, "verify --check rate-limits -q"),
    (EMPTY, "verify --check colours -q"),
    (EMPTY, "verify --drill flood"),
    (EMPTY, "completions tcsh"),
    (EMPTY, "config"),
    (EMPTY, "image"),
    (EMPTY, "render --stdout --check"),
    (EMPTY, "healthcheck --port 99999"),
    (EMPTY, "healthcheck --port 1"),
    (EMPTY, "serve --public 127.0.0.1:0"),
    (EMPTY, "PORT=x MONGODB_MAX_POOL_SIZE=0 REDIS_URL=http://x RATE_LIMIT_ENABLED=maybe serve"),
    (EMPTY, "store redis --socket 127.0.0.1:0 --data . --maxmemory 1"),
];

/// Every verb that needs a stack which is up.
const DOWN: &[Case] = &[
    (EMPTY, "status -q"),
    (EMPTY, "logs -q"),
    (EMPTY, "restart -q"),
    (EMPTY, "scale 2 -q"),
    (EMPTY, "verify -q"),
    (EMPTY, "load -q"),
    (EMPTY, "monitor -q"),
    (EMPTY, "monitor --once -q"),
    (EMPTY, "top -q"),
    (EMPTY, "down"),
    (EMPTY, "down --volumes"),
    (EMPTY, "diff"),
    (EMPTY, "up --dry-run"),
];

/// Verbs and flags of other targets.
const OTHER_TARGET: &[Case] = &[
    (EMPTY, "history -q"),
    (EMPTY, "rollback 3 -q"),
    (EMPTY, "up --context prod -q"),
    (EMPTY, "up --force-conflicts -q"),
    (EMPTY, "up --accept-loss --target compose -q"),
    (EMPTY, "scale 2 --max 5 -q"),
    (&[("appforge.yaml", "target: kubernetes\nkubernetes: {autoscaling: null}\n")], "scale 2 --max 5 -q"),
    (&[("appforge.yaml", "target: kubernetes\n")], "scale 20 --max 5000 -q"),
    (&[("appforge.yaml", "target: kubernetes\n")], "scale 20 -q"),
];

/// A target that cannot be reached.
const UNREACHABLE: &[Case] = &[
    (EMPTY, "status --target compose -q"),
    (EMPTY, "up --target compose -q"),
    (EMPTY, "down --target compose -q"),
    (EMPTY, "DOCKER_HOST=nonsense status --target compose -q"),
    (EMPTY, "status --target kubernetes -q"),
    (&[("kubeconfig", "a: [")], "KUBECONFIG=kubeconfig status --target kubernetes -q"),
    (
        &[("kubeconfig", "apiVersion: v1\nkind: Config\n")],
        "KUBECONFIG=kubeconfig status --target kubernetes -q",
    ),
    (
        &[(
            "kubeconfig",
            "contexts: [{name: prod, context: {cluster: c, user: u}}]\ncurrent-context: prod\nclusters: [{name: c, cluster: {server: 'https://203.0.113.1'}}]\nusers: [{name: u, user: {}}]\n",
        )],
        "KUBECONFIG=kubeconfig up --target kubernetes -q",
    ),
    (
        &[(
            "kubeconfig",
            "contexts: [{name: prod, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\nusers: [{name: u, user: {}}]\n",
        )],
        "KUBECONFIG=kubeconfig status --target kubernetes --context prdo -q",
    ),
    (
        &[(
            "kubeconfig",
            "contexts: [{name: prod, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\nusers: [{name: u, user: {}}]\n",
        )],
        "KUBECONFIG=kubeconfig status --target kubernetes --context prod -q",
    ),
];

#[test]
fn texts_of_usage_are_as_in_their_snapshot() {
    Texts::new("usage").cases(USAGE).compare();
}

#[test]
fn texts_of_targets_are_as_in_their_snapshot() {
    Texts::new("targets").cases(DOWN).cases(OTHER_TARGET).cases(UNREACHABLE).compare();
}

#[test]
fn texts_of_files_are_as_in_their_snapshot() {
    let mut texts = Texts::new("files");
    let mut refused = |what: &str, spoil: &dyn Fn(&Project), line: &str| {
        let project = Project::with("name: shop\n");
        spoil(&project);
        texts.text.push_str(&format!("# {what}\n"));
        texts.run(&project, line);
    };
    let at = |project: &Project, name: &str| project.path().join(name);
    let mode = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("a mode");
    };
    let stack_file = "config validate -q";
    refused(
        "the stack file is a folder",
        &|p| {
            std::fs::remove_file(at(p, "appforge.yaml")).expect("removed");
            std::fs::create_dir(at(p, "appforge.yaml")).expect("a folder");
        },
        "config validate -q --config appforge.yaml",
    );
    refused(
        "the stack file is not text",
        &|p| {
            std::fs::write(at(p, "appforge.yaml"), [0xff, 0xfe]).expect("written");
        },
        stack_file,
    );
    refused(
        "the stack file is too long",
        &|p| p.write("appforge.yaml", &"# long\n".repeat(1_000_000)),
        stack_file,
    );
    refused("every user can write the stack file", &|p| mode(&at(p, "appforge.yaml"), 0o666), stack_file);
    refused("every user can write the folder", &|p| mode(p.path(), 0o777), stack_file);
    refused(
        "the stack file is a link to nothing",
        &|p| {
            std::fs::remove_file(at(p, "appforge.yaml")).expect("removed");
            symlink("gone", at(p, "appforge.yaml")).expect("a link");
        },
        "config validate -q --config appforge.yaml",
    );
    refused(
        "the state folder is a link",
        &|p| symlink("/tmp", at(p, ".appforge")).expect("a link"),
        "cost -q",
    );
    refused("the state folder is a file", &|p| p.write(".appforge", ""), "cost -q");
    refused(
        "other users can write the state folder",
        &|p| {
            std::fs::create_dir(at(p, ".appforge")).expect("a folder");
            mode(&at(p, ".appforge"), 0o777);
        },
        "cost -q",
    );
    refused(
        "a kept file has a second name",
        &|p| {
            std::fs::create_dir(at(p, ".appforge")).expect("a folder");
            mode(&at(p, ".appforge"), 0o700);
            std::fs::hard_link(at(p, "appforge.yaml"), at(p, ".appforge/capacity.json")).expect("a link");
        },
        "cost -q",
    );
    refused(
        "a kept file is a folder",
        &|p| {
            std::fs::create_dir_all(at(p, ".appforge/capacity.json")).expect("a folder");
            mode(&at(p, ".appforge"), 0o700);
        },
        "cost -q",
    );
    texts.compare();
}

#[test]
#[ignore = "needs root"]
fn texts_of_trust_are_as_in_their_snapshot() {
    /// A user of whom the machine knows nothing.
    const OTHER: u32 = 4_321;
    let mut texts = Texts::new("trust");
    let mut refused = |what: &str, give: &[&str], line: &str| {
        let project = Project::with("name: shop\n");
        std::fs::create_dir_all(project.path().join(".appforge")).expect("a folder");
        for name in give {
            lchown(project.path().join(name), Some(OTHER), Some(OTHER)).expect("given");
        }
        texts.text.push_str(&format!("# {what}\n"));
        texts.run(&project, line);
    };
    refused("the stack file belongs to another user", &["appforge.yaml"], "config validate -q");
    refused("the folder belongs to another user", &["."], "config validate -q");
    refused("the state folder belongs to another user", &[".appforge"], "cost -q");
    texts.compare();
}
