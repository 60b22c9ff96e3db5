//! One repository of a registry over HTTP (OCI distribution specification): requests, and being known to it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, PROXY_AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Limited, StreamBody};
use hyper::body::Frame;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::archive::MANIFEST;
use super::challenge::{self, Challenge};
use super::credentials::Credentials;
use super::name::RemoteName;
use super::origin;
use crate::error::{ExitStatus, Failure};
use crate::targets::certificates::{self, Accept};
use crate::targets::connector::Connector;
use crate::targets::proxy::{Proxies, Proxy};

/// How long a registry may be silent: it may copy a whole layer to its store before it answers.
const SILENCE: Duration = Duration::from_secs(120);
/// Between two words on how far an upload is.
const EVERY: Duration = Duration::from_secs(1);
/// An upload goes in pieces of this size.
const PIECE: usize = 64 * 1024;
/// Longest answer that is read.
const MOST: usize = 1 << 20;
/// Most redirects of one request.
const REDIRECTS: usize = 5;

/// Told how many bytes of how many are on their way.
pub(crate) type OnProgress<'a> = &'a dyn Fn(u64, u64);

/// A repository.
pub(crate) struct Registry {
    client: Client<HttpsConnector<Connector>, BoxBody<Bytes, Infallible>>,
    proxies: Proxies,
    /// Its scheme and host: credentials go nowhere else.
    home: Uri,
    name: RemoteName,
    credentials: Option<Credentials>,
    authorization: Option<HeaderValue>,
}

/// What goes with a request.
#[derive(Clone, Default)]
pub(crate) struct Payload {
    pub(crate) kind: &'static str,
    pub(crate) bytes: Bytes,
}

/// A whole answer.
pub(crate) struct Answer {
    /// Who gave it.
    pub(crate) uri: Uri,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Bytes,
}

