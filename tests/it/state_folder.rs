//! `.appforge` is the caller's own, and what is read back from it is judged as any input.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use crate::local::own::own;
use crate::stack::Up;
use crate::support::{Project, Run};

/// A user of whom the machine knows nothing.
const OTHER: u32 = 4_322;

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().mode() & 0o7777
}

/// All files and folders below a folder, and itself.
fn tree(folder: &Path) -> Vec<PathBuf> {
    let mut left = vec![folder.to_owned()];
    let mut found = Vec::new();
    while let Some(path) = left.pop() {
        if path.symlink_metadata().unwrap().is_dir() {
            left.extend(path.read_dir().unwrap().map(|entry| entry.unwrap().path()));
        }
        found.push(path);
    }
    found
}

#[track_caller]
fn refused(run: &Run, why: &str) {
    assert_eq!(run.code, Some(1), "{run:#?}");
    assert!(run.stderr.contains(why), "{why}: {run:#?}");
}

#[test]
#[ignore = "needs root"]
fn state_folder_of_another_user_is_refused() {
    let up = Up::new("");
    let state = up.project.path().join(".appforge");
    std::fs::create_dir_all(state.join("run")).unwrap();
    up.project.give(OTHER);
    std::os::unix::fs::chown(up.project.path(), Some(0), Some(0)).unwrap();
    std::os::unix::fs::chown(up.project.path().join("appforge.yaml"), Some(0), Some(0)).unwrap();
    for args in [&["up"][..], &["status"], &["down"], &["diff"], &["logs"], &["scale", "--replicas", "2"]] {
        refused(&up.run(args), &format!("`{}` belongs to uid {OTHER}\n", state.display()));
    }
    for target in ["compose", "kubernetes"] {
        refused(&up.run(&["up", "--target", target]), "belongs to uid");
    }
    assert_eq!(tree(&state).len(), 2, "nothing was written");
}

#[test]
fn state_folder_that_others_can_write_is_refused() {
    let up = Up::new("");
    let state = up.project.path().join(".appforge");
    std::fs::create_dir(&state).unwrap();
    std::fs::set_permissions(&state, PermissionsExt::from_mode(0o777)).unwrap();
    let run = up.run(&["up"]);
    refused(&run, "(mode 777)");
    assert!(run.stderr.contains(&format!("chmod 700 {}\n", state.display())), "{run:#?}");
    assert_eq!(tree(&state).len(), 1, "nothing was written");
    // What an older version made, with a umask of 022 or 002.
    for old in [0o755, 0o775] {
        std::fs::set_permissions(&state, PermissionsExt::from_mode(old)).unwrap();
        up.done(&["up"]);
        assert_eq!(mode(&state), 0o700);
        up.done(&["down"]);
    }
}

#[test]
fn link_below_the_state_folder_is_never_followed() {
    let up = Up::new("");
    let (state, outside) = (up.project.path().join(".appforge"), tempfile::tempdir().unwrap());
    let precious = outside.path().join("precious");
    std::fs::write(&precious, "precious").unwrap();
    for name in [
        "logs/service-1.log",
        "logs/supervisor.log",
        "run/command.lock",
        "run/supervisor.lock",
        "run/processes.json",
        "secrets/probe",
        "state.json",
        "data/redis/redis.redb",
    ] {
        let link = state.join(name);
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(&precious, &link).unwrap();
        refused(&up.run(&["up"]), &format!("`{}` is a symbolic link", link.display()));
        std::fs::remove_file(&link).unwrap();
    }
    for name in ["logs", "run", "data", "secrets", "data/redis"] {
        let link = state.join(name);
        if link.exists() {
            std::fs::remove_dir_all(&link).unwrap();
        }
        symlink(outside.path(), &link).unwrap();
        refused(&up.run(&["up"]), &format!("`{}` is a symbolic link", link.display()));
        std::fs::remove_file(&link).unwrap();
        std::fs::create_dir(&link).unwrap();
    }
    std::fs::remove_dir_all(state.join("data")).unwrap();
    symlink(outside.path(), state.join("data")).unwrap();
    refused(&up.run(&["down", "--volumes", "--yes"]), "is a symbolic link");
    assert_eq!(tree(outside.path()).len(), 2);
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "precious");
    std::fs::remove_file(state.join("data")).unwrap();
    up.done(&["up"]);
}

