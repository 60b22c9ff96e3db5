//! What containers are given that no document contains: variables that may hold a password, the files of HTTPS. Compose reads the
//! variables from files among the secrets, so that a changed value replaces the containers that have it.

use std::path::PathBuf;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::error::{ExitStatus, Failure};
use crate::files;
use crate::render::context::compose::{
    APP_PASSWORD, APP_USER, APP_VARIABLES, GATEWAY_VARIABLES, TLS_CERT, TLS_KEY, receivers,
};
use crate::stack::StoreKind;
use crate::stack::app::variables;
use crate::stack::template::Reference;
use crate::stack::uri::for_app;
use crate::stack::validate::variable_of;
use crate::stack::values::Secret;
use crate::targets::compose::apply::credentials::{Credentials, Store, mongodb_uri, redis_url};
use crate::targets::compose::session::Compose;
use crate::targets::env_file;
use crate::trust;

/// The variable that changes with the files that a container reads once, as it starts.
const FILES_DIGEST: &str = "FILES_DIGEST";

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
        for receiver in receivers(&self.stack) {
            let secret = self.stack.alerts.secret(receiver);
            // Without one, that of an earlier `up` stays.
            files.extend(secret.map(|secret| (receiver.file(), Secret::new(secret.reveal().trim()))));
        }
        if let Some(tls) = &self.stack.compose.tls {
            let pair = [
                (TLS_CERT, Secret::new(self.text_of("compose.tls.cert", &tls.cert)?)),
                (TLS_KEY, Secret::new(self.text_of("compose.tls.key", &tls.key)?)),
            ];
            all.push((GATEWAY_VARIABLES, vec![digest(&pair)]));
            files.extend(pair);
        }
        Ok(Unrendered { variables: all, files })
    }

    /// Every receiver of alerts has its secret: in the stack file, in a variable, or from an earlier `up`.
    ///
    /// # Errors
    /// Exit 3 with the variable of each that is missing.
    pub(crate) fn require_receivers(&self) -> Result<()> {
        let mut missing = Vec::new();
        for receiver in receivers(&self.stack) {
            let given = self.stack.alerts.secret(receiver).is_some();
            if !given && self.secrets().get(receiver.file())?.is_none() {
                let path = receiver.path();
                missing.push(format!("{path}: is missing; set {} in the environment", variable_of(path)));
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(Failure::new(ExitStatus::Config, missing.join("\n")).into())
    }

    /// The addresses of the stores as the app gets them.
    fn app_addresses(&self, credentials: &Credentials) -> (Secret, Secret) {
        let mongodb = match &credentials.app_mongodb {
            Store::Managed(password) => {
                mongodb_uri("mongodb:27017", APP_USER, password, "&directConnection=true")
            }
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

    /// The text of a file that the stack file names.
    pub(crate) fn text_of(&self, path: &'static str, name: &str) -> Result<String> {
        let file = self.project_folder.join(name);
        let text = trust::read(&file).with_context(|| format!("{path}: cannot read `{name}`"))?;
        text.ok_or_else(|| {
            let folder = self.project_folder.display();
            Failure::new(ExitStatus::Config, format!("{path}: no file `{name}` in `{folder}`")).into()
        })
    }

    /// Writes what containers are given. Compose itself reads the variables, so they stay the owner's alone.
    pub(super) fn write_unrendered(&self, unrendered: &Unrendered) -> Result<()> {
        let Unrendered { variables, files } = unrendered;
        for (name, secret) in files {
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
        Ok(Self {
            probe: Secret::new(""),
            mongodb: compose.store(StoreKind::Mongodb, || known(super::credentials::MONGODB))?,
            app_mongodb: compose.store(StoreKind::Mongodb, || known(APP_PASSWORD))?,
            redis: compose.store(StoreKind::Redis, || known(super::credentials::REDIS))?,
        })
    }
}

fn digest(files: &[(&'static str, Secret)]) -> (String, String) {
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
