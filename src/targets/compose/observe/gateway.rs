//! The gateway's own view of the replicas and fronts, and the one order we give it: to send one of them no more work.
//!
//! HAProxy's statistics page listens inside the edge network; it takes orders from inside its own container only, so it is
//! asked there.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bollard::exec::StartExecResults;
use bollard::models::ExecConfig;
use futures_util::StreamExt;
use tokio::time::Instant;

use crate::stack::ComponentKind;
use crate::targets::compose::observe::container::Container;
use crate::targets::compose::observe::engine::Engine;

const STATS: &str = "http://127.0.0.1:8404/";
/// One question to the statistics page.
const ANSWER: Duration = Duration::from_secs(5);
/// Between two looks at a number that HAProxy does not announce.
const LOOK: Duration = Duration::from_millis(100);

/// The gateway of a running stack.
pub(crate) struct Gateway<'a> {
    engine: &'a Engine,
    id: String,
}

/// A place for a replica or a front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) kind: ComponentKind,
    name: String,
    /// The replica's address, without its port.
    pub(crate) address: String,
    /// Whether it is sent work.
    pub(crate) up: bool,
    /// Whether the gateway drains it.
    pub(crate) drained: bool,
    /// Seconds since it last went up or down.
    pub(crate) since: u64,
    sessions: u32,
}

impl<'a> Gateway<'a> {
    /// The gateway among `containers`, when it runs.
    pub(crate) fn of(engine: &'a Engine, containers: &[Container]) -> Option<Self> {
        let gateway =
            containers.iter().find(|container| container.is(ComponentKind::Gateway) && container.is_up())?;
        Some(Self { engine, id: gateway.id.clone() })
    }

    /// The places that have a replica.
    pub(crate) async fn slots(&self) -> Result<Vec<Slot>> {
        let csv = self.ask(&format!("{STATS};csv"), None).await?;
        ensure!(csv.starts_with("# pxname,"), "the gateway has no statistics page");
        Ok(parse(&csv))
    }

    /// Sends the replica at `address` no more requests and waits until those under way have ended, or `limit` passed.
    /// Returns its place, for [`Gateway::reopen`].
    pub(crate) async fn drain(&self, address: &str, limit: Duration) -> Result<Option<Slot>> {
        let deadline = Instant::now() + limit;
        let Some(place) = self.at(address).await? else { return Ok(None) };
        self.order(&place, "drain").await?;
        while let Some(slot) = self.at(address).await?
            && slot.sessions > 0
            && Instant::now() < deadline
        {
            tokio::time::sleep(LOOK).await;
        }
        Ok(Some(place))
    }

    /// Opens the place of a replica that was drained and is gone, for the one that comes next. Not before HAProxy knows that
    /// the address is gone, or it would send work there; nor later than `limit`.
    pub(crate) async fn reopen(&self, place: &Slot, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        let is_there = |slot: Slot| (slot.kind, slot.name) == (place.kind, place.name.clone());
        while self.at(&place.address).await?.is_some_and(is_there) && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
        self.order(place, "ready").await
    }

    /// Opens the places of replicas that are drained and yet at work, as a command that was cut off leaves them.
    pub(crate) async fn heal(&self, slots: &[Slot], replicas: &[&Container]) -> Result<()> {
        let at_work = |slot: &&Slot| {
            slot.drained && replicas.iter().any(|replica| replica.address.as_ref() == Some(&slot.address))
        };
        for slot in slots.iter().filter(at_work) {
            self.order(slot, "ready").await?;
        }
        Ok(())
    }

    async fn at(&self, address: &str) -> Result<Option<Slot>> {
        Ok(self.slots().await?.into_iter().find(|slot| slot.address == address))
    }

    async fn order(&self, place: &Slot, action: &str) -> Result<()> {
        let order = format!("s={}&action={action}&b={}", place.name, backend(place.kind));
        self.ask(STATS, Some(&order)).await.map(drop)
    }

    async fn ask(&self, url: &str, post: Option<&str>) -> Result<String> {
        // The engine may have given the container the variables of a proxy.
        let mut command = vec!["wget", "-Y", "off", "-q", "-O", "-"];
        if let Some(body) = post {
            command.extend(["--post-data", body]);
        }
        command.push(url);
        let question = async {
            let config = ExecConfig {
                cmd: Some(command.into_iter().map(str::to_owned).collect()),
                attach_stdout: Some(true),
                attach_stderr: Some(true),
                ..ExecConfig::default()
            };
            let exec = self.engine.docker.create_exec(&self.id, config).await?;
            let mut text = String::new();
            if let StartExecResults::Attached { mut output, .. } =
                self.engine.docker.start_exec(&exec.id, None).await?
            {
                while let Some(part) = output.next().await {
                    text.push_str(&part?.to_string());
                }
            }
            Ok::<_, bollard::errors::Error>(text)
        };
        let answer =
            tokio::time::timeout(ANSWER, question).await.context("the gateway did not answer in time")?;
        answer.context("cannot read the gateway's list of replicas")
    }
}

/// What `haproxy.cfg` calls the places of a kind.
fn backend(kind: ComponentKind) -> &'static str {
    if kind == ComponentKind::Front { "fronts" } else { "replicas" }
}

/// HAProxy's CSV: the first line names the columns (management guide, section 9.1).
fn parse(csv: &str) -> Vec<Slot> {
    let mut lines = csv.lines();
    let head = lines.next().unwrap_or_default().trim_start_matches("# ");
    let columns: HashMap<&str, usize> = head.split(',').enumerate().map(|(at, name)| (name, at)).collect();
    lines
        .filter_map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            let cell =
                |name: &str| columns.get(name).and_then(|at| cells.get(*at)).copied().unwrap_or_default();
            let mut kinds = [ComponentKind::Service, ComponentKind::Front].into_iter();
            let kind = kinds.find(|kind| cell("pxname") == backend(*kind))?;
            let address = cell("addr").rsplit_once(':').map_or("", |(address, _)| address);
            (cell("svname") != "BACKEND" && !address.is_empty()).then(|| Slot {
                kind,
                name: cell("svname").to_owned(),
                address: address.to_owned(),
                up: cell("status").starts_with("UP") || cell("status") == "no check",
                drained: cell("status").starts_with("DRAIN"),
                since: cell("lastchg").parse().unwrap_or(0),
                sessions: cell("scur").parse().unwrap_or(0),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_read_by_column_name() {
        let csv = "# pxname,svname,scur,status,lastchg,addr,\n\
                   public,FRONTEND,3,OPEN,,,\n\
                   replicas,replica1,2,UP,7,10.1.0.2:5000,\n\
                   replicas,replica2,0,MAINT (resolution),7,,\n\
                   replicas,replica3,0,DOWN 1/2,7,10.1.0.3:5000,\n\
                   replicas,replica4,1,DRAIN,7,10.1.0.4:5000,\n\
                   replicas,BACKEND,2,UP,7,,\n\
                   fronts,front1,0,UP,7,10.1.0.4:5000,\n";
        let slot = |name: &str, address: &str, up, sessions| Slot {
            kind: ComponentKind::Service,
            name: name.into(),
            address: address.into(),
            up,
            drained: false,
            since: 7,
            sessions,
        };
        assert_eq!(
            parse(csv),
            [
                slot("replica1", "10.1.0.2", true, 2),
                slot("replica3", "10.1.0.3", false, 0),
                Slot { drained: true, ..slot("replica4", "10.1.0.4", false, 1) },
                Slot { kind: ComponentKind::Front, ..slot("front1", "10.1.0.4", true, 0) },
            ]
        );
    }
}
