//! Stack -> the documents of the Kubernetes target. Pure.
//!
//! One object a file. Secrets are referred to, never written: the target makes them, and the kustomization says how to make
//! them by hand. Every decision is taken here and explained in `docs/kubernetes.md`.

mod app;
pub mod names;
mod network;
pub(crate) mod object;
mod route;
mod service;
mod stores;

pub(crate) use app::{MARGIN, arguments};

use anyhow::Result;
use serde::Serialize;

use crate::document::refused;
use crate::error::{ExitStatus, Failure};
use crate::render::context::kubernetes::object::{Component, Labels, Object};
use crate::render::context::stores::runs_here;
use crate::render::engine::{Dialect, Engine};
use crate::render::templates::KUSTOMIZATION;
use crate::render::{Draft, Overrides};
use crate::stack::Stack;
use crate::stack::kubernetes::{CpuLimit, PriorityClass, SERVICE_NAME, is_service_name};
use crate::stack::validate::monitoring::ONLY_COMPOSE;
use crate::stack::values::MilliCpu;

/// The CPU that a container without a word in the stack file may use.
const ROOM: MilliCpu = MilliCpu(2000);

/// Documents as they are made: the template of a kind, filled for one object.
struct Drafts<'a> {
    engine: &'a Engine,
    drafts: Vec<Draft>,
}

impl Drafts<'_> {
    fn add<C: Serialize>(&mut self, path: &str, template: &str, context: &C) -> Result<()> {
        let text = self.engine.fill(template, context)?;
        self.drafts.push(Draft { path: path.to_owned(), text });
        Ok(())
    }
}

/// What every part of the stack knows.
struct Settings<'a> {
    stack: &'a Stack,
    overrides: &'a Overrides,
    mongodb: bool,
    redis: bool,
}

#[derive(Serialize)]
struct PlainObject {
    object: Object,
}

#[derive(Serialize)]
struct Kustomization<'a> {
    namespace: String,
    stack: String,
    documents: Vec<&'a str>,
    secrets: Vec<RequiredSecret>,
}

/// A Secret that must be there.
#[derive(Serialize)]
struct RequiredSecret {
    name: String,
    keys: Vec<&'static str>,
    /// Its keys are variables of a file.
    env_file: Option<String>,
}

/// Fills the templates.
pub fn drafts(stack: &Stack, overrides: &Overrides) -> Result<Vec<Draft>> {
    // `render --target all` comes here with a stack that is valid for its own target.
    if !is_service_name(&stack.name) {
        let message = format!("name: {}", refused(SERVICE_NAME, stack.name.as_str()));
        return Err(Failure::new(ExitStatus::Config, message)
            .hint("choose another `name`, or render for the one target: `--target compose`")
            .into());
    }
    if stack.monitoring.enabled {
        let message = format!("monitoring.enabled: {ONLY_COMPOSE}");
        return Err(Failure::new(ExitStatus::Config, message)
            .hint("switch it off, or render for the one target: `--target compose`")
            .into());
    }
    let settings = Settings {
        stack,
        overrides,
        mongodb: runs_here("mongodb.mode", stack.mongodb.mode)?,
        redis: runs_here("redis.mode", stack.redis.mode)?,
    };
    let engine = Engine::new("kubernetes", Dialect::Yaml, &overrides.templates)?;
    let mut drafts = Drafts { engine: &engine, drafts: Vec::new() };
    let whole = Labels::of(stack, Component::Stack);
    let namespace = stack.kubernetes.namespace.to_string();
    if !names::is_of_cluster(&namespace) {
        drafts.add("namespace.yaml", "namespace.yaml", &PlainObject { object: whole.object(&namespace) })?;
    }
    if stack.kubernetes.priority_class == PriorityClass::Auto {
        let mut object = whole.object(&names::priority_class(stack));
        object.labels.push(object::pair(names::NAMESPACE_LABEL, &namespace));
        drafts.add("priorityclass.yaml", "priorityclass.yaml", &PlainObject { object })?;
    }
    service::add(&mut drafts, &settings)?;
    stores::add(&mut drafts, &settings)?;
    network::add(&mut drafts, &settings)?;
    route::add(&mut drafts, stack)?;
    let kustomization = Kustomization {
        namespace,
        stack: stack.name.to_string(),
        documents: drafts.drafts.iter().map(|draft| draft.path.as_str()).collect(),
        secrets: settings.secrets(),
    };
    let text = engine.fill(KUSTOMIZATION, &kustomization)?;
    drafts.drafts.push(Draft { path: KUSTOMIZATION.to_owned(), text });
    Ok(drafts.drafts)
}

impl Settings<'_> {
    fn secrets(&self) -> Vec<RequiredSecret> {
        let mut service = vec![names::PROBE_SECRET, names::MONGODB_URI, names::REDIS_URL];
        service.extend(names::forwards_redis(self.stack).then_some(names::APP_REDIS_URL));
        let secret = |name, keys| RequiredSecret { name, keys, env_file: None };
        let mut secrets = vec![secret(names::service(self.stack), service)];
        if let Some(file) = &self.stack.service.env_file {
            let file = Some(file.clone());
            secrets
                .push(RequiredSecret { env_file: file, ..secret(names::env_file(self.stack), Vec::new()) });
        }
        if self.mongodb {
            let mut keys = vec![names::ROOT_PASSWORD, names::KEYFILE];
            keys.extend(self.stack.service.is_own().then_some(names::APP_PASSWORD));
            secrets.push(secret(names::mongodb(self.stack), keys));
        }
        if self.redis {
            secrets.push(secret(names::redis(self.stack), vec![names::PASSWORD]));
        }
        secrets
    }

    /// The limit of a container that asks for `request`. A replica runs on one thread, so `auto` never stops it: a share of a
    /// CPU would, for longer than it waits for Redis, and Kubernetes cannot shorten the period of that share.
    fn cpu_limit(&self, request: MilliCpu) -> Option<String> {
        match self.stack.kubernetes.cpu_limit {
            CpuLimit::None => None,
            CpuLimit::Auto => Some(ROOM.max(MilliCpu(request.0.saturating_mul(2))).to_string()),
            CpuLimit::Cpu(limit) => Some(limit.max(request).to_string()),
        }
    }

    fn priority_class(&self) -> Option<String> {
        match &self.stack.kubernetes.priority_class {
            PriorityClass::None => None,
            PriorityClass::Auto => Some(names::priority_class(self.stack)),
            PriorityClass::Named(name) => Some(name.clone()),
        }
    }
}
