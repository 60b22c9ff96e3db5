//! A real Prometheus that scrapes a replica and an exporter with the rules: each is evaluated, and each panel has a line.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};

use appforge::rules::{self, Facts, Feature};
use appforge::stack::{Stack, monitoring};
use appforge_embedded::mongodb;
use appforge_testing::peer::{DURABLE, Server};
use appforge_testing::wait::eventually;
use appforge_testing::{http, need, port, tcp};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::net;
use crate::support::Project;

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(command: &mut Command) -> Running {
    Running(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// The result of a request to the API of Prometheus.
fn api(prometheus: SocketAddr, path: &str) -> Value {
    // To HTTP/1.0 the answer is not chunked.
    let response =
        tcp::exchange(prometheus, format!("GET /api/v1/{path} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 200 "), "{path}: {response}");
    serde_json::from_str(body).unwrap()
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn lines(prometheus: SocketAddr, expression: &str) -> usize {
    let expression = expression.replace("$__rate_interval", "10s").replace("$instance", ".+");
    let found = api(prometheus, &format!("query?query={}", encoded(&expression)));
    found["data"]["result"].as_array().unwrap().len()
}

#[test]
#[ignore = "needs prometheus and valkey"]
fn prometheus_evaluates_every_rule_and_panel() {
    let runtime = net::runtime();
    let project = Project::new();
    let redis = Server::valkey(DURABLE).started();
    let redis_url = format!("redis://127.0.0.1:{}/", redis.port);
    let mongodb_uri = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let options = mongodb::Options { data: project.path().join("mongodb") };
        tokio::spawn(mongodb::serve(listener, options, std::future::pending()));
        format!("mongodb://{address}/shop")
    });
    let [public, admin, exporter, port] = [(); 4].map(|()| port::reserve());
    let stores = |command: &mut Command| {
        command.env("REDIS_URL", &redis_url).env("MONGODB_URI", &mongodb_uri);
        command.env("BIND", "127.0.0.1").env("ADMIN_BIND", "127.0.0.1");
    };
    let mut serve = project.command(&["serve"]);
    stores(serve.env("PORT", public.to_string()).env("ADMIN_PORT", admin.to_string()));
    let mut export = project.command(&["exporter"]);
    stores(export.env("ADMIN_PORT", exporter.to_string()).env("REPLICAS_DESIRED", "1"));
    let _running = [run(&mut serve), run(&mut export)];

    let name = Stack::default().name.to_string();
    let facts = monitoring::facts(&Stack::default());
    // No URL is probed, and nothing else of monitoring runs.
    let features = facts.features.iter().copied().filter(|feature| *feature != Feature::Probe).collect();
    let facts = Facts { features, ..facts };
    project.write("rules.yml", &serde_yaml::to_string(&rules::rules_document(&facts)).unwrap());
    let target = |component: &str, port: u16| {
        format!(
            "- job_name: {component}\n  static_configs:\n  - targets: ['127.0.0.1:{port}']\n    \
             labels: {{stack: {name}, component: {component}}}\n"
        )
    };
    let configuration = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yml]\nscrape_configs:\n{}{}",
        target("service", admin),
        target("exporter", exporter)
    );
    project.write("prometheus.yml", &configuration);
    let promtool = need::program("APPFORGE_PEER_PROMTOOL", &["promtool"]);
    let mut prometheus = Command::new(promtool.with_file_name("prometheus"));
    prometheus.current_dir(project.path()).args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]);
    let _prometheus = run(prometheus.arg(format!("--web.listen-address=127.0.0.1:{port}")));
    let prometheus = local(port);
    eventually("Prometheus is ready", || {
        let answer = tcp::exchange(prometheus, b"GET /-/ready HTTP/1.0\r\n\r\n");
        answer.is_ok_and(|answer| answer.starts_with("HTTP/1.0 200 "))
    });

    let panels = rules::panels(&facts);
    let expressions =
        || panels.iter().flat_map(|panel| &panel.queries).map(|query| query.expression.as_str());
    let mut missing = Vec::new();
    eventually("every query has a line", || {
        // Reads and writes, so that rates have something to count.
        if std::net::TcpStream::connect(local(public)).is_ok() {
            http::exchange(
                local(public),
                "POST /api/items",
                "content-type: application/json\r\n",
                "{\"name\":\"x\"}",
            );
            http::exchange(local(public), "GET /api/items", "", "");
        }
        let empty: Vec<&str> =
            expressions().filter(|expression| lines(prometheus, expression) == 0).collect();
        if missing != empty {
            eprintln!("without a line: {empty:#?}");
            missing.clone_from(&empty);
        }
        empty.is_empty()
    });
    let groups = api(prometheus, "rules");
    let all: Vec<&Value> = groups["data"]["groups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap())
        .collect();
    assert_eq!(all.len(), rules::rules(&facts).len() + rules::recordings(&facts).len());
    for rule in all {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
}