impl Registry {
    /// Connects to nothing yet. `plain` leaves TLS out.
    pub(crate) fn new(name: &RemoteName, credentials: Option<Credentials>, plain: bool) -> Result<Self> {
        let proxies = Proxies::from_environment();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(certificates::client(&Accept::Trusted)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(Connector::new(proxies.clone()));
        let scheme = if plain { "http" } else { "https" };
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            proxies,
            home: format!("{scheme}://{}/", name.registry).parse()?,
            name: name.clone(),
            credentials,
            authorization: None,
        })
    }

    /// The URI of something in the repository.
    pub(crate) fn uri(&self, path: &str) -> Result<Uri> {
        origin::resolve(&self.home, &format!("/v2/{}/{path}", self.name.repository))
    }

    /// The place that a `Location` header means.
    ///
    /// # Errors
    /// When there is none, or the connection would be weaker.
    pub(crate) fn location(&self, answer: &Answer) -> Result<Uri> {
        let location = answer.headers.get(http::header::LOCATION).and_then(|value| value.to_str().ok());
        let location = location.context("the registry sends no `Location`")?;
        let next = origin::resolve(&answer.uri, location)?;
        if origin::is_weaker(&answer.uri, &next) || origin::is_weaker(&self.home, &next) {
            return Err(self.downgrade(&next));
        }
        Ok(next)
    }

    /// One request and its answer, after redirects. Makes itself known when the registry asks for that.
    ///
    /// # Errors
    /// When there is no answer, or the registry lets nobody in. Any other status is an answer.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        uri: Uri,
        payload: Payload,
        progress: OnProgress<'_>,
    ) -> Result<Answer> {
        let answer = self.follow(&method, &uri, &payload, progress).await?;
        // A server that a redirect names gets no credentials of this one.
        if answer.status != StatusCode::UNAUTHORIZED || !origin::is_same(&answer.uri, &self.home) {
            return Ok(answer);
        }
        self.authorization = match challenge::read(&answer.headers) {
            Some(Challenge::Basic) => match &self.credentials {
                Some(Credentials::Password(user, password)) => Some(basic(user, password.reveal())?),
                _ => return Err(self.refused(&answer)),
            },
            Some(Challenge::Bearer { realm, service }) => Some(self.token(&realm, &service).await?),
            None => return Err(self.refused(&answer)),
        };
        let answer = self.follow(&method, &uri, &payload, progress).await?;
        if answer.status == StatusCode::UNAUTHORIZED { Err(self.refused(&answer)) } else { Ok(answer) }
    }

    /// A request with the redirects that keep its method and what it carries.
    async fn follow(
        &self,
        method: &Method,
        uri: &Uri,
        payload: &Payload,
        progress: OnProgress<'_>,
    ) -> Result<Answer> {
        let mut uri = uri.clone();
        for _ in 0..=REDIRECTS {
            let answer = self.exchange(method, &uri, payload, progress).await?;
            let kept = match answer.status {
                StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
                StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => method.is_safe(),
                _ => false,
            };
            if !kept {
                return Ok(answer);
            }
            uri = self.location(&answer)?;
        }
        bail!("the registry `{}` redirects more than {REDIRECTS} times", self.name.registry)
    }

    /// A token for this repository, from the service that the registry named.
    async fn token(&self, realm: &str, service: &str) -> Result<HeaderValue> {
        let realm: Uri = origin::resolve(&self.home, realm)?;
        if origin::is_weaker(&self.home, &realm) {
            return Err(self.downgrade(&realm));
        }
        let scope = format!("repository:{}:pull,push", self.name.repository);
        let (service, scope) = (challenge::encode(service), challenge::encode(&scope));
        let join = if realm.query().is_some() { '&' } else { '?' };
        let mut request = Request::builder().header(USER_AGENT, "appforge");
        let mut body = Bytes::new();
        request = match &self.credentials {
            Some(Credentials::Token(token)) => {
                let token = challenge::encode(token.reveal());
                body = format!(
                    "grant_type=refresh_token&client_id=appforge&service={service}&scope={scope}&refresh_token={token}"
                )
                .into();
                request
                    .method(Method::POST)
                    .uri(realm)
                    .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            }
            Some(Credentials::Password(user, password)) => request
                .uri(format!("{realm}{join}service={service}&scope={scope}"))
                .header(AUTHORIZATION, basic(user, password.reveal())?),
            None => request.uri(format!("{realm}{join}service={service}&scope={scope}")),
        };
        let answer = self.ask(request, body, &|_, _| {}).await?;
        if !answer.status.is_success() {
            return Err(self.refused(&answer));
        }
        let tokens: Value =
            serde_json::from_slice(&answer.body).context("the token service did not answer with JSON")?;
        let token = tokens["token"].as_str().or(tokens["access_token"].as_str());
        secret(format!("Bearer {}", token.context("the answer of the token service contains no token")?))
    }

    async fn exchange(
        &self,
        method: &Method,
        uri: &Uri,
        payload: &Payload,
        progress: OnProgress<'_>,
    ) -> Result<Answer> {
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header(USER_AGENT, "appforge")
            .header(ACCEPT, MANIFEST)
            .header(CONTENT_LENGTH, payload.bytes.len());
        if !payload.kind.is_empty() {
            request = request.header(CONTENT_TYPE, payload.kind);
        }
        // A registry may send uploads to a store elsewhere, which gets no credentials of this one.
        let same = origin::is_same(uri, &self.home);
        if let Some(authorization) = self.authorization.as_ref().filter(|_| same) {
            request = request.header(AUTHORIZATION, authorization);
        }
        self.ask(request, payload.bytes.clone(), progress).await
    }

    /// The exchange itself: it may take as long as it moves.
    async fn ask(
        &self,
        request: http::request::Builder,
        bytes: Bytes,
        progress: OnProgress<'_>,
    ) -> Result<Answer> {
        let (total, sent) = (bytes.len() as u64, Arc::new(AtomicU64::new(0)));
        let counter = sent.clone();
        let pieces = (0..bytes.len()).step_by(PIECE).map(move |at| {
            let piece = bytes.slice(at..bytes.len().min(at + PIECE));
            counter.fetch_add(piece.len() as u64, Ordering::Relaxed);
            Ok::<_, Infallible>(Frame::data(piece))
        });
        let body = BodyExt::boxed(StreamBody::new(stream::iter(pieces).map(|piece| piece)));
        let mut request = request.body(body)?;
        let uri = request.uri().clone();
        let proxy = self.proxies.to(&uri)?;
        if uri.scheme_str() == Some("http")
            && let Some(login) = proxy.as_ref().and_then(Proxy::authorization)
        {
            // A tunnel carries the login in its `CONNECT`; without TLS each request carries it.
            request.headers_mut().insert(PROXY_AUTHORIZATION, login);
        }
        let exchange = async {
            let answer = self.client.request(request).await?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, MOST).collect().await.map_err(anyhow::Error::from_boxed)?;
            Ok::<_, anyhow::Error>(Answer {
                uri: uri.clone(),
                status: head.status,
                headers: head.headers,
                body: body.to_bytes(),
            })
        };
        let mut exchange = std::pin::pin!(exchange);
        let (mut known, mut since) = (0, Instant::now());
        loop {
            if let Ok(answer) = tokio::time::timeout(EVERY, exchange.as_mut()).await {
                return answer.map_err(|error| self.unreachable(error, &uri, proxy.as_ref()));
            }
            let now = sent.load(Ordering::Relaxed);
            if now != known {
                (known, since) = (now, Instant::now());
                progress(now, total);
            } else if since.elapsed() >= SILENCE {
                let message = format!(
                    "the registry `{}` has been silent for {}s",
                    self.name.registry,
                    SILENCE.as_secs()
                );
                return Err(Failure::new(ExitStatus::TimedOut, message)
                    .hint("run the command again; finished uploads are not repeated")
                    .into());
            }
        }
    }

    fn unreachable(&self, error: anyhow::Error, uri: &Uri, proxy: Option<&Proxy>) -> anyhow::Error {
        let connect = error
            .downcast_ref::<hyper_util::client::legacy::Error>()
            .is_some_and(hyper_util::client::legacy::Error::is_connect);
        if !connect {
            return error.context(format!("no usable answer from the registry `{}`", self.name.registry));
        }
        let whom = if origin::is_same(uri, &self.home) {
            format!("the registry `{}`", self.name.registry)
        } else {
            format!("`{}`, which the registry `{}` names,", origin::shown(uri), self.name.registry)
        };
        let trouble = trouble(error.as_ref());
        let failure = |what: &str| Failure::new(ExitStatus::Unreachable, format!("{whom} {what}"));
        let mut failure = match (trouble, proxy) {
            (Trouble::Certificate, _) => failure("has a certificate that this machine does not trust")
                .hint("add the authority that signed it to this machine (`update-ca-certificates`), or name its file in SSL_CERT_FILE"),
            (_, Some(proxy)) => failure("cannot be reached").hint(proxy.hint(uri)),
            (Trouble::NoTls, None) if uri.scheme_str() == Some("https") => {
                failure("cannot be reached").hint("a registry without TLS takes `--plain-http`")
            }
            _ => failure("cannot be reached"),
        };
        failure = failure.caused_by(error);
        failure.hint("`appforge image save` writes a file instead").into()
    }

    fn downgrade(&self, to: &Uri) -> anyhow::Error {
        let message = format!(
            "the registry `{}` redirects to `{}`, a weaker connection than its own; nothing was sent there",
            self.name.registry,
            origin::shown(to)
        );
        Failure::new(ExitStatus::Failed, message)
            .hint("set `http: {relativeurls: true}` in the registry's configuration, or let its reverse proxy send `X-Forwarded-Proto: https`")
            .into()
    }

    fn refused(&self, answer: &Answer) -> anyhow::Error {
        let login = self.name.login();
        let why = match self.credentials {
            Some(_) => "does not accept the credentials that Docker has for it",
            None => "requires credentials, and Docker has none for it",
        };
        Failure::new(
            ExitStatus::Failed,
            format!("the registry `{}` {why}{}", self.name.registry, answer.said()),
        )
        .hint(format!("docker login {login}"))
        .into()
    }
}

