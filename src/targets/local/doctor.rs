//! What the local target needs of this machine, each with its fix. Changes nothing.

use std::path::Path;

use anyhow::Result;
use rustix::fs::{Access, access};
use rustix::process::{Resource, getrlimit};

use super::stores::{Runner, runner};
use super::supervisor::sockets;
use super::{Client, Local};
use crate::stack::model::StoreMode;
use crate::stack::{Stack, StoreKind};
use crate::targets::compose::StoreContainer;
use crate::targets::finding::{Finding, Verdict};
use crate::targets::local::protocol::build;
use crate::targets::machine;

/// Below this not even the logs and an empty store fit.
const NO_ROOM: u64 = 64 << 20;
/// Below this a day's work may not.
const ROOM: u64 = 1 << 30;
/// Connections of clients that one replica should be able to hold, and descriptors it needs for itself.
const CLIENTS: u64 = 1000;

impl Local {
    /// Looks at the state folder, disk, port, file limit, stores, and what a crash may have left.
    pub(super) async fn findings_of_doctor(&self) -> Result<Vec<Finding>> {
        let (root, stack) = (self.layout.root(), &self.stack);
        let mut findings = vec![folder(root)];
        findings.extend(machine::disk(root, NO_ROOM, ROOM, "free some space, or choose another folder"));
        findings.push(open_files(stack.mongodb.pool.max));
        let running = Client::find(&self.layout).await;
        findings.push(supervisor(&running));
        let own = running.as_ref().is_ok_and(|found| {
            found.as_ref().is_some_and(|(_, answer)| answer.status.url.as_deref() == Some(&url(stack)))
        });
        findings.push(port(stack, own));
        for kind in StoreKind::ALL {
            findings.push(self.store(stack, kind));
        }
        if StoreKind::ALL.into_iter().any(|kind| stack.store_mode(kind) == StoreMode::Container) {
            findings.push(StoreContainer::condition().await);
        }
        if matches!(running, Ok(None)) {
            findings.push(leftovers(&self.left_processes()?));
        }
        Ok(findings)
    }

    fn store(&self, stack: &Stack, kind: StoreKind) -> Finding {
        let (name, mode) = (kind.as_str(), stack.store_mode(kind));
        if mode == StoreMode::External {
            return Finding::good(name, "external; `appforge verify` checks it");
        }
        match runner(kind, mode, &self.layout) {
            _ if mode == StoreMode::Embedded => {
                Finding::good(name, "the embedded store runs, for development")
            }
            Runner::Container => Finding::good(name, "runs in a container of the Docker engine"),
            Runner::Found(program) => Finding::good(name, format!("found on PATH: {}", program.display())),
            Runner::Embedded { instead_of: None } => {
                Finding::good(name, "not found on PATH; uses the embedded store, for development")
            }
            Runner::Embedded { instead_of: Some(program) } => Finding::good(
                name,
                format!(
                    "the embedded store has data and stays in use although {} is installed",
                    program.display()
                ),
            ),
        }
    }
}

fn url(stack: &Stack) -> String {
    sockets::url(stack.service.address, stack.service.port)
}

fn folder(root: &Path) -> Finding {
    let Some(there) = root.ancestors().find(|folder| folder.exists()) else {
        return Finding::not_good(
            "state folder",
            Verdict::Bad,
            "cannot find the disk",
            "choose another folder",
        );
    };
    match access(there, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Finding::good("state folder", format!("{} is writable", root.display())),
        Err(error) => Finding::not_good(
            "state folder",
            Verdict::Bad,
            format!("{} is not writable: {}", there.display(), std::io::Error::from(error)),
            format!("sudo chown \"$USER\" {there}, or choose another folder", there = there.display()),
        ),
    }
}

/// Each replica is a process with limits of its own: its clients, its pool, and what it opens besides.
fn open_files(pool: u32) -> Finding {
    let need = CLIENTS + u64::from(pool);
    let limit = getrlimit(Resource::Nofile);
    let (soft, hard) = (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX));
    let observed = match soft {
        u64::MAX => "no limit".to_owned(),
        soft => format!("{soft} per process; a replica with {CLIENTS} clients needs {need}"),
    };
    if soft >= need {
        return Finding::good("open files", observed);
    }
    let fix = if hard >= need {
        format!("ulimit -n {}", need.next_power_of_two().min(hard))
    } else {
        format!("raise the hard limit, which is {hard}, in /etc/security/limits.conf")
    };
    Finding::not_good("open files", Verdict::Warning, observed, fix)
}

fn supervisor(running: &Result<Option<(Client, super::protocol::Answer)>>) -> Finding {
    match running {
        Ok(None) => Finding::good("supervisor", "not running: the stack is down"),
        Ok(Some((_, answer))) if answer.build == build() => Finding::good("supervisor", "running"),
        Ok(Some(_)) => Finding::not_good(
            "supervisor",
            Verdict::Warning,
            "runs another build of appforge",
            "appforge up   # restarts the stack",
        ),
        Err(error) => Finding::bad("supervisor", error),
    }
}

fn port(stack: &Stack, own: bool) -> Finding {
    let port = stack.service.port;
    let name = format!("port {port}");
    if own {
        return Finding::good(&name, "used by this stack");
    }
    match sockets::public(stack.service.address, port) {
        Ok(_) => Finding::good(&name, "free"),
        Err(error) => Finding::bad(&name, &error),
    }
}

fn leftovers(left: &[(String, u32)]) -> Finding {
    if left.is_empty() {
        return Finding::good("leftovers", "none");
    }
    let list: Vec<String> = left.iter().map(|(name, pid)| format!("{name} (pid {pid})")).collect();
    let observed = format!("left over from a crash: {}", list.join(", "));
    Finding::not_good("leftovers", Verdict::Warning, observed, "appforge up")
}
