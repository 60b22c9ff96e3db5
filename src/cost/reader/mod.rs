//! YAML text -> [`Catalogue`], strictly: an unknown key, a missing one and a value that cannot be are all reported at
//! once, each with line, column and path. Pure.

mod fields;
mod item;

use serde_json::Value;

use crate::cost::catalogue::{Catalogue, Problem, Tier};
use crate::cost::reader::fields::{Reader, count, currency, text, whole, word};
use crate::stack::TargetKind;
use crate::stack::yaml::{self, Node};

const TIER: [&str; 12] = [
    "name",
    "title",
    "target",
    "users",
    "up_to",
    "measured_to",
    "why",
    "node",
    "min_nodes",
    "spare_nodes",
    "max_nodes",
    "items",
];
/// Reads a catalogue; `base` is what `extends: default` starts from.
pub fn read(text: &str, base: Option<&Catalogue>) -> Result<Catalogue, Vec<Problem>> {
    let root = yaml::parse(text).map_err(|error| {
        vec![Problem { line: error.line, column: error.column, path: String::new(), message: error.message }]
    })?;
    let mut reader = Reader { problems: Vec::new() };
    let catalogue = reader.catalogue(&root, base);
    match catalogue {
        Some(catalogue) if reader.problems.is_empty() => Ok(catalogue),
        _ => Err(reader.problems),
    }
}

impl Reader {
    fn catalogue(&mut self, root: &Node, base: Option<&Catalogue>) -> Option<Catalogue> {
        let known = ["version", "extends", "title", "currency", "tiers", "alternatives", "not_included"];
        if yaml::is_foreign(root, &known) {
            self.problem(root, "", &yaml::other_kind(&known));
            return None;
        }
        let fields = self.fields(root, String::new(), &known)?;
        if self.required(&fields, "version", whole)? != 1 {
            self.problem(fields.get("version").unwrap_or(root), "version", "the version of this format is 1");
        }
        let extends = self.optional(&fields, "extends", |value| word(value, &["default"]));
        let base = base.filter(|_| extends.is_some());
        let title = self.or_base(&fields, "title", text, base.map(|base| base.title.clone()));
        let currency = self.or_base(&fields, "currency", currency, base.map(|base| base.currency.clone()));
        let mut tiers = base.map(|base| base.tiers.clone()).unwrap_or_default();
        for (node, path) in self.list(&fields, "tiers") {
            self.tier(node, path, &mut tiers);
        }
        if tiers.is_empty() {
            self.problem(
                root,
                "tiers",
                "a catalogue has one tier or more; `extends: default` takes those of appforge",
            );
        }
        let mut alternatives = base.map(|base| base.alternatives.clone()).unwrap_or_default();
        for (node, path) in self.list(&fields, "alternatives") {
            alternatives.extend(self.alternative(node, path, &tiers));
        }
        let mut not_included = base.map(|base| base.not_included.clone()).unwrap_or_default();
        if fields.get("not_included").is_some() {
            not_included = self.texts(&fields, "not_included");
        }
        self.order(root, &tiers);
        Some(Catalogue { title: title?, currency: currency?, tiers, alternatives, not_included })
    }

    /// Tiers go from small to large, and only the last one has no upper bound.
    fn order(&mut self, root: &Node, tiers: &[Tier]) {
        for pair in tiers.windows(2) {
            let (small, large) = (&pair[0], &pair[1]);
            match (small.up_to, large.up_to) {
                (None, _) => {
                    let message =
                        format!("tier `{}` needs `up_to`, since `{}` follows", small.name, large.name);
                    self.problem(root, "tiers", &message);
                }
                (Some(low), Some(high)) if low >= high => {
                    let message = format!("tier `{}` must hold more users than `{}`", large.name, small.name);
                    self.problem(root, "tiers", &message);
                }
                _ => {}
            }
        }
        if let Some(last) = tiers.last().filter(|last| last.up_to.is_some() || last.max_nodes.is_some()) {
            let message = format!("tier `{}` is the last: it has neither `up_to` nor `max_nodes`", last.name);
            self.problem(root, "tiers", &message);
        }
    }

    /// Adds a tier, or changes the one of the same name.
    fn tier(&mut self, node: &Node, path: String, tiers: &mut Vec<Tier>) -> Option<()> {
        let fields = self.fields(node, path, &TIER)?;
        let name = self.required(&fields, "name", text)?;
        let known = tiers.iter().position(|tier| tier.name == name);
        let base = known.map(|at| tiers[at].clone());
        let base = base.as_ref();
        let target = |value: &Value| {
            Ok(match word(value, &["compose", "kubernetes"])?.as_str() {
                "compose" => TargetKind::Compose,
                _ => TargetKind::Kubernetes,
            })
        };
        let title = self.or_base(&fields, "title", text, base.map(|tier| tier.title.clone()));
        let target = self.or_base(&fields, "target", target, base.map(|tier| tier.target));
        let users = self.or_base(&fields, "users", count, base.map(|tier| tier.users));
        let why = self.or_base(&fields, "why", text, base.map(|tier| tier.why.clone()));
        let size = match fields.get("node") {
            Some(node) => self.node_size(node, fields.at("node")),
            None => self.or_base(&fields, "node", |_| Err(String::new()), base.map(|tier| tier.node)),
        };
        let min_nodes = self.or_base(&fields, "min_nodes", count, base.map(|tier| tier.min_nodes));
        let spare_nodes = self.or_base(&fields, "spare_nodes", count, base.map(|tier| tier.spare_nodes));
        let up_to = self.or_kept(&fields, "up_to", count, base.and_then(|tier| tier.up_to));
        let measured_to = self.or_kept(&fields, "measured_to", count, base.and_then(|tier| tier.measured_to));
        let max_nodes = self.or_kept(&fields, "max_nodes", count, base.and_then(|tier| tier.max_nodes));
        let mut items = base.map(|tier| tier.items.clone()).unwrap_or_default();
        let mut seen: Vec<String> = Vec::new();
        for (node, path) in self.list(&fields, "items") {
            let Some(item) = self.item(node, path.clone()) else { continue };
            if seen.contains(&item.id) {
                self.problem(node, &path, &format!("`{}` stands twice in this tier", item.id));
            }
            seen.push(item.id.clone());
            match items.iter_mut().find(|known| known.id == item.id) {
                Some(known) => *known = item,
                None => items.push(item),
            }
        }
        if items.is_empty() {
            self.problem(node, &fields.at("items"), "a tier has one item or more");
        }
        let tier = Tier {
            name,
            title: title?,
            target: target?,
            users: users?,
            up_to,
            measured_to,
            why: why?,
            node: size?,
            min_nodes: min_nodes?,
            spare_nodes: spare_nodes?,
            max_nodes,
            items,
        };
        match known {
            Some(at) => tiers[at] = tier,
            None => tiers.push(tier),
        }
        Some(())
    }
}
