//! What differs between the running stack and what it should be, and why. Changes nothing.

use std::collections::BTreeMap;
use std::path::Path;

use crate::stack::StoreKind;
use crate::targets::local::protocol::{Desired, Store};
use crate::targets::local::supervisor::replica::{Form, Replica};
use crate::targets::local::supervisor::stack::{Running, RunningStore};
use crate::targets::local::supervisor::{recipes, sockets};
use crate::targets::plan::{Action, Plan};

impl Running {
    /// What [`Running::apply`] would do.
    pub(crate) fn plan(&self, desired: &Desired) -> Plan {
        let mut plan = Plan::default();
        for kind in StoreKind::ALL {
            let (name, store) = (kind.as_str(), desired.store(kind));
            let Some(running) = self.stores.get(&kind) else {
                plan.push(Action::Create, name, vec![store.described()]);
                continue;
            };
            let causes = running.differences(name, store, &self.layout.data().join(name));
            if !causes.is_empty() {
                plan.push(Action::Restart, name, causes);
            }
        }
        let form = self.form(desired);
        let published = self.public.as_ref().map(|public| (public.address, public.port));
        for number in 1..=desired.replicas {
            let name = format!("service-{number}");
            let Some(replica) = self.replicas.get(&number) else {
                plan.push(Action::Create, name, Vec::new());
                continue;
            };
            let mut causes = replica.differences(&form);
            if let Some((address, port)) = published {
                if port != desired.port {
                    causes.push(format!("service.port: {port} -> {}", desired.port));
                }
                if address != desired.address {
                    let (before, after) = (sockets::described(address), sockets::described(desired.address));
                    causes.push(format!("service.address: {before} -> {after}"));
                }
            }
            if !causes.is_empty() {
                plan.push(Action::Restart, name, causes);
            }
        }
        for number in self.replicas.keys().filter(|number| **number > desired.replicas).rev() {
            plan.push(Action::Remove, format!("service-{number}"), Vec::new());
        }
        plan
    }
}

impl RunningStore {
    /// Why it is not `desired` with the data at `path`.
    pub(super) fn differences(&self, name: &str, desired: &Store, path: &Path) -> Vec<String> {
        let mut causes =
            if self.store == *desired { Vec::new() } else { store_differences(name, &self.store, desired) };
        causes.extend(self.data.as_ref().and_then(|data| data.change(path)));
        causes
    }
}

impl Replica {
    /// Why it is not a replica of this form, in the folder where the project is now.
    pub(super) fn differences(&self, form: &Form) -> Vec<String> {
        let mut causes = recipes::differences(&self.form.settings(), &form.settings());
        if let Ok(now) = std::env::current_dir()
            && now != self.folder
        {
            causes.push(format!("folder: {} -> {}", self.folder.display(), now.display()));
        }
        causes
    }
}

fn store_differences(name: &str, old: &Store, new: &Store) -> Vec<String> {
    let settings = |store: &Store| match store {
        Store::Found { settings, .. } | Store::Container { settings, .. } | Store::Embedded { settings } => {
            settings.clone()
        }
        Store::External { .. } => BTreeMap::new(),
    };
    let (before, after) = (settings(old), settings(new));
    let mut causes: Vec<String> = after
        .iter()
        .filter(|(path, value)| before.get(*path).is_some_and(|old| old != *value))
        .map(|(path, value)| format!("{path}: {} -> {value}", before[path]))
        .collect();
    if old.described() != new.described() {
        causes.push(format!("{name}.mode: {} -> {}", old.described(), new.described()));
    } else if causes.is_empty() {
        let what = if old.is_external() { "address" } else { "password" };
        causes.push(format!("{name}: its {what} changed"));
    }
    causes
}
