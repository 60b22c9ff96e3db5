//! A small network of a test's own: a proxy that knows names no resolver does, and TLS in front of a plain server.
//!
//! `fixtures/tls` holds an authority, and the certificate and key of `registry.test`, `auth.test`, `cdn.test` and
//! `cluster.test`; `local-authority` and `local` those of `localhost` and 127.0.0.1. They are for these tests only.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// A file of `fixtures/tls`.
pub(crate) fn tls(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/tls").join(file)
}

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// A port that speaks TLS and hands on to `server`.
pub(crate) async fn with_tls(server: SocketAddr, certificate: &str) -> SocketAddr {
    let chain = CertificateDer::pem_file_iter(tls(&format!("{certificate}.pem")))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let key = PrivateKeyDer::from_pem_file(tls(&format!("{certificate}.key"))).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust the certificate leaves.
                let Ok(mut near) = acceptor.accept(stream).await else { return };
                let mut far = TcpStream::connect(server).await.unwrap();
                let _ = copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    address
}

/// Takes `CONNECT`, whole requests, and SOCKS 5. Each name leads where the test says.
#[derive(Clone, Default)]
pub(crate) struct Proxy {
    places: BTreeMap<String, SocketAddr>,
    login: Option<String>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// `name:port` leads to this address.
    pub(crate) fn with(mut self, name: &str, place: SocketAddr) -> Self {
        self.places.insert(name.to_owned(), place);
        self
    }

    /// Only with this `Proxy-Authorization`.
    pub(crate) fn login(mut self, authorization: &str) -> Self {
        self.login = Some(authorization.to_owned());
        self
    }

    /// The first line of each request, as `CONNECT cluster.test:6443`.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) async fn start(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, proxy) = (listener.local_addr().unwrap(), self.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let proxy = proxy.clone();
                tokio::spawn(async move { drop(proxy.carry(stream).await) });
            }
        });
        address
    }

    async fn carry(self, mut near: TcpStream) -> std::io::Result<()> {
        let first = near.read_u8().await?;
        let (name, opening, rest) = if first == 5 {
            (self.socks(&mut near).await?, b"\x05\x00\x00\x01\0\0\0\0\0\0".to_vec(), Vec::new())
        } else {
            let mut head = vec![first];
            while !head.ends_with(b"\r\n\r\n") {
                head.push(near.read_u8().await?);
            }
            let text = String::from_utf8_lossy(&head).into_owned();
            let line = text.lines().next().unwrap_or_default();
            let mut words = line.split(' ');
            let (method, target) = (words.next().unwrap(), words.next().unwrap());
            self.seen.lock().unwrap().push(format!("{method} {target}"));
            let sent = text.lines().find_map(|line| line.strip_prefix("Proxy-Authorization: "));
            let sent =
                sent.or_else(|| text.lines().find_map(|line| line.strip_prefix("proxy-authorization: ")));
            if self.login.is_some() && sent != self.login.as_deref() {
                return near.write_all(b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n").await;
            }
            match method {
                "CONNECT" => (target.to_owned(), b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), Vec::new()),
                _ => {
                    let host = target.strip_prefix("http://").unwrap_or(target).split('/').next().unwrap();
                    let port = if host.contains(':') { "" } else { ":80" };
                    (format!("{host}{port}"), Vec::new(), head)
                }
            }
        };
        let Some(place) = self.places.get(&name) else {
            return near.write_all(b"HTTP/1.1 502 Nowhere\r\nContent-Length: 0\r\n\r\n").await;
        };
        let mut far = TcpStream::connect(place).await?;
        near.write_all(&opening).await?;
        far.write_all(&rest).await?;
        copy_bidirectional(&mut near, &mut far).await.map(drop)
    }

    /// The greeting without a login, and the name that is asked for.
    async fn socks(&self, near: &mut TcpStream) -> std::io::Result<String> {
        let methods = near.read_u8().await?;
        near.read_exact(&mut vec![0; methods.into()]).await?;
        near.write_all(b"\x05\x00").await?;
        let mut head = [0; 5];
        near.read_exact(&mut head).await?;
        assert_eq!(head[..4], [5, 1, 0, 3], "the proxy is asked to look up the name");
        let mut name = vec![0; head[4].into()];
        near.read_exact(&mut name).await?;
        let port = near.read_u16().await?;
        let name = format!("{}:{port}", String::from_utf8(name).unwrap());
        self.seen.lock().unwrap().push(format!("SOCKS {name}"));
        Ok(name)
    }
}
