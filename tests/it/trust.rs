//! What appforge follows must not be writable by another user.

use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::Path;

use crate::support::{Project, Run};

/// A user of whom the machine knows nothing.
const OTHER: u32 = 4_321;
/// The stack file of the tests: small, and not the defaults.
const STACK: &str = "name: mine\n";
/// A catalogue that is read without a problem.
const CATALOGUE: &str = "version: 1\nextends: default\n";
const SCENARIO: &str = "stages: [{duration: 1s, users: 1}]\nsteps: [{path: /health}]\n";

fn give(path: &Path, uid: u32) {
    lchown(path, Some(uid), Some(uid)).unwrap();
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

/// Shows the name that the stack file gives, or refuses.
fn shown(project: &Project, more: &[(&str, &str)]) -> Run {
    let mut command = project.command(&["config", "show"]);
    Run::of(command.envs(more.iter().copied()))
}

#[track_caller]
fn refused(run: &Run, why: &str) {
    assert_eq!((run.code, run.stdout.as_str()), (Some(3), ""), "{run:#?}");
    assert!(run.stderr.contains(why), "{why}: {run:#?}");
}

#[test]
#[ignore = "needs root"]
fn stack_file_of_another_user_is_refused_until_trusted() {
    let project = Project::with(STACK);
    let file = project.path().join("appforge.yaml");
    give(&file, OTHER);
    let run = shown(&project, &[]);
    refused(&run, &format!("refusing to use `{}`: it belongs to uid {OTHER}\n", file.display()));
    let folder = project.path().display().to_string();
    assert!(run.stderr.contains(&format!("export APPFORGE_TRUST={folder}\n")), "{run:#?}");
    assert_eq!(shown(&project, &[("APPFORGE_TRUST", &folder)]).code, Some(0));
    refused(&shown(&project, &[("APPFORGE_TRUST", "/nowhere")]), "belongs to");
    refused(&shown(&project, &[("APPFORGE_TRUST", ".")]), "APPFORGE_TRUST must name absolute paths, got `.`");

    let config = tempfile::tempdir().unwrap();
    std::fs::create_dir(config.path().join("appforge")).unwrap();
    let list = config.path().join("appforge/trusted");
    std::fs::write(&list, format!("# mine\n/nowhere\n{folder}\n")).unwrap();
    let home = [("XDG_CONFIG_HOME", config.path().to_str().unwrap())];
    assert_eq!(shown(&project, &home).code, Some(0));
    give(&list, OTHER);
    refused(&shown(&project, &home), &format!("`{}` is not used", list.display()));

    give(&file, 0);
    assert_eq!(shown(&project, &[]).code, Some(0));
}

#[test]
#[ignore = "needs root"]
fn stack_file_above_is_refused_when_another_user_owns_it() {
    let project = Project::new();
    // As `/tmp`: everyone may add files.
    mode(project.path(), 0o1777);
    project.write("appforge.yaml", "service: {env: {LD_PRELOAD: /tmp/evil.so}}\n");
    give(&project.path().join("appforge.yaml"), OTHER);
    std::fs::create_dir(project.path().join("mine")).unwrap();
    let run = Run::of(project.command(&["up"]).current_dir(project.path().join("mine")));
    refused(&run, &format!("belongs to uid {OTHER}"));
    assert!(!run.stderr.contains("APPFORGE_TRUST"), "to trust it would be to trust all users: {run:#?}");
    assert!(!project.path().join(".appforge").exists());
    let explicit = format!("{}/appforge.yaml", project.path().display());
    refused(&project.run(&["config", "show", "--config", &explicit]), "belongs to");
    give(&project.path().join("appforge.yaml"), 0);
    project.write("appforge.yaml", STACK);
    assert_eq!(project.run(&["config", "show"]).code, Some(0), "the caller's own file in a sticky folder");
}

#[test]
#[ignore = "needs root"]
fn each_kind_of_instructions_passes_the_gate() {
    let project = Project::with(STACK);
    std::fs::create_dir_all(project.path().join("templates/compose")).unwrap();
    project.done(&["render", "--target", "compose", "--eject", "compose/haproxy.cfg"]);
    for (file, text, args) in [
        ("appforge.prod.yaml", STACK, &["config", "show", "--env", "prod"][..]),
        ("prices.yaml", CATALOGUE, &["cost", "--catalogue", "prices.yaml"]),
        ("shop.yaml", SCENARIO, &["load", "--scenario", "shop.yaml", "--url", "http://127.0.0.1:1"]),
        ("templates/compose/haproxy.cfg.tera", "", &["render", "--target", "compose", "--stdout"]),
        ("other.yaml", STACK, &["cost", "--users", "10", "--compare", "other.yaml", "--compare", "starter"]),
    ] {
        if !text.is_empty() {
            project.write(file, text);
        }
        let path = project.path().join(file);
        give(&path, OTHER);
        refused(&project.run(args), &format!("{file}`: it belongs to uid {OTHER}\n"));
        give(&path, 0);
        assert!(!project.run(args).stderr.contains("belongs to"), "{file}");
    }
}

#[test]
fn what_other_users_can_write_is_refused() {
    let project = Project::with(STACK);
    let file = project.path().join("appforge.yaml");
    for (file_mode, folder_mode, why) in [
        (0o646, 0o755, Some("every user can write it")),
        (0o644, 0o777, Some("every user can write the folder")),
        (0o644, 0o1777, None),
        // A umask of 002, where each user has a group.
        (0o664, 0o775, None),
        (0o600, 0o700, None),
    ] {
        mode(&file, file_mode);
        mode(project.path(), folder_mode);
        let run = shown(&project, &[]);
        match why {
            Some(why) => refused(&run, why),
            None => assert_eq!(run.code, Some(0), "{file_mode:o} {folder_mode:o}: {run:#?}"),
        }
    }
}

#[test]
#[ignore = "needs root"]
fn file_that_a_group_of_others_can_write_is_refused() {
    let project = Project::with(STACK);
    let file = project.path().join("appforge.yaml");
    mode(&file, 0o664);
    lchown(&file, Some(0), Some(OTHER)).unwrap();
    let run = shown(&project, &[]);
    refused(&run, &format!("the group {OTHER} can write it"));
    assert!(run.stderr.contains(&format!("hint: chmod go-w {}\n", file.display())), "{run:#?}");
}

#[test]
fn link_is_judged_where_it_lies_and_where_it_leads() {
    let (project, elsewhere) = (Project::new(), Project::with(STACK));
    let (link, file) = (project.path().join("appforge.yaml"), elsewhere.path().join("appforge.yaml"));
    symlink(&file, &link).unwrap();
    assert_eq!(shown(&project, &[]).code, Some(0));
    mode(elsewhere.path(), 0o777);
    refused(&shown(&project, &[]), "every user can write the folder");
    mode(elsewhere.path(), 0o700);
    let file = project.path().join("circle.yaml");
    symlink(&file, &file).unwrap();
    assert_eq!(project.run(&["config", "show", "--config", "circle.yaml"]).code, Some(3));
}

#[test]
#[ignore = "needs root"]
fn link_is_refused_when_it_or_its_end_is_of_another_user() {
    let (project, elsewhere) = (Project::new(), Project::with(STACK));
    let (link, file) = (project.path().join("appforge.yaml"), elsewhere.path().join("appforge.yaml"));
    symlink(&file, &link).unwrap();
    give(&link, OTHER);
    refused(&shown(&project, &[]), &format!("belongs to uid {OTHER}"));
    give(&link, 0);
    give(&file, OTHER);
    let run = shown(&project, &[("APPFORGE_TRUST", project.path().to_str().unwrap())]);
    refused(&run, &format!("`{}`: it belongs to uid {OTHER}", file.display()));
}

#[test]
fn file_that_never_ends_or_never_begins_is_refused() {
    let project = Project::new();
    let run = project.run(&["config", "show", "--config", "/dev/zero"]);
    refused(&run, "`/dev/zero` is longer than 16 MiB");
    assert_eq!(project.run(&["config", "show", "--config", "/dev/null"]).code, Some(0));
    let pipe = project.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
        .unwrap();
    refused(&project.run(&["config", "show", "--config", "pipe"]), "is not a regular file");
}

#[test]
fn stack_file_on_standard_input_is_read() {
    let project = Project::with("name: piped\n");
    let file = std::fs::File::open(project.path().join("appforge.yaml")).unwrap();
    let mut cat =
        std::process::Command::new("cat").stdin(file).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let elsewhere = Project::new();
    let mut command = elsewhere.command(&["config", "show", "--config", "/dev/stdin"]);
    let run = Run::of(command.stdin(cat.stdout.take().unwrap()));
    cat.wait().unwrap();
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert!(run.stdout.contains("piped"), "{run:#?}");
}

#[test]
#[ignore = "needs root"]
fn user_works_in_files_of_root_and_not_of_others() {
    let project = Project::with(STACK);
    let run = |uid| Run::of(&mut project.command_as(uid, "022", &["config", "show"]));
    mode(project.path(), 0o755);
    let of_root = run(OTHER);
    assert_eq!(of_root.code, Some(0), "{of_root:#?}");
    project.give(OTHER);
    assert_eq!(run(OTHER).code, Some(0));
    refused(&run(OTHER + 1), &format!("it belongs to uid {OTHER}"));
    // Each user has a group.
    mode(&project.path().join("appforge.yaml"), 0o664);
    assert_eq!(run(OTHER).code, Some(0));
}

#[test]
#[ignore = "needs root"]
fn root_in_a_container_works_on_a_trusted_checkout() {
    let project = Project::with(STACK);
    mode(&project.path().join("appforge.yaml"), 0o664);
    mode(project.path(), 0o775);
    project.give(OTHER);
    refused(&project.run(&["diff", "--target", "local"]), &format!("belongs to uid {OTHER}"));
    let trusted = |args: &[&str]| {
        Run::of(project.command(args).env("APPFORGE_TRUST", project.path()).env("PATH", "/nonexistent"))
    };
    let run = trusted(&["diff", "--target", "local"]);
    assert_eq!(run.code, Some(5), "{run:#?}");
    // The user's own folder of state stays the user's, also there.
    assert_eq!(project.path().join(".appforge").metadata().unwrap().uid(), 0);
    give(&project.path().join(".appforge"), OTHER);
    let run = trusted(&["diff", "--target", "local"]);
    assert_eq!(run.code, Some(1), "{run:#?}");
    assert!(run.stderr.contains(&format!(".appforge` belongs to uid {OTHER}")), "{run:#?}");
}

#[test]
#[ignore = "needs root"]
fn sudo_reads_and_keeps_the_files_of_its_user() {
    let project = Project::new();
    project.give(OTHER);
    let sudo = |args: &[&str]| {
        let id = OTHER.to_string();
        Run::of(project.command(args).env("SUDO_UID", &id).env("SUDO_GID", &id))
    };
    assert_eq!(sudo(&["init", "--yes"]).code, Some(0));
    for name in ["appforge.yaml", ".gitignore", ".appforge", ".appforge/schema.json"] {
        let found = project.path().join(name).metadata().unwrap();
        assert_eq!((found.uid(), found.gid()), (OTHER, OTHER), "{name}");
    }
    assert_eq!(sudo(&["config", "show"]).code, Some(0));
    refused(&project.run(&["config", "show"]), &format!("belongs to uid {OTHER}"));
}
