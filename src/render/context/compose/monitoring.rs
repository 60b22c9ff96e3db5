//! Monitoring, as the compose file has it: the exporter, Prometheus, Alertmanager and Grafana, with the documents that they read.
//!
//! Prometheus finds replicas by the DNS of the network `edge`, the only one that it shares with them: on two networks each would
//! count twice. It is on `monitor` too, where Alertmanager and Grafana are; only Grafana is published, on 127.0.0.1.

use anyhow::Result;
use appforge_service::contract::{ADMIN_PORT, variable};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::render::context::compose::gateway::Gateway;
use crate::render::context::compose::{BUNDLED_IMAGE, FRONTS, Pair, admin_port, component_key, reaches_host};
use crate::render::{Draft, quote};
use crate::rules;
use crate::stack::alerts::Receiver;
use crate::stack::{ComponentKind, Stack, monitoring};

mod alertmanager;

/// The secret file of the password of Grafana's administrator.
pub const GRAFANA_PASSWORD: &str = "grafana_password";
/// Where Prometheus listens; never published.
pub(crate) const PROMETHEUS_PORT: u16 = 9090;
/// Where Alertmanager listens; never published.
pub(crate) const ALERTMANAGER_PORT: u16 = 9093;
/// Where Grafana listens, and is published on 127.0.0.1.
pub const GRAFANA_PORT: u16 = 3000;
/// How often the addresses of the replicas are asked for.
const REFRESH: &str = "5s";
/// Most samples of one scrape of a replica; it has fewer than 600.
const MOST_SAMPLES: u32 = 5000;
/// The longest time that a target may take to answer, in seconds.
const SCRAPE_TIMEOUT: u64 = 10;

/// What the compose file needs.
#[derive(Serialize)]
pub(super) struct Monitoring {
    exporter: Exporter,
    prometheus: Prometheus,
    /// Without a receiver there is nothing to send.
    alertmanager: Option<Alertmanager>,
    grafana: Option<Grafana>,
    #[serde(skip)]
    drafts: Vec<Draft>,
}

#[derive(Serialize)]
struct Exporter {
    image: String,
    /// Whether the image is packed from this program.
    packed: bool,
    environment: Vec<Pair>,
    reaches_host: bool,
}

#[derive(Serialize)]
struct Prometheus {
    image: String,
    /// As Prometheus writes durations.
    retention: String,
    config_hash: String,
}

#[derive(Serialize)]
struct Alertmanager {
    image: String,
    secrets: Vec<&'static str>,
    config_hash: String,
}

#[derive(Serialize)]
struct Grafana {
    image: String,
    port: u16,
    config_hash: String,
}

impl Monitoring {
    /// Monitoring of the stack; `None` unless it is enabled.
    pub(super) fn new(stack: &Stack, gateway: &Gateway) -> Result<Option<Self>> {
        if !stack.monitoring.enabled {
            return Ok(None);
        }
        let facts = monitoring::facts(stack);
        let mut drafts = vec![
            yaml("prometheus/prometheus.yml", &prometheus(stack, gateway)),
            yaml("prometheus/rules.yml", &rules::rules_document(&facts)),
        ];
        let prometheus_hash = digest(&drafts);
        let receivers = stack.alerts.receivers();
        let mut alertmanager = None;
        if !receivers.is_empty() {
            let document = yaml("alertmanager/alertmanager.yml", &alertmanager::document(&stack.alerts));
            alertmanager = Some(Alertmanager {
                image: stack.monitoring.images.alertmanager.to_string(),
                secrets: receivers.iter().map(|receiver| receiver.file()).collect(),
                config_hash: digest(std::slice::from_ref(&document)),
            });
            drafts.push(document);
        }
        let mut grafana = None;
        if stack.monitoring.grafana {
            let dashboard = serde_json::to_string_pretty(&rules::dashboard(&facts))? + "\n";
            let documents = [
                yaml("grafana/datasource.yml", &datasource(stack)),
                yaml("grafana/provider.yml", &provider()),
                Draft { path: "grafana/dashboard.json".to_owned(), text: dashboard },
            ];
            grafana = Some(Grafana {
                image: stack.monitoring.images.grafana.to_string(),
                port: GRAFANA_PORT,
                config_hash: digest(&documents),
            });
            drafts.extend(documents);
        }
        drafts.push(Draft { path: "prometheus/runbooks.md".to_owned(), text: rules::runbooks(&facts) });
        Ok(Some(Self {
            exporter: Exporter::new(stack, gateway),
            prometheus: Prometheus {
                image: stack.monitoring.images.prometheus.to_string(),
                retention: rules::span(stack.monitoring.retention.0),
                config_hash: prometheus_hash,
            },
            alertmanager,
            grafana,
            drafts,
        }))
    }

    /// The secret files that its containers read.
    pub(super) fn secrets(&self) -> Vec<&'static str> {
        let receivers =
            self.alertmanager.iter().flat_map(|alertmanager| alertmanager.secrets.iter().copied());
        // The exporter reads the stores with what the bundled service has.
        receivers.chain(self.grafana.iter().map(|_| GRAFANA_PASSWORD)).chain(["mongodb_uri"]).collect()
    }

    /// The documents besides the compose file.
    pub(super) fn take_drafts(&mut self) -> Vec<Draft> {
        std::mem::take(&mut self.drafts)
    }
}

/// The components of monitoring that the stack has.
pub fn components(stack: &Stack) -> Vec<ComponentKind> {
    if !stack.monitoring.enabled {
        return Vec::new();
    }
    let mut components = vec![ComponentKind::Exporter, ComponentKind::Prometheus];
    if !stack.alerts.receivers().is_empty() {
        components.push(ComponentKind::Alertmanager);
    }
    components.extend(stack.monitoring.grafana.then_some(ComponentKind::Grafana));
    components
}

