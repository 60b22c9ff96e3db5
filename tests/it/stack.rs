//! A stack that runs on the local target, in a project folder of its own.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::sync::atomic::{AtomicBool, Ordering};

use appforge_testing::wait::eventually;
use appforge_testing::{http, port};
use serde_json::Value;

use crate::support::{Project, Run};

/// A project whose stack is taken down at the end, whatever happens.
pub(crate) struct Up {
    pub project: Project,
    pub port: u16,
    /// Where servers are looked for.
    pub path: String,
}

impl Up {
    pub(crate) fn new(more: &str) -> Self {
        let port = port::reserve();
        let project = Project::with(&format!("service: {{port: {port}}}\n{more}"));
        // No server of this machine is found, so that the embedded stores run.
        Self { project, port, path: "/nonexistent".into() }
    }

    pub(crate) fn run(&self, args: &[&str]) -> Run {
        Run::of(self.project.command(args).env("PATH", &self.path))
    }

    /// The port that Redis had last, where it is tried first: no other test takes it while Redis is away.
    pub(crate) fn give_redis_a_port(&self) {
        let run = self.project.path().join(".appforge/run");
        DirBuilder::new().recursive(true).mode(0o700).create(&run).unwrap();
        let ports = format!("{{\"ports\": {{\"redis\": {}}}}}", port::reserve());
        std::fs::write(run.join("processes.json"), ports).unwrap();
    }

    /// The same with more variables.
    pub(crate) fn run_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Run {
        Run::of(self.project.command(args).env("PATH", &self.path).envs(variables.iter().copied()))
    }

    /// The process of the front of a replica, which has its admin listener.
    pub(crate) fn front(&self, number: u32) -> u64 {
        let status = self.json(&["status"]);
        let name = format!("service-{number}");
        let components = status["components"].as_array().unwrap();
        let endpoint =
            components.iter().find(|found| found["name"] == name.as_str()).unwrap()["endpoint"].clone();
        let address = endpoint.as_str().unwrap().trim_start_matches("http://").to_owned();
        let (_, body) = self.at(&address, "GET /statusz");
        serde_json::from_str::<Value>(&body).unwrap()["pid"].as_u64().unwrap()
    }

    /// The process of the supervisor.
    pub(crate) fn supervisor(&self) -> u64 {
        let owner = self.project.read(".appforge/run/supervisor.lock");
        owner.trim_start_matches("supervisor (pid ").trim_end_matches(')').parse().unwrap()
    }

    /// The process of a component.
    pub(crate) fn pid(&self, component: &str) -> u64 {
        let status = self.json(&["status"]);
        let components = status["components"].as_array().unwrap();
        components.iter().find(|found| found["name"] == component).unwrap()["pid"].as_u64().unwrap()
    }

    #[track_caller]
    pub(crate) fn done(&self, args: &[&str]) -> Run {
        let run = self.run(args);
        assert_eq!(run.code, Some(0), "{args:?}: {run:#?}");
        run
    }

    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let run = self.done(&[args, &["-o", "json", "-q"]].concat());
        serde_json::from_str(&run.stdout).unwrap()
    }

    /// One request over a connection of its own; the status and the body.
    pub(crate) fn request(&self, request: &str, body: &str) -> (u16, String) {
        let (status, _, body) = self.whole(request, "", body);
        (status, body)
    }

    /// `request` at another address, such as an admin listener's.
    pub(crate) fn at(&self, address: &str, request: &str) -> (u16, String) {
        let (status, _, body) = http::exchange(address, request, "", "");
        (status, body)
    }

    /// [`Up::request`] with more headers; the status, the head and the body.
    pub(crate) fn whole(&self, request: &str, headers: &str, body: &str) -> (u16, String, String) {
        let headers = format!("content-type: application/json\r\n{headers}");
        http::exchange(("127.0.0.1", self.port), request, &headers, body)
    }

    /// Asks again and again while `event` goes on; every answer must be 200 or 429.
    pub(crate) fn no_client_notices(&self, event: impl FnOnce()) {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let ask = || {
                let mut answers = 0;
                while !stop.load(Ordering::Relaxed) {
                    let (status, body) = self.request("GET /health", "");
                    assert!(status == 200 || status == 429, "{status}: {body}");
                    answers += 1;
                }
                answers
            };
            let clients: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            event();
            stop.store(true, Ordering::Relaxed);
            for client in clients {
                assert!(client.join().unwrap() > 0);
            }
        });
    }

    pub(crate) fn pids(&self) -> Vec<u64> {
        let status = self.json(&["status"]);
        status["components"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|component| component["pid"].as_u64())
            .collect()
    }

    /// Waits until MongoDB is connected, which readiness does not wait for.
    pub(crate) fn connected(&self) {
        eventually("MongoDB is connected", || self.request("GET /api/items", "").0 != 503);
    }
}

/// Whether a process runs; one that ended and is not reaped does not.
pub(crate) fn lives(pid: u64) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

pub(crate) fn kill(pid: u64) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

impl Drop for Up {
    fn drop(&mut self) {
        self.run(&["down", "--volumes", "--yes"]);
    }
}
