//! YAML text -> [`Catalogue`], strictly. Pure.

mod fields;
mod item;

use crate::cost::catalogue::{Catalogue, Tier};
use jiff::civil::Date;

use crate::cost::reader::fields::{count, currency};
use crate::cost::reader::item::{alternative, item, node_size};
use crate::document::{Field, Mapping, Problem, Reader};
use crate::stack::TargetKind;

const ROOT: [&str; 7] = ["version", "extends", "title", "currency", "tiers", "alternatives", "not_included"];
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
const TARGET: [(&str, TargetKind); 2] =
    [("compose", TargetKind::Compose), ("kubernetes", TargetKind::Kubernetes)];

/// The text of the default catalogue.
const DEFAULT: &str = include_str!("../catalogue.yaml");

impl Catalogue {
    /// The embedded catalogue.
    pub fn builtin() -> Self {
        read("catalogue.yaml", DEFAULT, None, Date::MAX)
            .unwrap_or_else(|_| unreachable!("a test reads the embedded catalogue"))
    }

    /// Reads a catalogue of the user's own; with `extends: default` it changes the embedded one. Prices are of days up to
    /// `latest`.
    ///
    /// # Errors
    /// All problems at once.
    pub(crate) fn parse(file: &str, text: &str, latest: Date) -> Result<Self, Vec<Problem>> {
        read(file, text, Some(&Self::builtin()), latest)
    }
}

/// Reads a catalogue called `file` in messages; `base` is what `extends: default` starts from.
///
/// # Errors
/// All problems at once.
fn read(file: &str, text: &str, base: Option<&Catalogue>, latest: Date) -> Result<Catalogue, Vec<Problem>> {
    let mut reader = Reader::new(file);
    let root = reader.root(text, &ROOT);
    let read = root.and_then(|root| catalogue(&mut reader, &Field::root(&root), base, latest));
    reader.finish(read)
}

fn catalogue(
    reader: &mut Reader,
    root: &Field<'_>,
    base: Option<&Catalogue>,
    latest: Date,
) -> Option<Catalogue> {
    let keys = reader.mapping(root, &ROOT)?;
    reader.required(&keys, "version", |field| match field.whole(0..=u64::MAX)? {
        1 => Ok(()),
        other => Err(format!("must be 1, got {other}")),
    });
    let extends = reader.optional(&keys, "extends", |field| field.word(&[("default", ())]));
    let base = base.filter(|_| extends.is_some());
    let title = or_base(reader, &keys, "title", Field::text, base.map(|base| base.title.clone()));
    // Prices are not converted: those of the base are what it says.
    let currency = |field: &Field<'_>| match (currency(field)?, base) {
        (own, Some(base)) if own != base.currency => Err(format!(
            "must be {}, the currency of the prices that `extends: default` takes over, got {}",
            base.currency.0, own.0
        )),
        (own, _) => Ok(own),
    };
    let currency = or_base(reader, &keys, "currency", currency, base.map(|base| base.currency.clone()));
    let mut tiers = base.map(|base| base.tiers.clone()).unwrap_or_default();
    for field in reader.items(&keys, "tiers") {
        tier(reader, &field, &mut tiers, latest);
    }
    let mut alternatives = base.map(|base| base.alternatives.clone()).unwrap_or_default();
    for field in reader.items(&keys, "alternatives") {
        alternatives.extend(alternative(reader, &field, &tiers, latest));
    }
    let mut not_included = base.map(|base| base.not_included.clone()).unwrap_or_default();
    if keys.get("not_included").is_some() {
        let items = reader.items(&keys, "not_included");
        not_included = items.iter().filter_map(|field| reader.take(field, field.text())).collect();
    }
    let mut about_tiers = |message: String| reader.at(root.node.place, "tiers", message);
    if tiers.is_empty() {
        about_tiers("at least one is required; `extends: default` uses the embedded ones".to_owned());
    }
    order(&tiers, &mut about_tiers);
    Some(Catalogue { title: title?, currency: currency?, tiers, alternatives, not_included })
}

/// Tiers go from small to large, and only the last one has no upper bound.
fn order(tiers: &[Tier], problem: &mut impl FnMut(String)) {
    for pair in tiers.windows(2) {
        let (small, large) = (&pair[0], &pair[1]);
        match (small.up_to, large.up_to) {
            (None, _) => {
                problem(format!("`{}` requires `up_to`, since `{}` follows", small.name, large.name));
            }
            (Some(low), Some(high)) if low >= high => {
                problem(format!("`up_to` of `{}` must be above that of `{}`", large.name, small.name));
            }
            _ => {}
        }
    }
    if let Some(last) = tiers.last().filter(|last| last.up_to.is_some() || last.max_nodes.is_some()) {
        problem(format!("`{}` is the last tier and must not have `up_to` or `max_nodes`", last.name));
    }
}

