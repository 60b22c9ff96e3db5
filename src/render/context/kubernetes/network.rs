//! Who may talk to whom: nothing is let through but what the stack needs. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use appforge_service::contract::{Finds, RedisHosts};
use serde::Serialize;
use serde_json::Value;

use super::object::{Component, Labels, Object, Pair, pair};
use super::service::{admin_port_of_pod, public_port};
use super::{Drafts, Settings, names};
use crate::render::context::kubernetes::names::{MONGODB_PORT, REDIS_PORT};
use crate::stack::StoreKind;
use crate::stack::model::Topology;
use crate::stack::values::{Egress, Secret, StoreAddress};

/// The label that each namespace has.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
/// Where DNS listens on the node, which no selector of pods matches: the usual cache, and GKE's own.
const NODE_LOCAL_DNS: [&str; 2] = ["169.254.20.10/32", "169.254.169.254/32"];

/// All addresses.
const EVERY_V4: &str = "0.0.0.0/0";
/// See [`EVERY_V4`].
const EVERY_V6: &str = "::/0";
/// Private, shared (RFC 6598), loopback and link-local networks; the last one has the credentials of cloud machines.
const PRIVATE_V4: [&str; 6] =
    ["10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"];
/// Loopback, unique local and link-local networks.
const PRIVATE_V6: [&str; 3] = ["::1/128", "fc00::/7", "fe80::/10"];
/// What no store has: loopback and link-local networks. The last one has the credentials of cloud machines.
const NO_STORE_V4: [&str; 2] = ["127.0.0.0/8", "169.254.0.0/16"];
/// The same, with the address at which AWS has the credentials of a machine.
const NO_STORE_V6: [&str; 3] = ["::1/128", "fd00:ec2::254/128", "fe80::/10"];

#[derive(Serialize)]
struct Policy {
    object: Object,
    /// The one label that selects.
    selector: Pair,
    ingress: Vec<Rule>,
    egress: Vec<Rule>,
}

#[derive(Serialize)]
struct Rule {
    peers: Vec<Peer>,
    /// None is all of them.
    ports: Vec<Port>,
}

/// Whom a rule lets through; each part is written if it is there.
#[derive(Default, Serialize)]
struct Peer {
    every_namespace: bool,
    namespace: Option<Pair>,
    pods: Option<Pair>,
    cidr: Option<String>,
    /// Networks within `cidr` that are left out.
    except: Vec<&'static str>,
}

#[derive(Serialize)]
struct Port {
    protocol: &'static str,
    /// A number, or the name that the pods give to one.
    port: Value,
    /// The last port of a range.
    end: Option<u16>,
}

impl Peer {
    fn every_namespace() -> Self {
        Self { every_namespace: true, ..Self::default() }
    }

    fn namespace(name: &str) -> Self {
        Self { namespace: Some(pair(NAMESPACE_NAME, name)), ..Self::default() }
    }

    /// The pods of a workload in the namespace of the stack.
    fn workload(name: &str) -> Self {
        Self { pods: Some(pair(names::INSTANCE_LABEL, name)), ..Self::default() }
    }

    fn cidr(cidr: &str) -> Self {
        Self { cidr: Some(cidr.to_owned()), ..Self::default() }
    }