impl Answer {
    /// What the registry says of itself why it does not, to be put behind a sentence.
    pub(crate) fn said(&self) -> String {
        let body: Option<Value> = serde_json::from_slice(&self.body).ok();
        let errors = body.as_ref().and_then(|body| body["errors"].as_array());
        let errors: Vec<String> = errors
            .into_iter()
            .flatten()
            .filter_map(|error| Some(format!("{} ({})", error["message"].as_str()?, error["code"].as_str()?)))
            .collect();
        if errors.is_empty() { String::new() } else { format!(": {}", errors.join("; ")) }
    }
}

/// Why there is no connection.
enum Trouble {
    /// The server's certificate is not valid, or not for it.
    Certificate,
    /// No server listens, or the server does not speak TLS.
    NoTls,
    Other,
}

/// Walks the causes; the source of an IO error skips the error that it carries.
fn trouble(error: &(dyn std::error::Error + 'static)) -> Trouble {
    use rustls::{Error, InvalidMessage};
    let mut at = Some(error);
    while let Some(error) = at {
        match error.downcast_ref::<Error>() {
            Some(Error::InvalidCertificate(_)) => return Trouble::Certificate,
            Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => return Trouble::NoTls,
            _ => {}
        }
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused) {
            return Trouble::NoTls;
        }
        at = match io.and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    Trouble::Other
}

fn basic(user: &str, password: &str) -> Result<HeaderValue> {
    secret(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

fn secret(text: String) -> Result<HeaderValue> {
    let mut value =
        HeaderValue::try_from(text).ok().context("the registry's token is not a valid header value")?;
    value.set_sensitive(true);
    Ok(value)
}