/// Adds a tier, or changes the one of the same name.
fn tier(reader: &mut Reader, field: &Field<'_>, tiers: &mut Vec<Tier>, latest: Date) -> Option<()> {
    let keys = reader.mapping(field, &TIER)?;
    let name = reader.required(&keys, "name", Field::text)?;
    let known = tiers.iter().position(|tier| tier.name == name);
    let base = known.map(|at| tiers[at].clone());
    let base = base.as_ref();
    let target = |field: &Field<'_>| field.word(&TARGET);
    let title = or_base(reader, &keys, "title", Field::text, base.map(|tier| tier.title.clone()));
    let target = or_base(reader, &keys, "target", target, base.map(|tier| tier.target));
    let users = or_base(reader, &keys, "users", count, base.map(|tier| tier.users));
    let why = or_base(reader, &keys, "why", Field::text, base.map(|tier| tier.why.clone()));
    let node = match (keys.get("node"), base) {
        (None, Some(base)) => Some(base.node),
        _ => reader.present(&keys, "node").and_then(|field| node_size(reader, &field)),
    };
    let min_nodes = or_base(reader, &keys, "min_nodes", count, base.map(|tier| tier.min_nodes));
    let spare_nodes = or_base(reader, &keys, "spare_nodes", count, base.map(|tier| tier.spare_nodes));
    // An explicit `null` takes the base's value away.
    let mut bound = |key: &str, base: Option<u64>| {
        if keys.has(key) { reader.optional(&keys, key, count) } else { base }
    };
    let up_to = bound("up_to", base.and_then(|tier| tier.up_to));
    let measured_to = bound("measured_to", base.and_then(|tier| tier.measured_to));
    let max_nodes = bound("max_nodes", base.and_then(|tier| tier.max_nodes));
    ordered(reader, &keys, ("min_nodes", min_nodes), ("max_nodes", max_nodes));
    ordered(reader, &keys, ("spare_nodes", spare_nodes), ("max_nodes", max_nodes));
    ordered(reader, &keys, ("users", users), ("up_to", up_to));
    let mut items = base.map(|tier| tier.items.clone()).unwrap_or_default();
    let mut seen: Vec<String> = Vec::new();
    for field in reader.items(&keys, "items") {
        let Some(item) = item(reader, &field, latest) else { continue };
        if seen.contains(&item.id) {
            reader.refuse::<()>(&field, format!("duplicate item `{}`", item.id));
        }
        seen.push(item.id.clone());
        match items.iter_mut().find(|known| known.id == item.id) {
            Some(known) => *known = item,
            None => items.push(item),
        }
    }
    if items.is_empty() {
        reader.at(field.node.place, &keys.at("items"), "at least one is required");
    }
    let tier = Tier {
        name,
        title: title?,
        target: target?,
        users: users?,
        up_to,
        measured_to,
        why: why?,
        node: node?,
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

/// Refuses a value above its bound, at whichever of the two this file sets.
fn ordered(
    reader: &mut Reader,
    keys: &Mapping<'_>,
    (key, value): (&str, Option<u64>),
    (bound, most): (&str, Option<u64>),
) {
    let Some((value, most)) = value.zip(most).filter(|(value, most)| value > most) else { return };
    if let Some(field) = keys.get(key) {
        reader.refuse::<()>(&field, format!("must be at most `{bound}`, which is {most}, got {value}"));
    } else if let Some(field) = keys.get(bound) {
        reader.refuse::<()>(&field, format!("must be at least `{key}`, which is {value}, got {most}"));
    }
}

/// A value that the base may have, too.
fn or_base<'n, T>(
    reader: &mut Reader,
    keys: &Mapping<'n>,
    key: &str,
    read: impl FnOnce(&Field<'n>) -> Result<T, String>,
    base: Option<T>,
) -> Option<T> {
    match base {
        Some(base) if keys.get(key).is_none() => Some(base),
        _ => reader.required(keys, key, read),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_catalogue_is_valid_and_every_price_says_where_it_comes_from() {
        let catalogue = read("catalogue.yaml", DEFAULT, None, Date::MAX).expect("valid");
        assert_eq!(
            catalogue.tiers.iter().map(|tier| tier.name.as_str()).collect::<Vec<_>>(),
            ["development", "production", "scale"]
        );
        for alternative in &catalogue.alternatives {
            assert!(alternative.origin.source.starts_with("https://"), "{alternative:?}");
            for tier in &alternative.tiers {
                let (_, tier) = catalogue.tier(tier).expect("a known tier");
                tier.item(&alternative.item).expect("an item to take the place of");
            }
        }
    }
}