    fn cidr_without(cidr: &str, except: &[&'static str]) -> Self {
        Self { except: except.to_vec(), ..Self::cidr(cidr) }
    }
}

fn tcp(port: impl Into<Value>) -> Vec<Port> {
    vec![Port { protocol: "TCP", port: port.into(), end: None }]
}

fn dns() -> Rule {
    let port = |protocol| Port { protocol, port: 53.into(), end: None };
    Rule {
        peers: std::iter::once(Peer::namespace("kube-system"))
            .chain(NODE_LOCAL_DNS.map(Peer::cidr))
            .collect(),
        ports: vec![port("UDP"), port("TCP")],
    }
}

/// A store that runs elsewhere. Only its ports are known here; its address may change any time.
fn elsewhere(ports: Vec<Port>) -> Rule {
    let peers = vec![Peer::cidr_without(EVERY_V4, &NO_STORE_V4), Peer::cidr_without(EVERY_V6, &NO_STORE_V6)];
    Rule { peers, ports }
}

/// What an app of the user's own may reach besides. The internet is all that is neither private nor of this link: other stacks, the
/// nodes and their credentials stay out of reach.
fn outside(egress: &Egress) -> Rule {
    match egress {
        Egress::Internet => {
            let peers =
                vec![Peer::cidr_without(EVERY_V4, &PRIVATE_V4), Peer::cidr_without(EVERY_V6, &PRIVATE_V6)];
            Rule { peers, ports: Vec::new() }
        }
        // A policy takes no names, and the addresses of one may change.
        Egress::Host(host, port) => match network(host) {
            Some(address) => Rule { peers: vec![Peer::cidr(&address)], ports: tcp(*port) },
            None => elsewhere(tcp(*port)),
        },
        Egress::Network(range) => {
            let range = range.to_string();
            Rule { peers: vec![Peer::cidr(&network(&range).unwrap_or(range))], ports: Vec::new() }
        }
    }
}

pub(super) fn add(drafts: &mut Drafts<'_>, settings: &Settings<'_>) -> Result<()> {
    let stack = settings.stack;
    if !stack.kubernetes.network_policies {
        return Ok(());
    }
    let whole = Labels::of(stack, Component::Stack);
    let name = stack.name.as_str();
    let deny = Policy {
        object: whole.object(&format!("{name}-default-deny")),
        selector: pair(names::OWNER_LABEL, name),
        ingress: Vec::new(),
        egress: Vec::new(),
    };
    drafts.add("networkpolicy-default-deny.yaml", "networkpolicy.yaml", &deny)?;
    let policy = |component, workload: &str, ingress, egress| Policy {
        object: Labels::of(stack, component).object(workload),
        selector: pair(names::INSTANCE_LABEL, workload),
        ingress,
        egress,
    };
    let (service, mongodb, redis) = (names::service(stack), names::mongodb(stack), names::redis(stack));
    let mut clients = vec![match (&stack.kubernetes.ingress, &stack.kubernetes.route.from_namespace) {
        (Some(_), Some(namespace)) => Peer::namespace(namespace.as_str()),
        _ => Peer::every_namespace(),
    }];
    // A load balancer outside the cluster, or a controller in the network of its node, is in no namespace.
    clients.extend(
        stack.rate_limit.trusted_proxies.iter().filter_map(|proxy| network(proxy)).map(|it| Peer::cidr(&it)),
    );
    let monitoring = Peer::namespace(stack.kubernetes.monitoring_namespace.as_str());
    let ingress = vec![
        Rule { peers: clients, ports: tcp(public_port(stack)) },
        Rule { peers: vec![monitoring], ports: tcp(admin_port_of_pod(stack)) },
    ];
    let to_mongodb = if settings.mongodb {
        Rule { peers: vec![Peer::workload(&mongodb)], ports: tcp(MONGODB_PORT) }
    } else {
        elsewhere(external_ports(stack.mongodb.uri.as_ref(), mongodb_ports))
    };
    let sentinel = stack.redis.topology == Topology::Sentinel;
    let redis_ports = || {
        let mut ports = tcp(REDIS_PORT);
        ports.extend(sentinel.then(|| tcp(names::SENTINEL_PORT)).into_iter().flatten());
        ports
    };
    let to_redis = if settings.redis {
        Rule { peers: vec![Peer::workload(&redis)], ports: redis_ports() }
    } else {
        elsewhere(external_ports(stack.redis.url.as_ref(), redis_ports_of))
    };
    let mut egress = vec![dns(), to_mongodb, to_redis];
    egress.extend(stack.service.egress.iter().map(outside));
    let app = policy(Component::Service, &service, ingress, egress);
    drafts.add("networkpolicy.yaml", "networkpolicy.yaml", &app)?;
    if settings.mongodb {
        let members = || Peer::workload(&mongodb);
        let ingress =
            vec![Rule { peers: vec![Peer::workload(&service), members()], ports: tcp(MONGODB_PORT) }];
        let egress = vec![dns(), Rule { peers: vec![members()], ports: tcp(MONGODB_PORT) }];
        let policy = policy(Component::Store(StoreKind::Mongodb), &mongodb, ingress, egress);
        drafts.add("mongodb-networkpolicy.yaml", "networkpolicy.yaml", &policy)?;
    }
    if settings.redis {
        let mut ingress = Rule { peers: vec![Peer::workload(&service)], ports: redis_ports() };
        let mut egress = vec![dns()];
        if sentinel {
            ingress.peers.push(Peer::workload(&redis));
            egress.push(Rule { peers: vec![Peer::workload(&redis)], ports: redis_ports() });
        }
        let policy = policy(Component::Store(StoreKind::Redis), &redis, vec![ingress], egress);
        drafts.add("redis-networkpolicy.yaml", "networkpolicy.yaml", &policy)?;
    }
    Ok(())
}

/// An address or network as a policy takes it: with a length, and without what lies beyond it.
fn network(text: &str) -> Option<String> {
    let (address, length) =
        text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let length = |most: u32| {
        length.map_or(Some(most), |length| length.parse::<u32>().ok()).filter(|length| *length <= most)
    };
    Some(match address.parse().ok()? {
        IpAddr::V4(address) => {
            let length = length(32)?;
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            format!("{}/{length}", Ipv4Addr::from_bits(address.to_bits() & mask))
        }
        IpAddr::V6(address) => {
            let length = length(128)?;
            let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            format!("{}/{length}", Ipv6Addr::from_bits(address.to_bits() & mask))
        }
    })
}

/// The ports of an external store: any, where only a Secret of the cluster has its address.
fn external_ports(
    address: Option<&StoreAddress>,
    of_text: impl Fn(Option<&Secret>) -> Vec<Port>,
) -> Vec<Port> {
    match address {
        Some(StoreAddress::Key(_)) => vec![Port { protocol: "TCP", port: 1.into(), end: Some(u16::MAX) }],
        address => of_text(address.and_then(StoreAddress::text)),
    }
}

/// A name that stands for the members of a cluster says no port; Atlas has 27015 to 27017.
fn mongodb_ports(uri: Option<&Secret>) -> Vec<Port> {
    match uri {
        Some(uri) if uri.reveal().starts_with("mongodb+srv://") => {
            vec![Port { protocol: "TCP", port: 27015.into(), end: Some(27017) }]
        }
        uri => ports(uri, MONGODB_PORT),
    }
}

/// Those of the URL; with Sentinel also the usual one, since only the sentinels know that of the master.
fn redis_ports_of(url: Option<&Secret>) -> Vec<Port> {
    let hosts = url.and_then(|url| RedisHosts::parse(url.reveal()).ok().flatten());
    match hosts.as_ref().map(|hosts| hosts.finds) {
        Some(Finds::Master { .. }) => {
            let mut ports = ports(url, names::SENTINEL_PORT);
            if !ports.iter().any(|port| port.port == REDIS_PORT) {
                ports.extend(tcp(REDIS_PORT));
            }
            ports
        }
        Some(Finds::SlotOwner) | None => ports(url, REDIS_PORT),
    }
}

/// The ports in a URI of one or more hosts.
fn ports(uri: Option<&Secret>, default: u16) -> Vec<Port> {
    let uri = uri.map(Secret::reveal).unwrap_or_default();
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let hosts = authority.rsplit('@').next().unwrap_or_default();
    let port = |host: &str| {
        let after = host.rsplit_once(']').map_or(host, |(_, after)| after);
        after.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(default)
    };
    let mut ports: Vec<u16> = hosts.split(',').map(port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports.into_iter().flat_map(tcp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::values::SecretKey;

    #[track_caller]
    fn leads_to(uri: &str, want: &[u16]) {
        let uri = Secret::new(uri);
        let got: Vec<Value> = ports(Some(&uri), 27017).into_iter().map(|port| port.port).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn networks_are_written_as_policies_take_them() {
        for (text, want) in [
            ("10.0.0.7", "10.0.0.7/32"),
            ("10.1.2.3/16", "10.1.0.0/16"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("fd00::1/8", "fd00::/8"),
            ("::1", "::1/128"),
        ] {
            assert_eq!(network(text).as_deref(), Some(want));
        }
    }

    #[test]
    fn store_by_name_opens_no_metadata_service() {
        let metadata =
            [("169.254.0.0/16", EVERY_V4), ("fd00:ec2::254/128", EVERY_V6), ("fe80::/10", EVERY_V6)];
        let key = SecretKey { secret: "atlas".to_owned(), key: "uri".to_owned() };
        let in_secret = elsewhere(external_ports(Some(&StoreAddress::Key(key)), |_| Vec::new()));
        let by_name = outside(&Egress::Host("smtp.example".to_owned(), 587));
        for rule in [in_secret, by_name] {
            for (network, of) in metadata {
                let peer = rule.peers.iter().find(|peer| peer.cidr.as_deref() == Some(of)).unwrap();
                assert!(peer.except.contains(&network), "{network}");
            }
        }
        let internet = outside(&Egress::Internet);
        assert!(
            internet.peers[0].except.contains(&"169.254.0.0/16")
                && internet.peers[1].except.contains(&"::1/128")
        );
    }

    #[test]
    fn sentinels_lead_to_a_master_at_the_usual_port() {
        for (url, want) in [
            ("redis+sentinel://a,b:26380/main", &[26379, 26380, 6379][..]),
            ("redis+sentinel://a:6379/main", &[6379]),
            ("redis+cluster://a:7000,b:7001", &[7000, 7001]),
            ("rediss+cluster://a", &[6379]),
            ("redis://a", &[6379]),
        ] {
            let ports = redis_ports_of(Some(&Secret::new(url)));
            let got: Vec<u64> = ports.iter().filter_map(|port| port.port.as_u64()).collect();
            assert_eq!(got, want, "{url}");
        }
    }

    #[test]
    fn the_ports_of_an_external_store_are_those_of_its_uri() {
        leads_to("mongodb://h", &[27017]);
        leads_to("mongodb://u:p%40:1@h:27018,i:27019/db?x=1", &[27018, 27019]);
        leads_to("mongodb://[::1]:27020", &[27020]);
        leads_to("mongodb://[::1]/db", &[27017]);
        let srv = mongodb_ports(Some(&Secret::new("mongodb+srv://h.mongodb.net")));
        assert_eq!((&srv[0].port, srv[0].end), (&Value::from(27015), Some(27017)));
    }
}
