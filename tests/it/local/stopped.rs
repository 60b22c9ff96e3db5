//! Signals from outside: the supervisor ends in order, a process that is stopped is not called ready.

use std::time::Instant;

use appforge_testing::wait::{DEADLINE, eventually};
use rustix::process::{Pid, Signal, kill_process};

use crate::stack::{Up, lives};

fn send(pid: u64, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}

/// A hangup killed it, and the stores with it.
#[test]
fn supervisor_ends_in_order_when_it_is_hung_up() {
    for signal in [Signal::HUP, Signal::TERM, Signal::INT] {
        let up = Up::new("");
        up.done(&["up"]);
        let (supervisor, children) = (up.supervisor(), up.pids());
        send(supervisor, signal);
        eventually("all have ended", || !lives(supervisor) && !children.iter().any(|pid| lives(*pid)));
        let log = up.project.read(".appforge/logs/supervisor.log");
        for component in ["service-1", "mongodb", "redis"] {
            assert!(log.contains(&format!("stopping {component}")), "{signal:?}: {log}");
        }
        assert!(!up.project.path().join(".appforge/run/control.sock").exists(), "{signal:?}");
        assert_eq!(up.run(&["status"]).code, Some(4));
    }
}

#[test]
fn stopped_process_is_not_ready_until_it_continues() {
    let up = Up::new("");
    up.done(&["up", "--replicas", "2"]);
    for (component, ready) in [("service-2", 1), ("redis", 2), ("mongodb", 2)] {
        let pid = up.pid(component);
        send(pid, Signal::STOP);
        let mut status = up.json(&["status"]);
        let again = up.json(&["up"])["status"].clone();
        send(pid, Signal::CONT);
        // What `status` adds of the history, `up` leaves out.
        status.as_object_mut().unwrap().remove("problems");
        for found in status["components"].as_array_mut().unwrap() {
            found.as_object_mut().unwrap().remove("metrics");
        }
        assert_eq!(again, status, "`up` says the same");
        let components = status["components"].as_array().unwrap();
        for found in components {
            let state = if found["name"] == component { "unresponsive" } else { "ready" };
            assert_eq!(found["state"], state, "{component}: {status}");
        }
        let detail = &components.iter().find(|found| found["name"] == component).unwrap()["detail"];
        assert!(detail.as_str().unwrap().ends_with("; does not answer"), "{detail}");
        assert_eq!(status["replicas"]["ready"], ready, "{component}");
        eventually("it answers again", || {
            up.json(&["status"])["components"]
                .as_array()
                .unwrap()
                .iter()
                .all(|found| found["state"] == "ready")
        });
    }
}

/// It took the whole grace of a store.
#[test]
fn stopped_process_ends_at_once_with_the_stack() {
    let up = Up::new("");
    up.done(&["up"]);
    for component in ["redis", "mongodb", "service-1"] {
        send(up.pid(component), Signal::STOP);
    }
    let started = Instant::now();
    up.done(&["down"]);
    assert!(started.elapsed() < DEADLINE / 2, "{:?}", started.elapsed());
}
