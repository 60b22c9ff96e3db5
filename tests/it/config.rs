use crate::support::{Project, Run};

#[test]
fn a_missing_file_means_defaults_and_is_said_in_one_line() {
    let run = Project::new().done(&["config", "show", "--origin"]);
    assert_eq!(run.stderr, "no appforge.yaml here or above; using the defaults\n");
    assert!(run.stdout.contains("service.port"), "{}", run.stdout);
}

#[test]
fn what_config_show_prints_is_a_stack_file_again() {
    let project = Project::new();
    let shown = project.done(&["config", "show", "-q"]).stdout;
    project.write("appforge.yaml", &shown);
    let again = project.done(&["config", "show"]);
    assert_eq!((again.stdout, again.stderr), (shown, String::new()));
}

#[test]
fn every_problem_of_a_file_is_shown_with_its_place_and_the_exit_code_is_3() {
    let project = Project::with("service:\n  prot: 80\n  replicas: 10000\n");
    let run = project.run(&["config", "validate"]);
    assert_eq!(
        run.stderr,
        "error: the configuration has 2 problems\n  \
         appforge.yaml:2:3: service: unknown key `prot`; did you mean `port`?\n  \
         appforge.yaml:3:13: service.replicas: must be between 1 and 64, got 10000\n\n\
         hint: `appforge config schema` describes every key\n"
    );
    assert_eq!((run.stdout.as_str(), run.code), ("", Some(3)));
}

/// Exit 3 with the place, whatever the target and whichever source has the variable.
#[test]
fn variables_of_linker_and_sockets_are_refused() {
    let refuses = |file: &str, overlay: &str, variable: &str, said: &str| {
        let project = Project::with(file);
        project.write("appforge.ci.yaml", overlay);
        for target in ["local", "compose", "kubernetes"] {
            for verb in ["up", "down", "diff"] {
                let mut command = project.command(&[verb, "--target", target, "--env", "ci"]);
                if !variable.is_empty() {
                    command.env("APPFORGE_SERVICE_ENV", variable);
                }
                let run = Run::of(&mut command);
                assert_eq!(run.code, Some(3), "{target}: {run:#?}");
                assert!(run.stderr.contains(said), "{target}: {run:#?}");
                assert!(run.stderr.contains("hint: "), "{run:#?}");
            }
        }
        assert!(!project.path().join(".appforge").exists());
    };
    let env = |name: &str| format!("service:\n  env:\n    {name}: /tmp/x.so\n");
    let linker = "would load other code into the bundled service; remove it";
    let said = format!("appforge.yaml:3:17: service.env.LD_PRELOAD: `LD_PRELOAD` {linker}");
    refuses(&env("LD_PRELOAD"), "", "", &said);
    let said = format!("appforge.ci.yaml:3:15: service.env.LD_AUDIT: `LD_AUDIT` {linker}");
    refuses("", &env("LD_AUDIT"), "", &said);
    let name = "DYLD_INSERT_LIBRARIES";
    let said = format!("APPFORGE_SERVICE_ENV: service.env.{name}: `{name}` {linker}");
    refuses("", "", &format!("{{{name}: x}}"), &said);
    let said = "service.env.LISTEN_PID: `LISTEN_PID` is set by appforge itself; remove it";
    refuses(&env("LISTEN_PID"), "", "", said);
}

#[test]
fn an_image_of_the_user_may_set_variables_of_its_linker() {
    let file = |name: &str| format!("target: compose\nservice: {{image: shop, env: {{{name}: x}}}}\n");
    Project::with(&file("LD_LIBRARY_PATH")).done(&["config", "validate"]);
    for name in ["LISTEN_FDS", "LISTEN_FDNAMES"] {
        assert_eq!(Project::with(&file(name)).run(&["config", "validate"]).code, Some(3), "{name}");
    }
}

#[test]
fn sentinel_is_refused_with_its_place_when_compose_runs_redis() {
    let project = Project::with("target: kubernetes\nredis:\n  topology: sentinel\n");
    let refusal = "sentinel` runs on the target kubernetes only; Compose runs one Redis";
    for arguments in [&["render", "--target", "compose", "--stdout"][..], &["up", "--target", "compose"]] {
        let run = project.run(arguments);
        assert_eq!((run.stdout.as_str(), run.code), ("", Some(3)), "{run:#?}");
        let place = format!("  appforge.yaml:3:13: redis.topology: `{refusal}: write `single`\n");
        assert!(run.stderr.contains(&place) && run.stderr.contains("\nhint: "), "{}", run.stderr);
    }
    let run = project.run(&["render", "--target", "all", "--out", "all"]);
    assert_eq!(run.code, Some(3), "{run:#?}");
    assert!(
        run.stderr.starts_with(&format!("error: redis.topology: `{refusal}\n\nhint: ")),
        "{}",
        run.stderr
    );
    assert!(!project.path().join("all").exists(), "nothing is written");
    project.done(&["render"]);
    project.write(
        "appforge.yaml",
        "target: compose\nredis: {topology: sentinel, mode: external, url: 'redis://h:6379'}\n",
    );
    project.done(&["config", "validate"]);
}

