//! A file that was named by mistake, or that a link leads to, may be a private key: no error shows what it holds.

use std::os::unix::fs::symlink;

use crate::support::{Project, Run};

/// Each word of these files that is longer than four letters is secret.
const FILES: [(&str, &str); 6] = [
    (
        "id_rsa",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ\nAAAAMwAAAAtzc2gtZWQyNTUx\n-----END OPENSSH PRIVATE KEY-----\n",
    ),
    (
        "shadow",
        "toor:$6$saltsalt$hashhashhash:19000:0:99999:7:::\nmallory:$y$j9T$abcdef:19001:0:99999:7:::\n",
    ),
    ("token", "ghpsecrettoken0123456789\n"),
    ("ini", "[default]\nawskey = AKIAIOSFODNN7EXAMPLE\nawssecret: wJalrXUtnFEMIbPxRfiCYEXAMPLEKEY\n"),
    ("yaml", "hunter2password: swordfish\nhunter3password: {swordfish: opensesame}\n"),
    ("template", "secretsecret {{ opensesame opensesame }}\n{% hunterhunter %}\n"),
];

#[track_caller]
fn silent(kind: &str, text: &str, run: &Run, code: i32) {
    assert_eq!(run.code, Some(code), "{kind}: {run:#?}");
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| word.len() > 4);
    for word in words.filter(|word| !["default", "template"].contains(word)) {
        let said = format!("{}{}", run.stdout, run.stderr);
        assert!(!said.contains(word), "{kind}: `{word}` is shown: {run:#?}");
    }
}

#[test]
fn catalogue_that_is_not_yaml_is_not_quoted() {
    for (kind, text) in FILES {
        let project = Project::with("cost: {catalogue: secret/file}\n");
        std::fs::create_dir(project.path().join("secret")).unwrap();
        project.write("secret/file", text);
        let run = project.run(&["cost"]);
        silent(kind, text, &run, 3);
        assert!(run.stderr.contains("secret/file:"), "{kind}: the place is named: {run:#?}");
        silent(kind, text, &project.run(&["cost", "--catalogue", "secret/file"]), 3);
    }
}

#[test]
fn linked_stack_file_or_overlay_is_not_quoted() {
    for (kind, text) in FILES {
        let (project, elsewhere) = (Project::new(), Project::new());
        elsewhere.write("secret", text);
        symlink(elsewhere.path().join("secret"), project.path().join("appforge.yaml")).unwrap();
        let run = project.run(&["config", "show"]);
        silent(kind, text, &run, 3);
        assert!(run.stderr.contains("appforge.yaml:"), "{kind}: the place is named: {run:#?}");
        let project = Project::with("name: mine\n");
        symlink(elsewhere.path().join("secret"), project.path().join("appforge.x.yaml")).unwrap();
        silent(kind, text, &project.run(&["config", "show", "--env", "x"]), 3);
    }
}

#[test]
fn scenario_report_and_kubeconfig_are_not_quoted() {
    for (kind, text) in FILES {
        let project = Project::with("name: mine\n");
        project.write("secret", text);
        let url = ["--url", "http://127.0.0.1:1"];
        silent(kind, text, &project.run(&[&["load", "--scenario", "secret"], &url[..]].concat()), 3);
        let mut command = project.command(&["diff", "--target", "kubernetes"]);
        silent(kind, text, &Run::of(command.env("KUBECONFIG", project.path().join("secret"))), 4);
    }
    let project = Project::with("name: mine\n");
    project.write("secret.json", "\"hunter2hunter2\"");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let args = ["load", "--scenario", "normal", "--compare", "secret.json", "--url", &url];
    silent("json", "hunter2hunter2", &project.run(&args), 3);
}

#[test]
fn template_with_a_fault_is_not_quoted() {
    let (kind, text) = FILES[5];
    let project = Project::with("target: compose\n");
    project.done(&["render", "--eject", "compose/haproxy.cfg"]);
    project.write("templates/compose/haproxy.cfg.tera", text);
    let run = project.run(&["render", "--stdout"]);
    silent(kind, text, &run, 3);
    assert!(run.stderr.contains("compose/haproxy.cfg:1:"), "the place is named: {run:#?}");
}

#[test]
fn multiline_value_of_a_known_key_is_not_quoted() {
    let project = Project::with("name: |\n  swordfish\n  swordfish\nservice: {port: \"opensesame\"}\n");
    let run = project.run(&["config", "show"]);
    silent("value", "swordfish", &run, 3);
    assert!(run.stderr.contains("appforge.yaml:2:3: name:"), "{run:#?}");
    assert!(run.stderr.contains("opensesame"), "a short value helps: {run:#?}");
}
