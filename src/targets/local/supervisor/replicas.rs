//! Starts the replicas of the running stack: the bundled service, or a pair of an app and its front.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use appforge_service::contract::RedisHosts;
use appforge_service::redis::{self, Forward};
use tokio::net::TcpListener;

use crate::files;
use crate::secrets::Secrets;
use crate::stack::values::Secret;
use crate::stack::{StoreKind, uri};
use crate::targets::local::layout::APP_SECRETS;
use crate::targets::local::protocol::{App, Desired, Setting, Store};
use crate::targets::local::stores::REDIS_URL;
use crate::targets::local::supervisor::app::{self, AppProgram};
use crate::targets::local::supervisor::replica::{Form, Replica};
use crate::targets::local::supervisor::stack::{Running, down};
use crate::targets::local::supervisor::{recipes, sockets};

/// Where the supervisor forwards.
const HOST: &str = "127.0.0.1";

/// The URL by which an app reaches Redis, and what forwards to the master where `url` names sentinels. The supervisor forwards, so
/// that a port of the machine is bound before the app has its number.
fn forwarded(url: Secret) -> Result<(Secret, Option<Forward>)> {
    let hosts = RedisHosts::parse(url.reveal()).ok().flatten();
    // Port 0 only asks whether it can be.
    if hosts.as_ref().and_then(|hosts| hosts.forwarded(HOST, 0)).is_none() {
        return Ok((url, None));
    }
    let listener = sockets::any()?;
    let port = listener.local_addr()?.port();
    listener.set_nonblocking(true)?;
    let forward = redis::forward(url.reveal(), TcpListener::from_std(listener)?)?;
    let url = hosts.and_then(|hosts| hosts.forwarded(HOST, port)).map(Secret::new);
    Ok((url.context("sentinels can be forwarded to")?, Some(forward)))
}

impl Running {
    /// What each replica of `desired` is.
    pub(super) fn form(&self, desired: &Desired) -> Form {
        let (mongodb, redis) = (self.port(StoreKind::Mongodb), self.port(StoreKind::Redis));
        let environment = recipes::environment(self.layout.root(), desired, mongodb, redis);
        let mongodb = desired.app.as_ref().map(|_| match &desired.mongodb {
            Store::External { fingerprint, .. } => {
                Setting { value: fingerprint.clone(), path: "mongodb.uri".to_owned() }
            }
            _ => Setting { value: format!("{mongodb:?}"), path: "mongodb.mode".to_owned() },
        });
        Form { environment, app: desired.app.clone(), mongodb, surroundings: self.surroundings.clone() }
    }

    pub(super) fn start_replica(&self, number: u32, desired: &Desired, form: &Form) -> Result<Replica> {
        let public = self.public.as_ref().ok_or_else(down)?;
        let listener = Arc::new(sockets::any()?);
        let admin = listener.local_addr()?;
        let program =
            form.app.as_ref().map(|app| self.app_program(number, app, desired, form)).transpose()?;
        let upstream = program.as_ref().map(|(_, port)| *port);
        let recipe = recipes::replica(
            number,
            desired.replicas,
            &form.environment,
            &public.sockets,
            listener,
            upstream,
        )?;
        let folder = std::env::current_dir().context("cannot find the state folder")?;
        let process = self.keep(recipe);
        let app = program.map(|(program, port)| {
            let app = self.keep(recipes::app(number, Arc::new(program)));
            let link = self.pairs.link(app.view(), process.view(), admin, port);
            (app, link)
        });
        Ok(Replica { process, app, admin, form: form.clone(), folder })
    }

    /// The app of a replica, and the port of its first start.
    pub(super) fn app_program(
        &self,
        number: u32,
        app: &App,
        desired: &Desired,
        form: &Form,
    ) -> Result<(AppProgram, u16)> {
        let secrets = Secrets::of(self.layout.root());
        // With the stack, since another one may use the same server.
        let name = format!("{}-service-{number}", desired.name);
        let mongodb = self.address(StoreKind::Mongodb, desired)?;
        let mongodb = uri::for_app(mongodb.reveal(), &app.database, &app.pool, &name).uri;
        let (mongodb, redis) = (Secret::new(mongodb), self.address(StoreKind::Redis, desired)?);
        let (redis, forward) = forwarded(redis)?;
        let here = std::env::current_dir().context("cannot find the state folder")?;
        let [mongodb_file, redis_file] = app::FILES;
        let files = [
            (mongodb_file, here.join(secrets.keep(&format!("{APP_SECRETS}{number}-mongodb-uri"), &mongodb)?)),
            (redis_file, here.join(secrets.keep(&format!("{APP_SECRETS}{number}-redis-url"), &redis)?)),
        ];
        let surroundings = form.surroundings.clone();
        let program = AppProgram {
            app: app.clone(),
            surroundings,
            mongodb,
            redis,
            _forward: forward,
            files,
            first: Mutex::default(),
        };
        let port = program.port()?;
        *program.first.lock().unwrap_or_else(PoisonError::into_inner) = Some(port);
        Ok((program, port))
    }

    /// Where a store is, with its credentials.
    fn address(&self, kind: StoreKind, desired: &Desired) -> Result<Secret> {
        let secrets = Secrets::of(self.layout.root());
        let kept = match (desired.store(kind), kind) {
            (Store::External { uri, .. }, _) => {
                let text = files::read_private(uri)?;
                Some(Secret::new(text.context("the address of a store was removed")?.trim_end()))
            }
            (
                Store::Found { password: Some(_), .. } | Store::Container { password: Some(_), .. },
                StoreKind::Redis,
            ) => secrets.get(REDIS_URL)?,
            _ => None,
        };
        let port = self.port(kind);
        kept.or_else(|| Some(Secret::new(format!("{}://127.0.0.1:{}/", kind.as_str(), port?))))
            .with_context(|| format!("{} does not run", kind.as_str()))
    }
}
