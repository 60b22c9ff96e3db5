//! What containers are given that no document contains: variables that may hold a password, the files of HTTPS, networks of
//! trusted proxies that a file lists. Compose reads the variables from files among the secrets, so that a changed value
//! replaces the containers that have it.

use std::path::PathBuf;

use anyhow::{Context, Result};
use appforge_service::identity::networks;
use sha2::{Digest, Sha256};

use crate::error::{ExitStatus, Failure};
use crate::files;
use crate::render::context::compose::{
    APP_VARIABLES, COUNTER_VARIABLES, GATEWAY_VARIABLES, PROXIES, TLS_CERT, TLS_KEY,
};
use crate::stack::StoreKind;
use crate::stack::app::variables;
use crate::stack::template::Reference;
use crate::stack::uri::for_app;
use crate::stack::values::Secret;
use crate::targets::compose::apply::credentials::{Credentials, Store, mongodb_uri, redis_url};
use crate::targets::compose::session::Compose;
use crate::targets::env_file;
use crate::trust;

/// The variable that changes with the files that a container reads once, as it starts.
const FILES_DIGEST: &str = "FILES_DIGEST";

/// What an entry of trusted proxies begins with that is a file.
const FILE: &str = "file:";

/// What is written for the containers, and never into a document.
pub(crate) struct Unrendered {
    /// The files of variables, by name.
    pub(crate) variables: Vec<(&'static str, Vec<(String, String)>)>,
    /// Other files, by name.
    pub(crate) files: Vec<(&'static str, Secret)>,
}

impl Unrendered {
    /// The variables of the file that a document calls `path`.
    pub(crate) fn of(&self, path: &str) -> Option<&[(String, String)]> {
        let name = path.rsplit('/').next()?;
        let found = self.variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, variables)| variables.as_slice())
    }
}

impl Compose {
    /// What the containers of this stack are given.
    ///
    /// # Errors
    /// Exit 3 when a file that the stack file names is missing or cannot be read.
    pub(crate) fn unrendered(&self, credentials: &Credentials) -> Result<Unrendered> {
        let (mut all, mut files) = (Vec::new(), Vec::new());
        if self.stack.service.is_own() {
            let (mongodb, redis) = self.app_addresses(credentials);
            all.push((APP_VARIABLES, self.app_variables(&mongodb, &redis)?));
            files.extend([("app_mongodb_uri", mongodb), ("app_redis_url", redis)]);
        }
        let mut read_once = Vec::new();
        if let Some(tls) = &self.stack.compose.tls {
            read_once.push((TLS_CERT, Secret::new(self.named("compose.tls.cert", &tls.cert)?)));
            read_once.push((TLS_KEY, Secret::new(self.named("compose.tls.key", &tls.key)?)));
        }
        if let Some(networks) = self.proxies()? {
            read_once.push((PROXIES, Secret::new(networks)));
            all.push((
                COUNTER_VARIABLES,
                vec![digest(read_once.iter().filter(|(name, _)| *name == PROXIES))],
            ));
        }
        if !read_once.is_empty() {
            all.push((GATEWAY_VARIABLES, vec![digest(read_once.iter())]));
        }
        files.extend(read_once);
        Ok(Unrendered { variables: all, files })
    }

    /// The addresses of the stores as the app gets them.
    fn app_addresses(&self, credentials: &Credentials) -> (Secret, Secret) {
        let mongodb = match &credentials.mongodb {
            Store::Managed(password) => mongodb_uri("mongodb:27017", password, "&directConnection=true"),
            Store::External(uri) => uri.clone(),
        };
        let store = &self.stack.mongodb;
        let uri = for_app(mongodb.reveal(), &store.database, &store.pool, self.project()).uri;
        let redis = match &credentials.redis {
            Store::Managed(password) => redis_url("redis:6379", password),
            Store::External(url) => url.clone(),
        };
        (Secret::new(uri), redis)
    }