#[test]
fn address_in_a_secret_is_shown_and_requires_kubernetes() {
    let mapping = "mongodb: {mode: external, uri: {secret: db, key: uri}}\n";
    let project = Project::with(&format!("target: kubernetes\n{mapping}"));
    let shown = project.done(&["config", "show", "-o", "yaml"]).stdout;
    assert!(shown.contains("\n  uri:\n    secret: db\n    key: uri\n"), "{shown}");
    let origins = project.done(&["config", "show", "--origin"]).stdout;
    let line = |path: &str| origins.lines().find(|line| line.starts_with(path)).unwrap_or_default();
    assert!(line("mongodb.uri.key").ends_with("appforge.yaml:2:32"), "{origins}");
    // Another layer replaces it as a whole.
    project.write("appforge.prod.yaml", "mongodb: {uri: 'mongodb://hunter22@h'}\n");
    let prod = project.done(&["config", "show", "-o", "yaml", "--env", "prod"]).stdout;
    assert!(prod.contains("  uri: '[redacted]'\n") && !prod.contains("secret: db"), "{prod}");
    for target in ["local", "compose"] {
        project.write("appforge.yaml", &format!("target: {target}\n{mapping}"));
        let run = project.run(&["config", "validate"]);
        assert_eq!(run.code, Some(3), "{run:#?}");
        let what =
            "appforge.yaml:2:32: mongodb.uri: a `secret` with its `key` requires the target kubernetes";
        assert!(run.stderr.contains(what), "{}", run.stderr);
    }
    project.write(
        "appforge.yaml",
        "target: kubernetes\nmongodb: {mode: external, uri: {secret: db, kye: uri}}\n",
    );
    let run = project.run(&["config", "validate"]);
    assert_eq!(run.code, Some(3), "{run:#?}");
    assert!(run.stderr.contains("mongodb.uri"), "{}", run.stderr);
}

#[test]
fn an_overlay_wins_over_the_file_and_a_missing_one_is_an_error() {
    let project = Project::with("service: {port: 5001, replicas: 2}\n");
    project.write("appforge.staging.yaml", "service: {replicas: 4}\n");
    let run = project.done(&["config", "show", "--origin", "--env", "staging"]);
    let line =
        |path: &str| run.stdout.lines().find(|line| line.starts_with(path)).unwrap_or_default().to_owned();
    assert!(line("service.replicas").ends_with("appforge.staging.yaml:1:21"), "{}", run.stdout);
    assert!(line("service.port").ends_with("appforge.yaml:1:17"), "{}", run.stdout);
    let run = project.run(&["config", "show", "--env", "prod"]);
    assert_eq!(run.code, Some(3), "{run:#?}");
    assert!(run.stderr.starts_with("error: no file `appforge.prod.yaml` in "), "{}", run.stderr);
}

