//! The secret files that the compose file mounts: made once, never shown, never in a document.
//!
//! Compose mounts a secret with the mode of its file, and the processes inside are other users; so the files are readable
//! and the folder around them can be entered by its owner alone.

use std::path::PathBuf;

use anyhow::Result;
use sha2::{Digest, Sha256};

use crate::error::{ExitStatus, Failure};
use crate::files;
use crate::render::context::compose::{
    APP_PASSWORD, APP_VARIABLES, GRAFANA_PASSWORD, STORE_USER, components,
};
use crate::secrets::Secrets;
use crate::stack::alerts::Receiver;
use crate::stack::values::Secret;
use crate::stack::{ComponentKind, StoreKind};
use crate::targets::compose::observe::Engine;
use crate::targets::compose::session::Compose;

pub(super) const MONGODB: &str = "mongodb_password";
pub(super) const REDIS: &str = "redis_password";
/// With it the members of a replica set of MongoDB know each other; there is one.
const KEYFILE: &str = "mongodb_keyfile";
const PROBE: &str = "probe_secret";

/// What the stack is reached with.
pub(crate) struct Credentials {
    /// Signs probes.
    pub(crate) probe: Secret,
    /// The password of the managed MongoDB, or the URI of the external one.
    pub(crate) mongodb: Store,
    /// The password of the app's user in the managed MongoDB, or the same URI.
    pub(crate) app_mongodb: Store,
    /// The password of the managed Redis, or the URL of the external one.
    pub(crate) redis: Store,
}

/// How a store is reached.
pub(crate) enum Store {
    /// Ours, with this password.
    Managed(Secret),
    /// Somebody else's, by this URI.
    External(Secret),
}

impl Compose {
    pub(crate) fn secrets(&self) -> Secrets {
        Secrets::of(&self.folder)
    }

    fn secret_file(&self, name: &str) -> PathBuf {
        self.secrets().path(name)
    }

    /// Makes what is missing and writes what the containers mount.
    ///
    /// # Errors
    /// When the password of a store that has data is gone; the way without the data is named only if that is `own` data.
    pub(crate) async fn write_credentials(&self, engine: &Engine, own: bool) -> Result<()> {
        self.refuse_lost_password(engine, own).await?;
        files::make_private_folder(&self.folder.join("secrets"))?;
        let credentials = self.credentials()?;
        let mongodb = match &credentials.mongodb {
            Store::Managed(password) => mongodb_uri("mongodb:27017", STORE_USER, password, ""),
            Store::External(uri) => uri.clone(),
        };
        let redis = match &credentials.redis {
            Store::Managed(password) => {
                let acl = format!(
                    "user default on nopass -@all +ping +info\nuser {STORE_USER} on #{} ~* &* +@all\n",
                    hex::encode(Sha256::digest(password.reveal()))
                );
                self.keep("redis_acl", &Secret::new(acl))?;
                redis_url("redis:6379", password)
            }
            Store::External(url) => url.clone(),
        };
        if self.stack.external(StoreKind::Mongodb).is_none() {
            self.secrets().get_or_make(KEYFILE)?;
            self.open_to_containers(KEYFILE)?;
        }
        self.keep("mongodb_uri", &mongodb)?;
        self.keep("redis_url", &redis)?;
        if components(&self.stack).contains(&ComponentKind::Grafana) {
            self.secrets().get_or_make(GRAFANA_PASSWORD)?;
            self.open_to_containers(GRAFANA_PASSWORD)?;
        }
        for name in [MONGODB, APP_PASSWORD, PROBE] {
            self.open_to_containers(name)?;
        }
        Ok(())
    }

    /// The external store of the stack file, else the managed one with this password.
    pub(super) fn store(&self, kind: StoreKind, password: impl FnOnce() -> Result<Secret>) -> Result<Store> {
        Ok(match self.stack.external_text(kind) {
            Some(address) => Store::External(address.clone()),
            None => Store::Managed(password()?),
        })
    }

    /// The secrets; those that are missing are made.
    pub(crate) fn credentials(&self) -> Result<Credentials> {
        let secrets = self.secrets();
        Ok(Credentials {
            probe: secrets.get_or_make(PROBE)?,
            mongodb: self.store(StoreKind::Mongodb, || secrets.get_or_make(MONGODB))?,
            app_mongodb: self.store(StoreKind::Mongodb, || {
                if self.stack.service.is_own() {
                    secrets.get_or_make(APP_PASSWORD)
                } else {
                    Ok(Secret::new(""))
                }
            })?,
            redis: self.store(StoreKind::Redis, || secrets.get_or_make(REDIS))?,
        })
    }

    /// The password of a store goes with its data.
    pub(crate) fn forget_store_credentials(&self) -> Result<()> {
        let addresses = [
            KEYFILE,
            "mongodb_uri",
            "redis_url",
            "redis_acl",
            "app_mongodb_uri",
            "app_redis_url",
            APP_VARIABLES,
            GRAFANA_PASSWORD,
        ];
        let receivers = Receiver::ALL.map(Receiver::file);
        for name in [MONGODB, APP_PASSWORD, REDIS].into_iter().chain(addresses).chain(receivers) {
            files::remove_private(&self.secret_file(name))?;
        }
        Ok(())
    }

    /// MongoDB takes its password once, when its data is made. A new one would lock everybody out.
    async fn refuse_lost_password(&self, engine: &Engine, own: bool) -> Result<()> {
        let managed = self.stack.external(StoreKind::Mongodb).is_none();
        let volume = format!("{}_mongodb-data", self.project());
        if !managed || self.secrets().get(MONGODB)?.is_some() {
            return Ok(());
        }
        if engine.volumes(self.project()).await?.contains(&volume) {
            let path = self.secret_file(MONGODB);
            let failure = Failure::new(
                ExitStatus::Failed,
                format!("the volume `{volume}` exists, but `{}` with its password does not", path.display()),
            );
            return Err(if own {
                failure.hint("restore the file, or remove the data: appforge down --volumes")
            } else {
                failure
                    .hint("the data may belong to another project: copy the file from the folder that created it")
                    .hint("or give this stack another `name`")
            }
            .into());
        }
        Ok(())
    }

    /// Writes in place: a running container has the file itself mounted, not its name.
    pub(super) fn keep(&self, name: &str, secret: &Secret) -> Result<()> {
        let path = self.secret_file(name);
        match files::read_private(&path)? {
            Some(old) if old == secret.reveal() => {}
            Some(_) => files::overwrite_private(&path, secret.reveal().as_bytes(), 0o600)?,
            None => files::write_private(&path, secret.reveal().as_bytes(), 0o600)?,
        }
        self.open_to_containers(name)
    }

    fn open_to_containers(&self, name: &str) -> Result<()> {
        let path = self.secret_file(name);
        match files::set_private_mode(&path, 0o444) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(files::failure(&path, error, "cannot make readable for the containers"))
            }
            _ => Ok(()),
        }
    }
}

/// The URI of the managed MongoDB at `address` for one of its users; `more` are further options.
pub(crate) fn mongodb_uri(address: &str, user: &str, password: &Secret, more: &str) -> Secret {
    Secret::new(format!("mongodb://{user}:{}@{address}/?authSource=admin{more}", password.reveal()))
}

/// The URL of the managed Redis at `address`.
pub(crate) fn redis_url(address: &str, password: &Secret) -> Secret {
    Secret::new(format!("redis://{STORE_USER}:{}@{address}", password.reveal()))
}
