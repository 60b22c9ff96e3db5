//! The front and its peers, each on the server's core before the same two apps.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;

use crate::bench::process::{Core, Server, free_port, pinned};
use crate::bench::stack::{ENDLESS, Limit};
use crate::{debian, peers};

/// A running proxy.
pub(super) struct Subject {
    server: Server,
    /// Where it listens.
    pub port: u16,
}

impl Subject {
    /// Where a path is.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Its process.
    pub(super) fn id(&self) -> u32 {
        self.server.id()
    }
}

/// What all need: their programs and files, and where the apps are.
pub(super) struct Place {
    pub folder: PathBuf,
    pub appforge: PathBuf,
    pub nginx: PathBuf,
    pub haproxy: PathBuf,
    pub libraries: PathBuf,
    pub proxies: peers::Proxies,
    /// The app that answers small requests.
    pub app: u16,
    /// The one for bodies.
    pub sink: u16,
    pub redis: u16,
}

impl Place {
    /// Downloads what is missing.
    pub(super) fn prepare(target: &Path, root: &Path, folder: PathBuf, appforge: &Path) -> Result<Self> {
        let unpacked = debian::unpack(&target.join("nginx"), &["nginx"], None)?;
        let libraries = ["haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1"];
        let haproxy = debian::unpack(&target.join("haproxy"), &libraries, None)?;
        fs::create_dir_all(&folder)?;
        Ok(Self {
            folder,
            appforge: appforge.to_owned(),
            nginx: unpacked.join("usr/sbin/nginx"),
            haproxy: haproxy.join("usr/sbin/haproxy"),
            libraries: haproxy.join("usr/lib/x86_64-linux-gnu"),
            proxies: peers::proxies(root)?,
            app: 0,
            sink: 0,
            redis: 0,
        })
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let file = self.folder.join(name);
        fs::write(&file, text).with_context(|| format!("while writing `{}`", file.display()))?;
        Ok(file)
    }

    fn start(command: &mut Command, port: u16) -> Result<Subject> {
        Ok(Subject { server: Server::start(command, port)?, port })
    }

    /// The app behind all proxies: nginx that answers from memory, on the core of the load.
    pub(super) fn app(&self) -> Result<Subject> {
        let port = free_port()?;
        let pad = "x".repeat(80);
        let server = format!(
            "server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 '{{\"ok\":true,\"pad\":\"{pad}\"}}'; }} }}"
        );
        self.nginx("app", Core::Client, &server, port)
    }