#[test]
fn number_of_replicas_that_scale_set_names_scale_as_its_origin() {
    let project = Project::with("service:\n  replicas: 2\n");
    let remembers = |replicas: u32, configured: u32| {
        let text =
            format!(r#"{{"scaled": {{"local": {{"replicas": {replicas}, "configured": {configured}}}}}}}"#);
        std::fs::create_dir_all(project.path().join(".appforge")).unwrap();
        project.write(".appforge/state.json", &text);
    };
    let shown = || {
        let shown = project.done(&["config", "show", "--origin"]).stdout;
        let line = shown.lines().find(|line| line.starts_with("service.replicas")).unwrap().to_owned();
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(shown(), "2 appforge.yaml:2:13");
    remembers(5, 2);
    assert_eq!(shown(), "5 appforge scale");
    assert!(project.done(&["config", "show"]).stdout.contains("replicas: 5\n"));
    // The file has changed since.
    remembers(5, 3);
    assert_eq!(shown(), "2 appforge.yaml:2:13");
    // The verbs that would use this number refuse it.
    remembers(500, 2);
    assert_eq!(shown(), "2 appforge.yaml:2:13");
}

#[test]
fn the_project_is_found_from_a_folder_within() {
    let project = Project::with("name: shop\n");
    std::fs::create_dir(project.path().join("deep")).unwrap();
    let output =
        project.command(&["config", "show"]).current_dir(project.path().join("deep")).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("name: shop"));
}

#[test]
fn an_unknown_verb_is_a_usage_error() {
    let run = Project::new().run(&["upp"]);
    assert_eq!(run.code, Some(2), "{run:#?}");
}

#[test]
fn completions_and_the_manual_are_printed() {
    let project = Project::new();
    assert!(project.done(&["completions", "bash"]).stdout.contains("_appforge"));
    assert!(project.done(&["man"]).stdout.contains(".TH appforge"));
}

/// The defaults were taken, as if there were no file.
#[test]
fn stack_file_that_cannot_be_one_is_said_and_not_passed_over() {
    let refuses = |project: &Project, folder: &str, said: &str, hint: &str| {
        for verb in [&["config", "show"][..], &["render", "--target", "compose", "--stdout"], &["up"]] {
            let mut command = project.command(verb);
            let run = Run::of(command.current_dir(project.path().join(folder)));
            assert_eq!((run.stdout.as_str(), run.code), ("", Some(3)), "{run:#?}");
            assert!(run.stderr.contains(said) && run.stderr.contains(hint), "{run:#?}");
        }
        assert!(!project.path().join(".appforge").exists());
    };
    let project = Project::new();
    project.write("appforge.yml", "name: shop\n");
    std::fs::create_dir(project.path().join("deep")).unwrap();
    for folder in [".", "deep"] {
        let said = "` is not read: the stack file is appforge.yaml";
        refuses(&project, folder, said, "hint: mv ");
    }
    project.write("appforge.yaml", "name: shop\n");
    refuses(&project, ".", "error: `appforge.yml` in `", "hint: remove one of the two");
    project.done(&["config", "show", "--config", "appforge.yml"]);

    let project = Project::new();
    std::os::unix::fs::symlink("gone.yaml", project.path().join("appforge.yaml")).unwrap();
    refuses(&project, ".", "error: the symbolic link `appforge.yaml` in `", "is broken");
    let run = project.run(&["init", "--yes"]);
    assert_eq!(run.code, Some(1), "{run:#?}");
    assert!(run.stderr.starts_with("error: `appforge.yaml` already exists"), "{run:#?}");

    let project = Project::new();
    std::fs::create_dir(project.path().join("appforge.yaml")).unwrap();
    refuses(&project, ".", "error: `appforge.yaml` cannot be read", "is a directory");
    // An overlay of the other name.
    let project = Project::with("name: shop\n");
    project.write("appforge.ci.yml", "service: {replicas: 2}\n");
    let run = project.run(&["config", "show", "--env", "ci"]);
    assert_eq!(run.code, Some(3), "{run:#?}");
    assert!(
        run.stderr.contains("no file `appforge.ci.yaml`") && run.stderr.contains("hint: mv "),
        "{run:#?}"
    );
}

#[test]
fn empty_variables_of_the_command_line_are_as_unset() {
    let project = Project::with("name: shop\n");
    let mut command = project.command(&["config", "show"]);
    for name in
        ["APPFORGE_ENV", "APPFORGE_CONFIG", "APPFORGE_TRUST", "APPFORGE_SERVICE_PORT", "APPFORGE_REDIS_URL"]
    {
        command.env(name, "");
    }
    let run = Run::of(&mut command);
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert!(run.stdout.contains("name: shop\n") && run.stdout.contains("port: 5000\n"), "{run:#?}");
    let mut command = project.command(&["up"]);
    let run = Run::of(command.env("APPFORGE_SERVICE_PROT", "80"));
    assert_eq!(run.code, Some(3), "{run:#?}");
    let said = "APPFORGE_SERVICE_PROT: unknown variable; did you mean `APPFORGE_SERVICE_PORT`?";
    assert!(run.stderr.contains(said), "{run:#?}");
}

/// Each was refused by a target, an engine or the kernel, some only once the stack was half there.
#[test]
fn value_that_no_target_holds_is_refused_with_its_path() {
    let long = "x".repeat(128 << 10);
    for (text, path) in [
        ("mongodb: {storage: 0}\n", "1:20: mongodb.storage"),
        ("mongodb: {image: 'Mongo:8'}\n", "1:18: mongodb.image"),
        ("compose: {gateway_image: 'ghcr.io/HAProxy/haproxy:3'}\n", "1:26: compose.gateway_image"),
        ("target: kubernetes\nname: 9lives\n", "2:7: name"),
        ("kubernetes: {ingress: 10.0.0.1}\n", "1:23: kubernetes.ingress"),
        ("mongodb: {mode: external, uri: 'mongodb://h:0/'}\n", "1:32: mongodb.uri"),
        ("service: {resources: {cpu: 4000000000m}}\n", "1:28: service.resources.cpu"),
        ("kubernetes: {cpu_limit: 2000}\n", "1:25: kubernetes.cpu_limit"),
        (&format!("service: {{env: {{LONG: '{long}'}}}}\n"), "1:23: service.env.LONG"),
        ("service: {address: localhost}\n", "1:20: service.address"),
    ] {
        let run = Project::with(text).run(&["config", "validate"]);
        assert_eq!((run.stdout.as_str(), run.code), ("", Some(3)), "{run:#?}");
        assert!(run.stderr.contains(&format!("appforge.yaml:{path}: ")), "{path}: {}", run.stderr);
        assert!(run.stderr.len() < 1000, "a long value is not quoted");
    }
}

#[test]
fn name_of_a_digit_runs_where_no_service_is_named_after_it() {
    let project = Project::with("name: 9lives\n");
    project.done(&["config", "validate"]);
    project.done(&["render", "--target", "compose"]);
    let run = project.run(&["render", "--target", "all", "--out", "all"]);
    assert_eq!(run.code, Some(3), "{run:#?}");
    assert!(
        run.stderr.starts_with("error: name: must start with a letter on the target kubernetes"),
        "{run:#?}"
    );
    assert!(!project.path().join("all").exists());
}
