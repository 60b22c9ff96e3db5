//! What `up` knows before its first change: what the cluster has, what it should have, and what differs.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use crate::targets::kubernetes::apply::changes::{Changes, ObjectChange};
use crate::targets::kubernetes::apply::deployed;
use crate::targets::kubernetes::apply::documents::is_service;
use crate::targets::kubernetes::apply::mounted;
use crate::targets::kubernetes::apply::release::Release;
use crate::targets::kubernetes::apply::secrets::Credentials;
use crate::targets::kubernetes::client::Object;
use crate::targets::kubernetes::observe::Inventory;
use crate::targets::kubernetes::scale::replicas::Handover;
use crate::targets::plan::Action;

/// What the cluster has, and what it should have.
pub(crate) struct Wanted {
    /// What the cluster has.
    pub(crate) inventory: Inventory,
    /// The secrets of the stack.
    pub(crate) credentials: Credentials,
    /// What the bundled image is called, when the stack has that.
    pub(crate) image: Option<String>,
    /// In the order of application.
    pub(crate) objects: Vec<Object>,
    /// The Deployment that runs names `NAME-app` itself, with the content that it should have.
    pub(crate) alike: bool,
    /// The release command, when the stack has one.
    pub(crate) release: Option<Release>,
}

/// All that is known before the first change.
pub(crate) struct Prepared {
    /// What is applied and removed.
    pub(crate) changes: Changes,
    /// Who sets the number of replicas from now on.
    pub(crate) handover: Handover,
    /// What the user should know before it begins.
    pub(crate) notes: Vec<String>,
    /// The network policy of the service changes while replicas run: until the old ones are gone, this one is added.
    pub(crate) beside: Option<Object>,
    /// What runs before the Deployment changes.
    pub(crate) release: Option<Release>,
}

impl Prepared {
    /// The Deployment of the service, as it will be sent.
    pub(crate) fn deployment(&self, name: &str) -> Result<&Object> {
        let mut objects = self.changes.changes.iter().map(|change| &change.object);
        objects.find(|object| is_service(object, name)).context("the stack has no Deployment")
    }

    /// Lets new pods of the service say who deploys them.
    pub(crate) fn mark(&mut self, name: &str, port: u16, message: Option<&str>) {
        let new = |change: &&mut ObjectChange| {
            is_service(&change.object, name)
                && matches!(change.action, Some(Action::Create | Action::Restart))
        };
        if let Some(change) = self.changes.changes.iter_mut().find(new) {
            deployed::mark(&mut change.object, port, message);
        }
    }

    /// The immutable Secret with the content of this digest.
    pub(crate) fn copy(&self, service: &str, digest: &str) -> Result<&Object> {
        let name = mounted::copy_name(service, digest);
        let mut objects = self.changes.changes.iter().map(|change| &change.object);
        objects
            .find(|object| object.kind.name() == "Secret" && object.name == name)
            .context("the service's Secret has a copy")
    }

    /// The names of the Secrets that are applied.
    pub(crate) fn secrets(&self) -> BTreeSet<String> {
        let objects = self.changes.changes.iter().map(|change| &change.object);
        objects.filter(|object| object.kind.name() == "Secret").map(|object| object.name.clone()).collect()
    }

    /// The stores, new or old.
    pub(crate) fn stores(&self) -> Vec<&Object> {
        let objects = self.changes.changes.iter().map(|change| &change.object);
        objects.filter(|object| object.kind.name() == "StatefulSet").collect()
    }

    /// The stores that are made beside a service that is there already.
    pub(crate) fn new_stores(&self, service: &str) -> Vec<&Object> {
        let changes = &self.changes.changes;
        let created = |change: &&ObjectChange| change.action == Some(Action::Create);
        if changes.iter().any(|change| is_service(&change.object, service) && created(&change)) {
            return Vec::new();
        }
        let sets = changes.iter().filter(created).map(|change| &change.object);
        sets.filter(|object| object.kind.name() == "StatefulSet").collect()
    }
}
