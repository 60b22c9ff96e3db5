use crate::support::Project;

#[test]
fn with_yes_the_defaults_are_written_with_comments_and_the_state_is_kept_out_of_the_repository() {
    let project = Project::new();
    project.write(".gitignore", "/target");
    let run = project.done(&["init", "--yes"]);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("appforge.yaml\n", "next: appforge up\n"));
    let text = project.read("appforge.yaml");
    assert!(text.starts_with("# yaml-language-server: $schema=./.appforge/schema.json\n"), "{text}");
    assert_eq!(project.read(".gitignore"), "/target\n.appforge/\n");
    serde_json::from_str::<serde_json::Value>(&project.read(".appforge/schema.json")).unwrap();
    // The file says what the defaults are, and adds an identity.
    let id = text.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().trim_matches('"');
    let shown = project.done(&["config", "show"]).stdout;
    let shown = shown.replace(&format!("id: {id}\n"), "id: null\n");
    // The folder of the test has another name each time.
    let name = text.lines().find_map(|line| line.strip_prefix("name: ")).unwrap().trim_matches('"');
    let shown = shown.replace(&format!(": {name}\n"), ": appforge\n");
    assert_eq!(shown, Project::new().done(&["config", "show", "-q"]).stdout);
}

#[test]
fn each_flag_answers_its_question() {
    let project = Project::new();
    project.done(&[
        "init",
        "--yes",
        "--target",
        "compose",
        "--name",
        "shop",
        "--port",
        "8081",
        "--replicas",
        "3",
        "--rate-limit",
        "20/1m",
        "--redis",
        "external",
        "--autoscaling",
        "off",
    ]);
    let output = project
        .command(&["config", "show", "-o", "json"])
        .env("APPFORGE_REDIS_URL", "redis://h")
        .output()
        .unwrap();
    let stack: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(stack["name"], "shop");
    assert_eq!(stack["target"], "compose");
    assert_eq!(stack["service"]["port"], 8081);
    assert_eq!(stack["service"]["replicas"], 3);
    assert_eq!(
        (&stack["rate_limit"]["requests"], &stack["rate_limit"]["window"]),
        (&20.into(), &"1m".into())
    );
    assert_eq!(stack["redis"]["mode"], "external");
    assert_eq!(stack["kubernetes"]["namespace"], "shop");
    assert!(stack["kubernetes"]["autoscaling"].is_null());
}

#[test]
fn an_existing_file_stays_unless_forced() {
    let project = Project::with("name: mine\n");
    let run = project.run(&["init", "--yes"]);
    assert_eq!(
        run.stderr,
        "error: `appforge.yaml` already exists; nothing was changed\n\n\
         hint: edit it, or overwrite it with `appforge init --force`\n"
    );
    assert_eq!(run.code, Some(1));
    assert_eq!(project.read("appforge.yaml"), "name: mine\n");
    assert!(!project.path().join(".appforge").exists());
    project.done(&["init", "--yes", "--force"]);
    let first = project.read("appforge.yaml");
    assert!(first.contains("name: \"tmp"), "{first}");
    project.done(&["init", "--yes", "--force"]);
    assert_eq!(project.read("appforge.yaml"), first, "the folder keeps its identity");
}

#[test]
fn without_a_terminal_nothing_is_asked_and_nothing_assumed() {
    let project = Project::new();
    let run = project.run(&["init"]);
    assert_eq!(
        run.stderr,
        "error: this requires an answer, and stdin is not a terminal\n\n\
         hint: add `--yes` to accept the defaults\n"
    );
    assert_eq!(run.code, Some(2));
    assert!(!project.path().join("appforge.yaml").exists());
}

#[test]
fn a_wrong_answer_writes_nothing() {
    for wrong in [["--replicas", "2000"], ["--port", "0"], ["--name", "A_b"], ["--rate-limit", "fast"]] {
        let project = Project::new();
        let run = project.run(&["init", "--yes", wrong[0], wrong[1]]);
        assert_eq!(run.code, Some(2), "{run:#?}");
        assert_eq!(std::fs::read_dir(project.path()).unwrap().count(), 0, "{wrong:?}");
    }
}

#[test]
fn stores_that_the_target_cannot_run_are_refused_and_nothing_is_written() {
    for (flag, target) in [("--mongodb", "compose"), ("--redis", "compose"), ("--redis", "kubernetes")] {
        let project = Project::new();
        let run = project.run(&["init", "--yes", "--target", target, flag, "embedded"]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{flag} {target}: {run:#?}");
        assert!(run.stderr.contains("`embedded` runs on the target local only"), "{}", run.stderr);
        assert!(!project.path().join("appforge.yaml").exists());
    }
    Project::new().done(&["init", "--yes", "--mongodb", "embedded"]);
}

#[test]
fn command_of_an_app_is_proposed_and_written_with_its_source() {
    let project = Project::new();
    project.write("Procfile", "web: node server.js --port $PORT\n");
    project.done(&["init", "--yes"]);
    let text = project.read("appforge.yaml");
    assert!(text.contains("  # From `web` in Procfile.\n"), "{text}");
    assert!(text.contains("  command: \"node server.js --port ${port}\"\n"), "{text}");
    assert!(!text.contains("image: bundled"), "{text}");
    project.done(&["config", "show"]);
}

#[test]
fn command_of_init_wins_over_the_proposal() {
    for (command, shown) in [("python3 app.py", "python3 app.py"), ("bundled", "null")] {
        let project = Project::new();
        project.write("go.mod", "module shop\n");
        project.done(&["init", "--yes", "--command", command]);
        assert!(!project.read("appforge.yaml").contains("go.mod"));
        let stack = project.done(&["config", "show"]).stdout;
        assert!(stack.contains(&format!("  command: {shown}\n")), "{stack}");
    }
}

#[test]
fn dockerfile_is_built_on_compose() {
    let project = Project::new();
    project.write("Dockerfile", "FROM shop\n");
    project.done(&["init", "--yes", "--target", "compose", "--command", "node server.js"]);
    let stack = project.done(&["config", "show"]).stdout;
    assert!(stack.contains("  command: node server.js\n  build: .\n"), "{stack}");
    let other = Project::new();
    let refused = other.run(&["init", "--yes", "--target", "compose", "--command", "node server.js"]);
    assert_eq!(refused.code, Some(2), "{refused:#?}");
    assert!(!other.path().join("appforge.yaml").exists());
}

/// `--command` alone could not succeed where an image runs.
#[test]
fn image_of_an_app_is_written_for_the_targets_that_run_one() {
    for target in ["compose", "kubernetes"] {
        let project = Project::new();
        project.done(&[
            "init",
            "--yes",
            "--target",
            target,
            "--image",
            "shop/app:1",
            "--command",
            "node server.js",
        ]);
        let shown = project.done(&["config", "show", "-q", "-o", "json"]).stdout;
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(
            (&shown["service"]["image"], &shown["service"]["command"]),
            (&"shop/app:1".into(), &"node server.js".into())
        );
    }
}