#[test]
fn link_below_the_folders_of_other_targets_is_refused() {
    let project = Project::with("target: compose\n");
    for (target, name) in [("compose", "image.json"), ("kubernetes", "lock")] {
        let folder = project.path().join(".appforge").join(target);
        std::fs::create_dir_all(&folder).unwrap();
        symlink("/nowhere", folder.join(name)).unwrap();
    }
    // Files that are read alone, without a lock.
    std::fs::create_dir_all(project.path().join(".appforge/loads")).unwrap();
    symlink("/nowhere", project.path().join(".appforge/capacity.json")).unwrap();
    refused(&project.run(&["cost"]), "capacity.json` is a symbolic link");
    symlink("/nowhere", project.path().join(".appforge/state.json")).unwrap();
    refused(&project.run(&["diff", "--target", "kubernetes"]), "state.json` is a symbolic link");
    refused(&project.run(&["up", "--target", "compose"]), "state.json` is a symbolic link");
}

#[test]
fn file_in_place_of_the_state_folder_or_below_it_is_named_with_a_way_out() {
    let project = Project::with("");
    project.write(".appforge", "notes of mine");
    for verb in ["up", "status", "down"] {
        let run = project.run(&[verb]);
        assert!(run.stderr.contains("/.appforge` is not a folder\n"), "{verb}: {}", run.stderr);
        assert!(run.stderr.contains("hint: inspect it, then move it away: mv "), "{verb}: {}", run.stderr);
    }
    assert_eq!(project.read(".appforge"), "notes of mine");
    let project = Project::with("");
    std::fs::create_dir(project.path().join(".appforge")).unwrap();
    project.write(".appforge/run", "");
    let run = project.run(&["up"]);
    assert!(run.stderr.contains("/.appforge/run` is not a folder\n"), "{}", run.stderr);
}

/// A process with a group of its own that ends with this value.
struct Sleep(Child);

impl Sleep {
    fn start(command: &mut Command) -> Self {
        use std::os::unix::process::CommandExt;
        Self(command.process_group(0).spawn().unwrap())
    }

    /// As `run/processes.json` has it.
    fn recorded(&self) -> serde_json::Value {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().collect();
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        serde_json::json!({"pid": self.0.id(), "started": fields[19].parse::<u64>().unwrap(), "boot": boot.trim()})
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn record_that_names_a_foreign_process_kills_none() {
    foreign_process_survives(Command::new("sleep").arg("100"));
}

#[test]
#[ignore = "needs root"]
fn record_that_names_a_process_of_another_user_kills_none() {
    let id = OTHER.to_string();
    let ids = ["--reuid", &id, "--regid", &id, "--clear-groups", "sleep", "100"];
    foreign_process_survives(Command::new("setpriv").args(ids));
}

fn foreign_process_survives(command: &mut Command) {
    let up = Up::new("");
    let run = up.project.path().join(".appforge/run");
    std::fs::create_dir_all(&run).unwrap();
    let mut sleep = Sleep::start(command);
    let recorded = sleep.recorded();
    let name = format!("redis.{}", recorded["pid"]);
    let record = serde_json::json!({"processes": {name: recorded}, "ports": {}});
    let file = run.join("processes.json");
    std::fs::write(&file, record.to_string()).unwrap();
    up.done(&["down"]);
    std::fs::write(&file, record.to_string()).unwrap();
    up.done(&["up"]);
    assert!(sleep.0.try_wait().unwrap().is_none(), "a foreign process was killed");
}

#[test]
fn state_is_private_under_any_umask() {
    for umask in ["000", "777"] {
        let up = Up::new("");
        let line = format!("umask {umask}; exec \"$0\" \"$@\"");
        let own = up.project.command(&[]);
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &line]).arg(own.get_program()).arg("up").current_dir(up.project.path());
        let run = Run::of(command.env("PATH", "/nonexistent"));
        assert_eq!(run.code, Some(0), "{run:#?}");
        for path in tree(&up.project.path().join(".appforge")) {
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode(&path), expected, "umask {umask}: {}", path.display());
        }
        assert_eq!(up.request("GET /health", "").0, 200);
    }
}

#[test]
#[ignore = "needs root"]
fn stack_that_sudo_started_belongs_to_its_user() {
    let up = Up::new("rate_limit: {requests: 100000}\n");
    up.project.give(OTHER);
    let id = OTHER.to_string();
    let sudo = |args: &[&str]| {
        let mut command = up.project.command(args);
        let run = Run::of(command.env("PATH", "/nonexistent").env("SUDO_UID", &id).env("SUDO_GID", &id));
        assert_eq!(run.code, Some(0), "{args:?}: {run:#?}");
    };
    sudo(&["up"]);
    sudo(&["down"]);
    for path in tree(&up.project.path().join(".appforge")) {
        let found = path.symlink_metadata().unwrap();
        assert_eq!((found.uid(), found.gid()), (OTHER, OTHER), "{}", path.display());
    }
    let as_user = |args: &[&str]| {
        let mut command = up.project.command_as(OTHER, "022", args);
        let run = Run::of(&mut command);
        assert_eq!(run.code, Some(0), "{args:?}: {run:#?}");
    };
    as_user(&["up"]);
    as_user(&["down"]);
}