    /// The file's own variables first: what the stack file says wins.
    fn app_variables(&self, mongodb: &Secret, redis: &Secret) -> Result<Vec<(String, String)>> {
        let service = &self.stack.service;
        let mut all: Vec<(String, String)> = Vec::new();
        if let Some(name) = &service.env_file {
            all = env_file::read(name, &self.project_folder)?;
        }
        let port = self.stack.app_port().to_string();
        let value = |reference| match reference {
            Reference::Port => port.clone(),
            Reference::MongodbUri => mongodb.reveal().to_owned(),
            Reference::RedisUrl => redis.reveal().to_owned(),
        };
        for variable in variables(&self.stack, "") {
            all.retain(|(name, _)| *name != variable.name);
            if variable.value.is_secret() {
                all.push((variable.name, variable.value.fill(value)));
            }
        }
        Ok(all)
    }

    /// The networks of the trusted proxies that files list, one a line.
    fn proxies(&self) -> Result<Option<String>> {
        let path = "rate_limit.trusted_proxies";
        let files: Vec<&str> = self
            .stack
            .rate_limit
            .trusted_proxies
            .iter()
            .filter_map(|entry| entry.strip_prefix(FILE))
            .collect();
        let mut text = String::new();
        for name in &files {
            let listed = self.named(path, name)?;
            let networks = networks(&format!("{FILE}{name}"), &|_| Ok(listed.clone()));
            let networks =
                networks.map_err(|error| Failure::new(ExitStatus::Config, format!("{path}: {error}")))?;
            networks.iter().for_each(|network| text.push_str(&format!("{network}\n")));
        }
        Ok((!files.is_empty()).then_some(text))
    }

    /// The text of a file that the stack file names.
    fn named(&self, path: &'static str, name: &str) -> Result<String> {
        let file = self.project_folder.join(name);
        let text = trust::read(&file).with_context(|| format!("{path}: cannot read `{name}`"))?;
        text.ok_or_else(|| {
            let folder = self.project_folder.display();
            Failure::new(ExitStatus::Config, format!("{path}: no file `{name}` in `{folder}`")).into()
        })
    }

    /// Writes what containers are given. Compose itself reads the variables, so they stay the owner's alone.
    pub(crate) fn write_unrendered(&self, credentials: &Credentials) -> Result<()> {
        let Unrendered { variables, files } = self.unrendered(credentials)?;
        for (name, secret) in &files {
            self.keep(name, secret)?;
        }
        for (name, variables) in variables {
            let text: String =
                variables.iter().map(|(name, value)| format!("{name}={}\n", quoted(value))).collect();
            let path: PathBuf = self.secrets().path(name);
            if files::read_private(&path)?.as_deref() != Some(&text) {
                files::write_private(&path, text.as_bytes(), 0o600)?;
            }
        }
        Ok(())
    }
}

impl Credentials {
    /// Those that are there, without making what is missing: enough to see what would change.
    pub(crate) fn of(compose: &Compose) -> Result<Self> {
        let secrets = compose.secrets();
        let known = |name| anyhow::Ok(secrets.get(name)?.unwrap_or_else(|| Secret::new("")));
        let store = |kind, name| match compose.stack.external_text(kind) {
            Some(uri) => anyhow::Ok(Store::External(uri.clone())),
            None => Ok(Store::Managed(known(name)?)),
        };
        Ok(Self {
            probe: Secret::new(""),
            mongodb: store(StoreKind::Mongodb, super::credentials::MONGODB)?,
            redis: store(StoreKind::Redis, super::credentials::REDIS)?,
        })
    }
}

fn digest<'f>(files: impl Iterator<Item = &'f (&'static str, Secret)>) -> (String, String) {
    let mut digest = Sha256::new();
    for (name, secret) in files {
        digest.update(format!("{name}\0{}\0", secret.reveal()));
    }
    (FILES_DIGEST.to_owned(), hex::encode(&digest.finalize()[..8]))
}

/// A value as Compose reads it from a file of variables: bare within single quotes, where that cannot be within double quotes.
fn quoted(value: &str) -> String {
    if !value.contains(['\'', '\\', '\r']) {
        return format!("'{value}'");
    }
    let escaped = value.chars().fold(String::new(), |mut text, c| {
        match c {
            '\\' | '"' | '$' => text.extend(['\\', c]),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            c => text.push(c),
        }
        text
    });
    format!("\"{escaped}\"")
}
