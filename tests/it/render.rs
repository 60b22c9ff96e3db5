use crate::support::Project;

const RENDER: [&str; 5] = ["render", "--target", "compose", "--out", "deploy"];

fn check(project: &Project) -> crate::support::Run {
    project.run(&[&RENDER[..], &["--check"]].concat())
}

#[test]
fn what_was_rendered_checks_clean_and_an_edit_is_shown_with_exit_5() {
    let project = Project::with("name: shop\n");
    let run = project.done(&RENDER);
    assert_eq!(
        run.stdout,
        "deploy/.env.example\ndeploy/Dockerfile\ndeploy/docker-compose.yml\ndeploy/haproxy.cfg\ndeploy/load-test.js\n"
    );
    let clean = check(&project);
    assert_eq!((clean.code, clean.stdout.as_str()), (Some(0), ""));

    let path = project.path().join("deploy/docker-compose.yml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("file: \"../.appforge/compose/secrets/redis_url\""), "{text}");
    std::fs::write(&path, text.replace("unless-stopped", "always")).unwrap();
    let run = check(&project);
    assert_eq!(run.code, Some(5));
    assert!(
        run.stdout.starts_with("--- a/deploy/docker-compose.yml\n+++ b/deploy/docker-compose.yml\n@@ "),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("-    restart: always\n+    restart: unless-stopped\n"), "{}", run.stdout);
    assert!(!project.path().join(".appforge").exists(), "render wrote a secret");
}

#[test]
fn a_missing_file_and_a_left_over_one_are_differences_and_render_mends_both() {
    let project = Project::with("target: compose\n");
    project.done(&["render"]);
    let deploy = project.path().join("deploy");
    std::fs::rename(deploy.join("haproxy.cfg"), deploy.join("old.cfg")).unwrap();
    let run = project.run(&["render", "--check", "-o", "json"]);
    assert_eq!(run.code, Some(5));
    let answer: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let states: Vec<(&str, &str)> = answer["documents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|document| (document["path"].as_str().unwrap(), document["state"].as_str().unwrap()))
        .collect();
    assert_eq!(states, [("deploy/haproxy.cfg", "missing"), ("deploy/old.cfg", "stale")]);
    project.done(&["render"]);
    project.done(&["render", "--check"]);
}

#[test]
fn a_file_of_somebody_else_is_not_overwritten() {
    let project = Project::with("target: compose\n");
    std::fs::create_dir(project.path().join("deploy")).unwrap();
    project.write("deploy/docker-compose.yml", "services: {}\n");
    let run = project.run(&["render"]);
    assert_eq!(
        run.stderr,
        "error: `deploy/docker-compose.yml` was not rendered by appforge; nothing was written\n\n\
         hint: choose another folder with `--out`, or replace it with `--force`\n"
    );
    assert_eq!(run.code, Some(1));
    assert!(!project.path().join("deploy/haproxy.cfg").exists());
    project.done(&["render", "--force"]);
}

#[test]
fn an_ejected_template_takes_the_place_of_the_embedded_one() {
    let project = Project::with("target: compose\n");
    assert_eq!(
        project.done(&["render", "--eject", "compose/haproxy.cfg"]).stdout,
        "templates/compose/haproxy.cfg.tera\n"
    );
    project.done(&["render"]);
    let path = project.path().join("templates/compose/haproxy.cfg.tera");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("roundrobin", "leastconn")).unwrap();
    let run = project.run(&["render", "--check"]);
    assert!(run.stdout.contains("+    balance leastconn\n"), "{}", run.stdout);
    let run = project.run(&["render", "--eject", "compose/haproxy.cfg"]);
    assert_eq!(run.code, Some(1), "a changed template is kept");
    let run = project.run(&["render", "--eject", "compose/haprox.cfg"]);
    assert_eq!(
        run.stderr,
        "error: unknown template `compose/haprox.cfg`\n\nhint: did you mean `compose/haproxy.cfg`?\n"
    );
    assert_eq!(run.code, Some(2));
    std::fs::rename(&path, path.with_file_name("haprox.cfg.tera")).unwrap();
    assert_eq!(project.run(&["render"]).code, Some(3), "a template that replaces none is an error");
}

#[test]
fn every_target_gets_its_folder() {
    let project = Project::with("target: compose\n");
    let run = project.done(&["render", "--target", "all", "--out", "out"]);
    assert!(run.stdout.contains("out/compose/docker-compose.yml\n"), "{}", run.stdout);
    assert_eq!(project.run(&["config", "show", "--target", "all"]).code, Some(2));
}

#[test]
fn a_target_without_documents_is_said() {
    let run = Project::with("target: local\n").run(&["render"]);
    assert_eq!(run.code, Some(2), "{run:#?}");
    assert!(
        run.stderr.starts_with("error: the target `local` has no documents to render\n"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_patch_that_misses_changes_nothing() {
    let project = Project::with(
        "target: compose\npatches:\n  compose/docker-compose.yml:\n    - {op: remove, path: /services/gone}\n",
    );
    let run = project.run(&["render"]);
    assert_eq!(run.code, Some(3), "{run:#?}");
    assert!(
        run.stderr
            .starts_with("error: patches.compose/docker-compose.yml[0]: path `/services/gone` not found\n"),
        "{}",
        run.stderr
    );
    assert!(!project.path().join("deploy").exists());
}

/// Docker Compose v2.
fn compose() -> Vec<&'static str> {
    let second = |program: &Vec<&str>| {
        let output =
            std::process::Command::new(program[0]).args(&program[1..]).args(["version", "--short"]).output();
        output.is_ok_and(|output| output.status.success() && !output.stdout.starts_with(b"1."))
    };
    let found = [vec!["docker", "compose"], vec!["docker-compose"]].into_iter().find(second);
    found.expect("Compose v2 is on PATH")
}

#[test]
#[ignore = "needs compose"]
fn compose_reads_hostile_values_unchanged() {
    let program = compose();
    let hostile = [
        "quote \" single ' back \\ slash",
        "line1\nline2\n",
        "${HOME} $$ $HOME %s `x` $(id)",
        "2026-01-01",
        "0755",
        "yes",
        "~",
        "{a: b}",
        "- x # c",
        "  lead and trail  ",
        "{{ stack }} {% if x %}",
        "\t tab \u{2028} \u{e9} \u{1f600}",
        "",
        "1e3",
        "*x &y !z",
    ];
    let env: serde_json::Map<String, serde_json::Value> =
        hostile.iter().enumerate().map(|(at, value)| (format!("H{at}"), (*value).into())).collect();
    // JSON is YAML.
    let file = serde_json::json!({"version": 1, "target": "compose", "service": {"env": env}});
    let project = Project::with(&file.to_string());
    project.done(&["render", "--out", "deploy"]);
    let output = std::process::Command::new(program[0])
        .args(&program[1..])
        .args(["-f", "deploy/docker-compose.yml", "config", "--format", "json"])
        .current_dir(project.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let environment = &read["services"]["appforge"]["environment"];
    for (name, value) in &env {
        // What Compose prints is meant to be read by it again: a dollar sign is doubled.
        let seen = environment[name].as_str().unwrap().replace("$$", "$");
        assert_eq!(&serde_json::Value::from(seen), value, "{name}");
    }
}
