//! A replica and a store take the sockets that their supervisor hands over, and no others.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use command_fds::{CommandFdExt, FdMapping};
use rustix::net::{AddressFamily, SocketType, bind, socket};

use crate::support::{Project, Run};

/// Runs appforge with these files from descriptor 3 on. `$$` in a variable is its own process id.
fn handed(project: &Project, variables: &str, files: Vec<OwnedFd>, words: &str) -> Run {
    let program = project.command(&[]).get_program().to_owned();
    let line = format!("{variables} exec \"$0\" {words}");
    let mut command = Command::new("sh");
    command.arg("-c").arg(line).arg(program).current_dir(project.path()).stdin(Stdio::null());
    command.env_clear().env("NO_COLOR", "1").env("MONGODB_URI", "mongodb://127.0.0.1:1");
    let mappings = (3..).zip(files).map(|(child_fd, parent_fd)| FdMapping { parent_fd, child_fd });
    command.fd_mappings(mappings.collect()).unwrap();
    Run::of(&mut command)
}

fn listener() -> (SocketAddr, OwnedFd) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    (listener.local_addr().unwrap(), listener.into())
}

/// A socket with an address that does not listen.
fn silent() -> (SocketAddr, OwnedFd) {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &"127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
    let address = TcpListener::from(socket.try_clone().unwrap()).local_addr().unwrap();
    (address, socket)
}

#[test]
fn replica_ends_without_the_sockets_of_its_supervisor() {
    let project = Project::new();
    let ours = "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=public:admin";
    let refuses = |variables: &str, (public, first): (SocketAddr, OwnedFd), second: OwnedFd, why: &str| {
        let (admin, admin_socket) = listener();
        drop(admin_socket);
        let run = handed(
            &project,
            variables,
            vec![first, second],
            &format!("serve --public {public} --admin {admin}"),
        );
        assert_eq!(run.code, Some(1), "{why}: {run:#?}");
        assert!(run.stderr.contains(why), "{why}: {run:#?}");
        assert!(!run.stderr.contains("listens on"), "{run:#?}");
    };
    let other = || listener().1;
    refuses("", listener(), other(), "LISTEN_PID is ``");
    refuses(
        "LISTEN_PID=1 LISTEN_FDS=2 LISTEN_FDNAMES=public:admin",
        listener(),
        other(),
        "LISTEN_PID is `1`",
    );
    refuses(
        "LISTEN_PID=$$ LISTEN_FDNAMES=public:admin",
        listener(),
        other(),
        "expected 2 sockets from the supervisor, got 0",
    );
    refuses(
        "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=public:admin",
        listener(),
        other(),
        "expected 2 sockets from the supervisor, got 1",
    );
    refuses(
        "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=admin:public",
        listener(),
        other(),
        "got `admin:public`",
    );
    refuses(ours, silent(), other(), "invalid socket `public`");
    let file = || File::open("/dev/null").unwrap().into();
    refuses(ours, (listener().0, file()), other(), "invalid socket `public`");
    refuses(ours, listener(), file(), "invalid socket `admin`");
    refuses(ours, listener(), other(), "expected the socket `admin` on");
}

#[test]
fn store_ends_without_the_socket_of_its_supervisor() {
    let project = Project::new();
    let words = |address: SocketAddr| format!("store redis --socket {address} --data data");
    let (address, socket) = listener();
    let run = handed(&project, "LISTEN_FDS=1 LISTEN_FDNAMES=store", vec![socket], &words(address));
    assert_eq!((run.code, run.stderr.contains("LISTEN_PID is ``")), (Some(1), true), "{run:#?}");
    let (_, socket) = listener();
    let variables = "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=store";
    let run = handed(&project, variables, vec![socket], &words(address));
    let is_named = run.stderr.contains(&format!("expected the socket `store` on {address}"));
    assert_eq!((run.code, is_named), (Some(1), true), "{run:#?}");
    assert!(!project.path().join("data").exists());
}