/// The secret files that `up` writes for receivers, and their secrets' owners.
pub(crate) fn receivers(stack: &Stack) -> Vec<Receiver> {
    if stack.monitoring.enabled { stack.alerts.receivers() } else { Vec::new() }
}

impl Exporter {
    fn new(stack: &Stack, gateway: &Gateway) -> Self {
        let own = stack.runtime.image.as_ref().filter(|_| stack.service.is_own());
        // What is scraped as replicas of an app are its fronts.
        let replicas = if stack.service.is_own() { FRONTS } else { stack.service.replicas };
        let probe = || format!("{}{}", gateway.public_url(), stack.service.health_path());
        let variables = [
            (variable::ADMIN_BIND, "0.0.0.0".to_owned()),
            (variable::ADMIN_PORT, ADMIN_PORT.to_string()),
            (variable::MONGODB_DATABASE, stack.mongodb.database.clone()),
            (variable::MONGODB_URI_FILE, "/run/secrets/mongodb_uri".to_owned()),
            (variable::PROBE_URL, stack.monitoring.probe.clone().unwrap_or_else(probe)),
            (variable::REDIS_URL_FILE, "/run/secrets/redis_url".to_owned()),
            (variable::REPLICAS_DESIRED, replicas.to_string()),
        ];
        let environment = variables.into_iter().map(|(name, value)| Pair { name: name.to_owned(), value });
        Self {
            image: own.map_or_else(|| BUNDLED_IMAGE.to_owned(), ToString::to_string),
            packed: own.is_none(),
            environment: environment.collect(),
            reaches_host: reaches_host(stack),
        }
    }
}

/// What is scraped and where alerts go.
fn prometheus(stack: &Stack, gateway: &Gateway) -> Value {
    let interval = stack.monitoring.scrape_interval.0;
    let replicas = if stack.service.is_own() { ComponentKind::Front.as_str() } else { component_key(stack) };
    let labels =
        |component: ComponentKind| json!({"stack": stack.name.as_str(), "component": component.as_str()});
    let job = |component: ComponentKind, port: u16| {
        let target = format!("{}:{port}", component.as_str());
        json!({
            "job_name": component.as_str(),
            "static_configs": [{"targets": [target], "labels": labels(component)}],
        })
    };
    let label = |name: &str, value: &str| json!({"target_label": name, "replacement": value});
    let mut jobs = vec![
        json!({
            "job_name": "service",
            "sample_limit": MOST_SAMPLES,
            // With the dot no domain of this machine is tried first.
            "dns_sd_configs": [{
                "names": [format!("{replicas}.")],
                "type": "A",
                "port": admin_port(stack),
                "refresh_interval": REFRESH,
            }],
            "relabel_configs": [
                label("stack", stack.name.as_str()),
                label("component", ComponentKind::Service.as_str()),
            ],
        }),
        job(ComponentKind::Exporter, ADMIN_PORT),
    ];
    // Without the scope it has ten times as many series: one set a place for a replica.
    let mut of_gateway = job(ComponentKind::Gateway, gateway.stats_port());
    of_gateway["params"] = json!({"scope": ["frontend", "backend"], "no-maint": [""]});
    jobs.push(of_gateway);
    jobs.push(job(ComponentKind::Prometheus, PROMETHEUS_PORT));
    let mut document = json!({
        "global": {
            "scrape_interval": rules::span(interval),
            "scrape_timeout": format!("{}s", interval.as_secs().clamp(1, SCRAPE_TIMEOUT)),
            "evaluation_interval": rules::span(interval),
        },
        "rule_files": ["rules.yml"],
    });
    if !stack.alerts.receivers().is_empty() {
        jobs.push(job(ComponentKind::Alertmanager, ALERTMANAGER_PORT));
        let target = format!("{}:{ALERTMANAGER_PORT}", ComponentKind::Alertmanager.as_str());
        document["alerting"] = json!({"alertmanagers": [{"static_configs": [{"targets": [target]}]}]});
    }
    if stack.monitoring.grafana {
        jobs.push(job(ComponentKind::Grafana, GRAFANA_PORT));
    }
    document["scrape_configs"] = jobs.into();
    document
}

/// Where Grafana reads, as it is provisioned.
fn datasource(stack: &Stack) -> Value {
    let url = format!("http://{}:{PROMETHEUS_PORT}", ComponentKind::Prometheus.as_str());
    json!({
        "apiVersion": 1,
        "datasources": [{
            "name": "Prometheus",
            "uid": "appforge",
            "type": "prometheus",
            "access": "proxy",
            "url": url,
            "isDefault": true,
            "editable": false,
            "jsonData": {"httpMethod": "POST", "timeInterval": rules::span(stack.monitoring.scrape_interval.0)},
        }],
    })
}

/// Where Grafana finds its dashboard.
fn provider() -> Value {
    json!({
        "apiVersion": 1,
        "providers": [{
            "name": "appforge",
            "type": "file",
            "disableDeletion": true,
            "allowUiUpdates": false,
            "options": {"path": "/etc/grafana/dashboards"},
        }],
    })
}

fn yaml(path: &str, document: &Value) -> Draft {
    Draft { path: path.to_owned(), text: quote::block(document) }
}

/// Compose does not look into mounted files; with the hash in a label a changed one replaces the container.
fn digest(documents: &[Draft]) -> String {
    let mut digest = Sha256::new();
    for document in documents {
        digest.update(format!("{}\0{}\0", document.path, document.text));
    }
    hex::encode(&digest.finalize()[..8])
}