#[test]
#[ignore = "needs python and root"]
fn files_of_an_app_that_sudo_started_belong_to_its_user() {
    let up = own("  env_file: .env\n  release: 'true'\n", "");
    up.project.write(".env", "GIVEN=1\n");
    up.project.give(OTHER);
    let id = OTHER.to_string();
    let sudo = |args: &[&str]| {
        let run = up.run_with(args, &[("SUDO_UID", &id), ("SUDO_GID", &id)]);
        assert_eq!(run.code, Some(0), "{args:?}: {run:#?}");
    };
    sudo(&["up", "--replicas", "2"]);
    sudo(&["restart"]);
    let paths = tree(&up.project.path().join(".appforge"));
    assert!(paths.iter().any(|path| path.ends_with("secrets/app-2-mongodb-uri")), "{paths:?}");
    // The socket is that of the supervisor, which runs as root and answers to root.
    for path in paths.into_iter().filter(|path| !path.ends_with("control.sock")) {
        let found = path.symlink_metadata().unwrap();
        assert_eq!((found.uid(), found.gid()), (OTHER, OTHER), "{}", path.display());
    }
    sudo(&["down"]);
    // The user may not be able to run the interpreter of the tests; the data and the folders are used all the same.
    up.project.write("appforge.yaml", &format!("service: {{port: {}}}\n", up.port));
    up.project.give(OTHER);
    for args in [&["up"][..], &["down"]] {
        let run = Run::of(&mut up.project.command_as(OTHER, "022", args));
        assert_eq!(run.code, Some(0), "{args:?}: {run:#?}");
    }
}

#[test]
fn remembered_replicas_are_judged_as_the_flag_is() {
    let up = Up::new("");
    let file = up.project.path().join(".appforge/state.json");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    for (replicas, limit) in [(0_u64, 64), (65, 64), (4_000_000_000, 64)] {
        let text = format!(r#"{{"scaled": {{"local": {{"replicas": {replicas}, "configured": 1}}}}}}"#);
        std::fs::write(&file, &text).unwrap();
        for args in [&["up"][..], &["diff"], &["status"]] {
            let run = up.run(args);
            assert_eq!((run.code, run.stdout.as_str()), (Some(3), ""), "{replicas} {args:?}: {run:#?}");
            let why = format!(
                "  appforge scale: service.replicas: must be between 1 and {limit}, got {replicas}\n"
            );
            assert!(run.stderr.contains(&why), "{run:#?}");
            assert!(run.stderr.ends_with("hint: appforge scale --replicas 1\n"), "{run:#?}");
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "nothing was changed");
    }
    up.project.write("appforge.yaml", "kubernetes: {autoscaling: {min: 3, max: 10, cpu: 70, memory: 80}}\n");
    let args = ["scale", "--target", "kubernetes", "--replicas", "3", "--max", "4000000000"];
    let run = up.run(&args);
    assert_eq!(run.code, Some(2), "{run:#?}");
}

#[test]
fn scale_repairs_a_remembered_number_that_cannot_be() {
    let up = Up::new("");
    up.done(&["up"]);
    let file = up.project.path().join(".appforge/state.json");
    let text = r#"{"scaled": {"local": {"replicas": 65, "configured": 1}}}"#;
    std::fs::write(&file, text).unwrap();
    assert_eq!(up.run(&["up"]).code, Some(3));
    up.done(&["scale", "--replicas", "1"]);
    up.done(&["up"]);
    // What is not even a number does not hold up who asks for one, nor who removes the stack.
    let text = r#"{"scaled": {"local": {"replicas": "x", "configured": 1}}}"#;
    std::fs::write(&file, text).unwrap();
    assert_eq!(up.run(&["up"]).code, Some(3));
    up.done(&["up", "--replicas", "2"]);
    up.done(&["up"]);
    std::fs::write(&file, text).unwrap();
    up.done(&["down", "--volumes", "--yes"]);
    assert_eq!(up.json(&["up"])["status"]["replicas"]["desired"], 1);
}
