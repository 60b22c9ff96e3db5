//! What can be known before Compose starts: each obstacle as a clear error, instead of a stack that is half there.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::Result;

use crate::error::{ExitStatus, Failure};
use crate::render::Document;
use crate::render::context::compose::{BUNDLED_IMAGE, GRAFANA_PORT, components, published_on, subnet};
use crate::stack::ComponentKind;
use crate::targets::compose::apply::image;
use crate::targets::compose::observe::neighbours::holder;
use crate::targets::compose::observe::{Container, Engine, Neighbour};
use crate::targets::compose::session::Compose;
use crate::targets::compose::session::Session;
use crate::targets::port::taken;

impl Compose {
    /// The ports that the stack publishes: the component, the address, and where the file has it.
    pub(crate) fn published(&self) -> Vec<(ComponentKind, SocketAddr, &'static str)> {
        let compose = &self.stack.compose;
        let mut ports = vec![(
            ComponentKind::Gateway,
            SocketAddr::new(published_on(&self.stack), self.stack.service.port),
            "service.port",
        )];
        if let Some(port) = compose.tls.as_ref().and_then(|tls| tls.http_port) {
            let address = SocketAddr::new(published_on(&self.stack), port);
            ports.push((ComponentKind::Gateway, address, "compose.tls.http_port"));
        }
        if compose.publish_stores {
            ports.extend(self.stores().into_iter().map(|store| {
                let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), store.port());
                (store.into(), address, "compose.publish_stores")
            }));
        }
        if components(&self.stack).contains(&ComponentKind::Grafana) {
            let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), GRAFANA_PORT);
            ports.push((ComponentKind::Grafana, address, "monitoring.grafana"));
        }
        ports
    }

    /// A published port is free, or ours already.
    pub(crate) fn check_port(
        &self,
        engine: &Engine,
        containers: &[Container],
        neighbours: &[Neighbour],
        (component, address, path): (ComponentKind, SocketAddr, &str),
    ) -> Result<()> {
        let ours = containers.iter().any(|container| container.is(component) && container.is_up());
        if ours || !engine.is_local() {
            return Ok(());
        }
        let port = address.port();
        match TcpListener::bind(address) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                Err(holder(neighbours, port, path).unwrap_or_else(|| taken(port, path)).into())
            }
            Err(error) if error.kind() == std::io::ErrorKind::AddrNotAvailable => Err(Failure::new(
                ExitStatus::Failed,
                format!("the address {} is not on this machine", address.ip()),
            )
            .hint("`ip address` lists its addresses; change `service.address`")
            .into()),
            // A port below 1024 is not ours to open, but the engine's.
            Err(_) => Ok(()),
        }
    }

    /// No other network has the addresses of the edge network, and a running stack keeps its own: Compose would stop the gateway
    /// and then fail to replace a network that is in use.
    pub(crate) async fn check_subnet(&self, engine: &Engine, containers: &[Container]) -> Result<()> {
        let own = format!("{}_edge", self.project());
        let wanted = subnet(&self.stack);
        for (name, other) in engine.subnets().await? {
            if name == own && other != wanted && containers.iter().any(Container::is_up) {
                return Err(Failure::new(
                    ExitStatus::Failed,
                    format!("the running stack uses the subnet {other}, but `compose.subnet` is {wanted}"),
                )
                .hint("appforge down --target compose && appforge up --target compose   # keeps the data")
                .into());
            }
            if name != own && overlap(&wanted, &other) {
                return Err(Failure::new(
                    ExitStatus::Failed,
                    format!("the addresses {wanted} of the edge network are in use by the Docker network `{name}` ({other})"),
                )
                .hint("set `compose.subnet` to a free network, such as 10.250.0.0/22")
                .into());
            }
        }
        Ok(())
    }
}

impl Session<'_> {
    /// Every image is in the engine: the service's own is made, others are pulled.
    pub(crate) async fn provide_images(&self, documents: &[Document]) -> Result<()> {
        let engine = &self.engine;
        let file = Document::find(documents, "docker-compose.yml");
        // With the variables in their place: the files that the document names may not be there yet.
        let value = file.and_then(|file| file.value.as_ref());
        let filled = value.map(|value| self.with_variables(value)).transpose()?.flatten();
        let filled = filled.map(|filled| serde_json::to_string(&filled)).transpose()?;
        let text = filled.as_deref().or(file.map(|file| file.text.as_str())).unwrap_or_default();
        if let Some(folder) = &self.compose.stack.service.build {
            (self.say)(&format!("building {folder}"));
            self.cli.build(text, self.compose.service(), self.deadline, self.say).await.map_err(|error| {
                let message = format!("service.build: the engine cannot build `{folder}`");
                Failure::new(crate::error::status_of(&error), message).caused_by(error)
            })?;
        }
        for (service, reference) in file.map(images).unwrap_or_default() {
            if reference == BUNDLED_IMAGE {
                let loaded = image::ensure(engine, Some(&self.compose.memory())).await?;
                if loaded.fresh {
                    (self.say)(&format!("loaded the service image {}", loaded.reference));
                }
            } else if engine.image_id(&reference).await?.is_none() {
                (self.say)(&format!("pulling {reference}"));
                self.cli.pull(text, &service, self.deadline, self.say).await.map_err(|error| {
                    Failure::new(
                        crate::error::status_of(&error),
                        format!("the image `{reference}` is not on this machine and cannot be pulled"),
                    )
                    .hint(format!("docker pull {reference}"))
                    .hint(
                        "without internet access: `docker save` it on another machine, `docker load` it here",
                    )
                    .caused_by(error)
                })?;
            }
        }
        Ok(())
    }
}

/// The images that the compose file names, by service, each once.
fn images(file: &Document) -> Vec<(String, String)> {
    let mut seen = BTreeSet::new();
    let services = file.value.as_ref().and_then(|value| value.get("services")?.as_object());
    services
        .into_iter()
        .flatten()
        .filter_map(|(name, service)| Some((name.clone(), service.get("image")?.as_str()?.to_owned())))
        .filter(|(_, image)| seen.insert(image.clone()))
        .collect()
}

/// Whether two IPv4 networks share an address.
fn overlap(one: &str, other: &str) -> bool {
    let range = |network: &str| {
        let (address, length) = network.split_once('/')?;
        let hosts = u32::MAX.checked_shr(length.parse().ok()?).unwrap_or(0);
        let first = address.parse::<Ipv4Addr>().ok()?.to_bits() & !hosts;
        Some((first, first | hosts))
    };
    match (range(one), range(other)) {
        (Some((a, b)), Some((c, d))) => a <= d && c <= b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_overlap_when_one_address_is_in_both() {
        assert!(overlap("10.200.4.0/22", "10.0.0.0/8"));
        assert!(overlap("10.200.4.0/22", "10.200.7.0/24"));
        assert!(!overlap("10.200.4.0/22", "10.200.8.0/24"));
        assert!(!overlap("10.200.4.0/22", "fd00::/8"));
        assert!(overlap("0.0.0.0/0", "10.200.8.0/24"));
    }
}
