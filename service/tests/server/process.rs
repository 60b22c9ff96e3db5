//! The service as a process: what it inherits, what it says, how it ends.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use appforge_testing::http::Client;
use appforge_testing::port;
use appforge_testing::wait::{DEADLINE, until};
use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{is_last, starts};

/// The service with these variables and no others.
fn service(variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_appforge-service"));
    command.env_clear().envs(variables.iter().copied()).stdin(Stdio::null()).stderr(Stdio::piped());
    command
}

#[test]
fn service_names_all_problems_when_settings_are_wrong() {
    let output =
        service(&[("PORT", "http"), ("CACHE_TTL_MS", "soon"), ("RATE_LIMIT_ON_REDIS_FAILURE", "memry")])
            .output()
            .unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "error: the settings have 3 problems\n  \
         PORT: expected a port, such as 5000\n  \
         RATE_LIMIT_ON_REDIS_FAILURE: expected `memory`, `open` or `closed`\n  \
         CACHE_TTL_MS: expected a whole number, such as 30000\n"
    );
}

#[test]
fn service_names_the_port_when_it_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = service(&[("BIND", "127.0.0.1"), ("PORT", &port), ("ADMIN_PORT", "0")]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains(&format!("error: cannot listen on 127.0.0.1:{port}: ")), "{stderr}");
}

#[tokio::test]
async fn service_drains_inherited_sockets_when_terminated() {
    let (public, admin) =
        (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let (public_address, admin_address) = (public.local_addr().unwrap(), admin.local_addr().unwrap());
    let mut command = service(&[
        ("LISTEN_FDS", "2"),
        ("LISTEN_FDNAMES", "admin:public"),
        // Nobody listens there; and the inherited sockets win over the ports.
        ("REDIS_URL", "redis://127.0.0.1:1"),
        ("MONGODB_URI", "mongodb://someone:hunter2@127.0.0.1:1"),
        ("REPLICA_ID", "heir"),
        ("LOG_FORMAT", "json"),
    ]);
    let mappings = [admin, public].into_iter().enumerate().map(|(index, socket)| FdMapping {
        parent_fd: OwnedFd::from(socket),
        child_fd: 3 + i32::try_from(index).unwrap(),
    });
    command.fd_mappings(mappings.collect()).unwrap();
    let child = tokio::process::Command::from(command).kill_on_drop(true).spawn().unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();

    let mut client = Client::connect(public_address).await;
    let health = client.get("/health").await;
    starts(&health, 200);
    assert!(health.contains(r#""replica":"heir""#), "{health}");
    starts(&Client::connect(admin_address).await.get("/readyz").await, 200);

    kill_process(pid, Signal::TERM).unwrap();
    let mut admin = Client::connect(admin_address).await;
    until("it drains", async || admin.get("/readyz").await.starts_with("HTTP/1.1 503")).await;
    let last = client.get("/health").await;
    starts(&last, 200);
    assert!(is_last(&last), "{last}");
    let output = timeout(DEADLINE, child.wait_with_output()).await.unwrap().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(!stderr.contains("hunter2"), "{stderr}");
    let lines: Vec<serde_json::Value> =
        stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.last().unwrap()["message"], "done", "{stderr}");
}

#[tokio::test]
async fn clients_beyond_the_soft_limit_of_files_are_served() {
    let clients = 1500;
    let own = getrlimit(Resource::Nofile);
    assert!(own.maximum.is_none_or(|most| most > 4 * clients), "the hard limit of this machine is too low");
    setrlimit(Resource::Nofile, Rlimit { current: own.maximum, maximum: own.maximum }).unwrap();
    let public = SocketAddr::from(([127, 0, 0, 1], port::reserve()));
    let public_port = public.port().to_string();
    let mut command = tokio::process::Command::new("sh");
    command.args(["-c", "ulimit -Sn 1024; exec \"$0\"", env!("CARGO_BIN_EXE_appforge-service")]);
    command.env_clear().envs([("BIND", "127.0.0.1"), ("PORT", &*public_port), ("ADMIN_PORT", "0")]);
    command.envs([("REDIS_URL", "redis://127.0.0.1:1"), ("MONGODB_URI", "mongodb://127.0.0.1:1")]);
    command.env("RATE_LIMIT_ENABLED", "false").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    until("the service listens", async || TcpStream::connect(public).await.is_ok()).await;
    let mut open = Vec::new();
    for _ in 0..clients {
        let mut client = Client::connect(public).await;
        starts(&client.get("/health").await, 200);
        open.push(client);
    }
    for client in &mut open {
        starts(&client.get("/health").await, 200);
    }
    child.kill().await.unwrap();
}
