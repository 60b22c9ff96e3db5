//! The way to a cluster through a proxy, as kubectl goes it.

use std::process::Command;

use crate::net::{Proxy, runtime, tls, with_tls};
use crate::support::{Project, Run};

use super::STACK;
use super::api::Api;

/// `me` and `p@ss`, Base64.
const LOGIN: &str = "Basic bWU6cEBzcw==";
const SERVER: &str = "https://cluster.test:6443";
const CONNECT: &str = "CONNECT cluster.test:6443";
/// Nothing listens there.
const NOWHERE: &str = "http://me:hunter2@127.0.0.1:1";

/// An API server behind TLS whose name only a proxy knows.
struct Cluster {
    api: Api,
    project: Project,
    proxy: Proxy,
    /// `127.0.0.1:PORT`.
    address: String,
    _runtime: tokio::runtime::Runtime,
}

impl Cluster {
    fn new(login: Option<&str>) -> Self {
        let (api, project, runtime) = (Api::start(), Project::with(STACK), runtime());
        let secured = runtime.block_on(with_tls(api.address, "server"));
        let mut proxy = Proxy::default().with("cluster.test:6443", secured);
        if let Some(login) = login {
            proxy = proxy.login(login);
        }
        let address = runtime.block_on(proxy.start()).to_string();
        Self { api, project, proxy, address, _runtime: runtime }
    }

    /// `diff` reads a dozen kinds of objects, and ends with 5 since there are none.
    fn diff(&self, server: &str, proxy_url: Option<&str>, variables: &[(&str, &str)]) -> Run {
        self.run("diff", server, proxy_url, variables)
    }

    fn run(&self, verb: &str, server: &str, proxy_url: Option<&str>, variables: &[(&str, &str)]) -> Run {
        let more = proxy_url.map(|url| format!(", proxy-url: '{url}'")).unwrap_or_default();
        let authority = tls("authority.pem");
        let cluster = format!("server: '{server}', certificate-authority: '{}'{more}", authority.display());
        let kubeconfig =
            self.api.kubeconfig().replace(&format!("server: 'http://{}'", self.api.address), &cluster);
        self.project.write("kubeconfig", &kubeconfig);
        let mut command: Command = self.project.command(&[verb, "--context", "test"]);
        for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"] {
            command.env_remove(name);
        }
        command.env("KUBECONFIG", self.project.path().join("kubeconfig"));
        Run::of(command.env_remove("KUBERNETES_SERVICE_HOST").envs(variables.iter().copied()))
    }
}

#[test]
fn cluster_is_reached_when_the_environment_names_a_proxy() {
    let cluster = Cluster::new(Some(LOGIN));
    let with_login = format!("http://me:p%40ss@{}", cluster.address);
    let bare = format!("me:p%40ss@{}", cluster.address);
    for variables in [
        &[("HTTPS_PROXY", with_login.as_str())][..],
        &[
            ("https_proxy", &with_login),
            ("HTTPS_PROXY", ""),
            ("NO_PROXY", "localhost,.example.com,10.0.0.0/8,"),
        ],
        &[("HTTPS_PROXY", &bare), ("HTTP_PROXY", NOWHERE), ("no_proxy", "cluster.test:443, other.test")],
    ] {
        let before = cluster.proxy.seen().len();
        let run = cluster.diff(SERVER, None, variables);
        assert_eq!(run.code, Some(5), "{variables:?}: {run:#?}");
        assert!(run.stdout.contains("create"), "{run:#?}");
        let seen = cluster.proxy.seen();
        assert!(seen.len() > before && seen.iter().all(|line| line == CONNECT), "{seen:?}");
    }
}

