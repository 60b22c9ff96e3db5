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
        "deploy/.env.example\ndeploy/Dockerfile\ndeploy/docker-compose.yml\ndeploy/haproxy.cfg\n\
         deploy/mongodb-start.sh\ndeploy/mongodb-init.js\ndeploy/load-test.js\n"
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

/// Each was passed over, and the embedded template taken.
#[test]
fn template_that_would_be_passed_over_is_said() {
    let refuses = |file: &str, meant: &str| {
        let project = Project::with("target: compose\n");
        let path = project.path().join("templates").join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "name: x\n").unwrap();
        let run = project.run(&["render"]);
        assert_eq!((run.stdout.as_str(), run.code), ("", Some(3)), "{file}: {run:#?}");
        let hint = format!("hint: did you mean `templates/{meant}`?\n");
        assert!(
            run.stderr.contains(" does not match any template\n") && run.stderr.ends_with(&hint),
            "{file}: {run:#?}"
        );
    };
    refuses("compose/haproxy.cfg", "compose/haproxy.cfg.tera");
    refuses("compose/haprxy.cfg.tera", "compose/haproxy.cfg.tera");
    refuses("compose/docker-compose.yaml.tera", "compose/docker-compose.yml.tera");
    refuses("kubernetes/deployment.yml", "kubernetes/deployment.yaml.tera");
    refuses("haproxy.cfg.tera", "compose/haproxy.cfg.tera");
    refuses("kuberntes/deployment.yaml.tera", "kubernetes/");

    // What belongs to the project, and what editors keep.
    let project = Project::with("target: compose\n");
    let templates = project.path().join("templates");
    std::fs::create_dir_all(templates.join("compose")).unwrap();
    std::fs::create_dir_all(templates.join("emails")).unwrap();
    for file in [
        "index.html.tera",
        "README.md",
        "compose/README.md",
        "compose/haproxy.cfg.tera~",
        "compose/.haproxy.cfg.tera.swp",
    ] {
        std::fs::write(templates.join(file), "x").unwrap();
    }
    project.done(&["render"]);
    std::os::unix::fs::symlink("gone", templates.join("compose/haproxy.cfg.tera")).unwrap();
    let run = project.run(&["render"]);
    assert_eq!(run.code, Some(3), "{run:#?}");
    let said = "error: the symbolic link `templates/compose/haproxy.cfg.tera` is broken\n";
    assert!(run.stderr.starts_with(said), "{run:#?}");
    let project = Project::with("target: compose\n");
    std::fs::create_dir(project.path().join("templates")).unwrap();
    project.write("templates/compose", "x");
    assert_eq!(project.run(&["render"]).code, Some(3));
}

#[test]
fn stack_of_twenty_thousand_variables_is_rendered() {
    let lines: String = (0..20_000).map(|at| format!("    VARIABLE_{at}: \"{at}\"\n")).collect();
    let project = Project::with(&format!("target: compose\nservice:\n  env:\n{lines}"));
    let started = std::time::Instant::now();
    project.done(&["config", "validate"]);
    let took = started.elapsed();
    // 0.1 s in a release build.
    assert!(took < std::time::Duration::from_secs(10), "{took:?}");
    for target in ["compose", "kubernetes"] {
        project.done(&["render", "--target", target, "--out", target]);
    }
    assert!(project.read("compose/docker-compose.yml").contains("\"VARIABLE_19999\": \"19999\""));
}

#[test]
fn network_that_is_too_small_is_a_finding() {
    let project =
        Project::with("target: compose\nservice: {replicas: 12}\ncompose: {subnet: 10.250.0.0/28}\n");
    let run = project.run(&["render"]);
    assert_eq!(run.code, Some(3), "{run:#?}");
    let said = "compose.subnet: 10.250.0.0/28 has addresses for 12 replicas, but 12 + 1 while they are replaced = 13";
    assert!(run.stderr.contains(said), "{run:#?}");
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
