use std::process::Command;

use crate::support::Project;

#[test]
fn an_engine_that_is_not_there_is_exit_4_with_the_way_on() {
    let project = Project::new();
    for (host, message) in [
        (
            "unix:///nowhere/docker.sock",
            "error: there is no Docker engine at `unix:///nowhere/docker.sock`\n",
        ),
        ("tcp://127.0.0.1:1", "error: the Docker engine at `tcp://127.0.0.1:1` is not running\n"),
        (
            "ssh://somewhere",
            "error: the Docker engine at `ssh://somewhere` cannot be reached: only unix:// and tcp:// can\n",
        ),
    ] {
        let output = project.command(&["image", "build"]).env("DOCKER_HOST", host).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with(message), "{text}");
        assert!(text.contains("\nhint: "), "{text}");
        assert_eq!(output.status.code(), Some(4));
    }
}

#[test]
fn the_service_image_is_this_very_program_and_is_loaded_once() {
    if !Command::new("docker").arg("info").output().is_ok_and(|output| output.status.success()) {
        let text = "SKIPPED: the service image needs a Docker engine";
        assert!(std::env::var_os("CI").is_none(), "{text}");
        eprintln!("{text}");
        return;
    }
    let project = Project::new();
    let first = project.done(&["image", "build"]);
    let again = project.done(&["image", "build"]);
    assert_eq!(again.stdout, first.stdout, "the same program is the same image");
    assert_eq!(again.stderr, "the engine has it already\n");
    let run = |arguments: &[&str]| {
        let confined =
            ["run", "--rm", "--read-only", "--cap-drop=ALL", "--network=none", first.stdout.trim()];
        Command::new("docker").args(confined).args(arguments).output().unwrap()
    };
    let output = run(&["--version"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("appforge {}\n", env!("CARGO_PKG_VERSION")));

    project.done(&["image", "save", "--out", "image.tar"]);
    let loaded = Command::new("docker")
        .args(["load", "-i", "image.tar"])
        .current_dir(project.path())
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&loaded.stdout).contains(first.stdout.trim()),
        "{}",
        String::from_utf8_lossy(&loaded.stderr)
    );
}