#[test]
fn cluster_is_reached_by_the_proxy_url_of_its_kubeconfig() {
    let cluster = Cluster::new(None);
    let elsewhere = [("HTTPS_PROXY", NOWHERE), ("NO_PROXY", "*")];
    let run = cluster.diff(SERVER, Some(&format!("http://{}", cluster.address)), &elsewhere);
    assert_eq!(run.code, Some(5), "{run:#?}");
    assert!(cluster.proxy.seen().iter().all(|line| line == CONNECT), "{:?}", cluster.proxy.seen());
    let run = cluster.diff(SERVER, Some(&format!("socks5://{}", cluster.address)), &elsewhere);
    assert_eq!(run.code, Some(5), "{run:#?}");
    assert_eq!(cluster.proxy.seen().last().unwrap(), "SOCKS cluster.test:6443");
    // Without TLS the proxy gets whole requests.
    let plain = Proxy::default().with("cluster.test:80", cluster.api.address).login(LOGIN);
    let address = cluster._runtime.block_on(plain.start());
    let run =
        cluster.diff("http://cluster.test", None, &[("HTTP_PROXY", &format!("http://me:p%40ss@{address}"))]);
    assert_eq!(run.code, Some(5), "{run:#?}");
    let seen = plain.seen();
    assert!(
        !seen.is_empty() && seen.iter().all(|line| line.starts_with("GET http://cluster.test/")),
        "{seen:?}"
    );
}

#[test]
fn the_bundled_image_cannot_reach_the_nodes_of_a_remote_cluster() {
    let cluster = Cluster::new(None);
    cluster.project.write("appforge.yaml", "target: kubernetes\nname: shop\n");
    let run = cluster.run("up", SERVER, Some(&format!("http://{}", cluster.address)), &[]);
    assert_eq!(run.code, Some(3), "{run:#?}");
    for part in [
        "error: the image of appforge cannot be loaded into the nodes of the remote cluster `test`\n",
        "hint: push it to a registry that the cluster can pull from: appforge image push ",
    ] {
        assert!(run.stderr.contains(part), "{}", run.stderr);
    }
    assert!(!cluster.api.seen().iter().any(super::Seen::is_change));
}

#[test]
fn cluster_on_loopback_is_reached_directly_whatever_is_set() {
    let cluster = Cluster::new(None);
    let here = format!("http://{}", cluster.api.address);
    for wrong in [NOWHERE, "https://127.0.0.1:1", "socks5://127.0.0.1:1", "no proxy: at all"] {
        for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"] {
            let run = cluster.diff(&here, None, &[(name, wrong)]);
            assert_eq!(run.code, Some(5), "{name}={wrong}: {run:#?}");
        }
    }
}

#[test]
fn proxy_that_fails_is_named_without_its_password() {
    let cluster = Cluster::new(Some(LOGIN));
    let wrong = format!("http://me:hunter2@{}", cluster.address);
    for proxy in [NOWHERE, wrong.as_str()] {
        let run = cluster.diff(SERVER, None, &[("HTTPS_PROXY", proxy)]);
        assert_eq!(run.code, Some(4), "{run:#?}");
        let address = proxy.rsplit('@').next().unwrap();
        let hint = format!(
            "hint: check the proxy http://{address}, which `HTTPS_PROXY` sets; NO_PROXY=cluster.test bypasses it\n"
        );
        assert!(run.stderr.contains(&hint) && !run.stderr.contains("hunter2"), "{}", run.stderr);
    }
    let run = cluster.diff(SERVER, None, &[("HTTPS_PROXY", "ftp://me:hunter2@p")]);
    assert_eq!(run.code, Some(3), "{run:#?}");
    assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
    // Left out of it, the name is looked up here, where it is not known.
    let before = cluster.proxy.seen().len();
    for entry in ["cluster.test", ".test", "*", "cluster.test:6443"] {
        let run = cluster.diff(SERVER, None, &[("HTTPS_PROXY", &wrong), ("NO_PROXY", entry)]);
        assert_eq!(run.code, Some(4), "{run:#?}");
    }
    assert_eq!(cluster.proxy.seen().len(), before);
}