    fn nginx(&self, name: &str, core: Core, server: &str, port: u16) -> Result<Subject> {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder)?;
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {}/{kind}; ", folder.display()))
            .concat();
        let text = format!(
            "user root;\ndaemon off;\nworker_processes 1;\nworker_rlimit_nofile 20000;\npid {}/pid;\n\
             events {{ worker_connections 8192; }}\nhttp {{\n{temporary}\naccess_log off; client_max_body_size 0; \
             keepalive_requests 1000000000; keepalive_timeout 600s; default_type application/json;\n{server}\n}}\n",
            folder.display()
        );
        let file = self.write(&format!("{name}.conf"), &text)?;
        let mut command = pinned(core, &self.nginx);
        command.arg("-p").arg(&folder).arg("-e").arg(folder.join("error.log")).arg("-c").arg(file);
        Self::start(&mut command, port)
    }

    /// nginx as a proxy before the app or the sink. Its `limit_req` counts in the memory of one machine.
    pub(super) fn nginx_proxy(&self, name: &str, limit: Limit, app: u16) -> Result<Subject> {
        let port = free_port()?;
        let (zone, apply) = match limit {
            Limit::Off => ("", ""),
            Limit::Pass => ("rate=1000000r/s", "limit_req zone=all burst=100000 nodelay;"),
            Limit::Block => ("rate=1r/m", "limit_req zone=all burst=100 nodelay;"),
        };
        let zone = if zone.is_empty() {
            String::new()
        } else {
            format!(
                "limit_req_zone $http_x_forwarded_for zone=all:32m {zone}; limit_req_status 429; limit_req_log_level info;"
            )
        };
        let server = format!(
            "{zone}\nupstream app {{ server 127.0.0.1:{app}; keepalive 512; keepalive_requests 1000000000; keepalive_timeout 600s; }}\n\
             server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ {apply} proxy_pass http://app; proxy_http_version 1.1; \
             proxy_set_header Connection \"\"; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; \
             proxy_request_buffering off; proxy_max_temp_file_size 0; }} }}"
        );
        self.nginx(name, Core::Server, &server, port)
    }

    /// HAProxy, with a stick table as its limit.
    pub(super) fn haproxy(&self, name: &str, limit: Limit, app: u16) -> Result<Subject> {
        let port = free_port()?;
        let most = match limit {
            Limit::Off => None,
            Limit::Pass => Some(2_000_000_000),
            Limit::Block => Some(100),
        };
        let rule = most.map_or_else(String::new, |most| {
            format!(
                " stick-table type ip size 100k expire 900s store http_req_rate(900s)\n http-request track-sc0 hdr_ip(x-forwarded-for)\n \
                 http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt {most} }}\n"
            )
        });
        let text = format!(
            "global\n nbthread 1\n maxconn 8000\ndefaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n \
             option http-keep-alive\n http-reuse always\nfrontend all\n bind 127.0.0.1:{port} backlog 4096\n{rule} option forwardfor\n \
             default_backend app\nbackend app\n server a 127.0.0.1:{app} pool-max-conn -1\n"
        );
        let file = self.write(&format!("{name}.cfg"), &text)?;
        let mut command = pinned(Core::Server, &self.haproxy);
        command.env("LD_LIBRARY_PATH", &self.libraries).arg("-db").arg("-f").arg(file);
        Self::start(&mut command, port)
    }

    /// Caddy without a limit, which it has no module for.
    pub(super) fn caddy(&self) -> Result<Subject> {
        let port = free_port()?;
        let text = format!(
            "{{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n\tlog {{\n\t\tlevel ERROR\n\t}}\n}}\nhttp://127.0.0.1:{port} {{\n\tbind 127.0.0.1\n\
             \treverse_proxy 127.0.0.1:{} {{\n\t\ttransport http {{\n\t\t\tkeepalive 600s\n\t\t\tkeepalive_idle_conns 1024\n\
             \t\t\tkeepalive_idle_conns_per_host 1024\n\t\t}}\n\t}}\n}}\n",
            self.app
        );
        let file = self.write("Caddyfile", &text)?;
        let mut command = pinned(Core::Server, &self.proxies.caddy);
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file).env("GOMAXPROCS", "1");
        for name in ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
            command.env(name, &self.folder);
        }
        Self::start(&mut command, port)
    }

    /// Traefik; its limit counts in Redis.
    pub(super) fn traefik(&self, name: &str, limit: Limit) -> Result<Subject> {
        let port = free_port()?;
        let redis = json!({ "endpoints": [format!("127.0.0.1:{}", self.redis)] });
        let by = json!({ "ipStrategy": { "depth": 1 } });
        let rate = match limit {
            Limit::Off => json!({}),
            Limit::Pass => {
                json!({ "average": 1_000_000, "burst": 1_000_000, "sourceCriterion": by, "redis": redis })
            }
            Limit::Block => {
                json!({ "average": 1, "period": "60s", "burst": 100, "sourceCriterion": by, "redis": redis })
            }
        };
        let mut http = json!({
            "routers": { "all": { "rule": "PathPrefix(`/`)", "service": "app", "entryPoints": ["all"] } },
            "serversTransports": { "app": { "maxIdleConnsPerHost": 1024 } },
            "services": { "app": { "loadBalancer": {
                "serversTransport": "app", "servers": [{ "url": format!("http://127.0.0.1:{}", self.app) }]
            } } }
        });
        if limit != Limit::Off {
            http["middlewares"] = json!({ "limit": { "rateLimit": rate } });
            http["routers"]["all"]["middlewares"] = json!(["limit"]);
        }
        // JSON is YAML.
        let file = self.write(&format!("{name}.yaml"), &json!({ "http": http }).to_string())?;
        let mut command = pinned(Core::Server, &self.proxies.traefik);
        command
            .arg(format!("--entryPoints.all.address=127.0.0.1:{port}"))
            .arg("--entryPoints.all.forwardedHeaders.insecure=true")
            .arg(format!("--providers.file.filename={}", file.display()))
            .args([
                "--global.sendAnonymousUsage=false",
                "--global.checkNewVersion=false",
                "--log.level=ERROR",
            ])
            .env("GOMAXPROCS", "1");
        Self::start(&mut command, port)
    }

    /// Envoy; its limit is one bucket in the memory of one machine.
    pub(super) fn envoy(&self, name: &str, limit: Limit) -> Result<Subject> {
        let port = free_port()?;
        let kind = |path: &str| format!("type.googleapis.com/envoy.extensions.filters.{path}");
        let bucket = match limit {
            Limit::Off => None,
            Limit::Pass => Some(
                json!({ "max_tokens": 1_000_000_000, "tokens_per_fill": 1_000_000_000, "fill_interval": "1s" }),
            ),
            Limit::Block => Some(json!({ "max_tokens": 100, "tokens_per_fill": 1, "fill_interval": "60s" })),
        };
        let all = json!({ "default_value": { "numerator": 100, "denominator": "HUNDRED" } });
        let mut filters: Vec<_> = bucket
            .map(|bucket| {
                json!({ "name": "envoy.filters.http.local_ratelimit", "typed_config": {
                    "@type": kind("http.local_ratelimit.v3.LocalRateLimit"),
                    "stat_prefix": "limit", "token_bucket": bucket, "filter_enabled": all, "filter_enforced": all
                } })
            })
            .into_iter()
            .collect();
        let router = json!({ "@type": kind("http.router.v3.Router") });
        filters.push(json!({ "name": "envoy.filters.http.router", "typed_config": router }));
        let address = |port: u16| json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } });
        let manager = json!({
            "@type": kind("network.http_connection_manager.v3.HttpConnectionManager"),
            "stat_prefix": "all", "use_remote_address": true, "http_filters": filters,
            "route_config": { "virtual_hosts": [{
                "name": "all", "domains": ["*"], "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "app" } }]
            }] }
        });
        let configuration = json!({ "static_resources": {
            "listeners": [{ "name": "all", "address": address(port), "filter_chains": [{ "filters": [{
                "name": "envoy.filters.network.http_connection_manager", "typed_config": manager
            }] }] }],
            "clusters": [{ "name": "app", "connect_timeout": "1s", "type": "STATIC", "load_assignment": {
                "cluster_name": "app", "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address(self.app) } }] }]
            } }]
        } });
        let file = self.write(&format!("{name}.json"), &configuration.to_string())?;
        let mut command = pinned(Core::Server, &self.proxies.envoy);
        command.arg("-c").arg(file).args(["--concurrency", "1", "--use-dynamic-base-id", "-l", "error"]);
        Self::start(&mut command, port)
    }

    /// The front.
    pub(super) fn front(&self, limit: Limit, app: u16) -> Result<Subject> {
        let (port, admin) = (free_port()?, free_port()?);
        let requests = if limit == Limit::Block { 100 } else { ENDLESS };
        let mut command = pinned(Core::Server, &self.appforge);
        command
            .args(["serve", "--upstream", &format!("http://127.0.0.1:{app}")])
            .env("LOG_LEVEL", "warn")
            .env("PORT", port.to_string())
            .env("ADMIN_PORT", admin.to_string())
            .env("REDIS_URL", format!("redis://127.0.0.1:{}", self.redis))
            .env("REDIS_KEY_PREFIX", format!("front-{port}:"))
            .env("TRUSTED_PROXIES", "127.0.0.0/8")
            .env("RATE_LIMIT_ENABLED", (limit != Limit::Off).to_string())
            .env("RATE_LIMIT_REQUESTS", requests.to_string());
        Self::start(&mut command, port)
    }
}
