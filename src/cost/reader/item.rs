//! Line items, alternatives and what both say of their prices. Pure.

use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::cost::catalogue::{
    Alternative, Confidence, Item, ListPrice, Node as NodeSize, Per, Provenance, SizedBy, Tier,
};
use crate::cost::money::Range;
use crate::cost::reader::fields::{count, date, memory, money, positive};
use crate::document::{Field, Mapping, Reader};
use crate::stack::values::MilliCpu;

const ITEM: [&str; 16] = [
    "id",
    "name",
    "unit",
    "sized_by",
    "quantity",
    "users_per_unit",
    "low",
    "high",
    "included",
    "max_connections",
    "memory",
    "as_of",
    "source",
    "confidence",
    "note",
    "list_price",
];
const ALTERNATIVE: [&str; 12] = [
    "item",
    "provider",
    "name",
    "tiers",
    "per",
    "low",
    "high",
    "fixed",
    "as_of",
    "source",
    "confidence",
    "note",
];
const SIZED_BY: [(&str, SizedBy); 4] = [
    ("nodes", SizedBy::Nodes),
    ("connections", SizedBy::Connections),
    ("memory", SizedBy::Memory),
    ("traffic", SizedBy::Traffic),
];
const PER: [(&str, Per); 3] = [("unit", Per::Unit), ("gb", Per::Gigabyte), ("month", Per::Month)];
const CONFIDENCE: [(&str, Confidence); 3] =
    [("good", Confidence::Good), ("fair", Confidence::Fair), ("low", Confidence::Low)];

pub(super) fn node_size(reader: &mut Reader, field: &Field<'_>) -> Option<NodeSize> {
    let keys = reader.mapping(field, &["cpu", "memory"])?;
    let cpu = reader.required(&keys, "cpu", Field::parse::<MilliCpu>);
    let memory = reader.required(&keys, "memory", memory);
    Some(NodeSize { cpu: cpu?, memory: memory? })
}

pub(super) fn item(reader: &mut Reader, field: &Field<'_>, latest: Date) -> Option<Item> {
    let keys = reader.mapping(field, &ITEM)?;
    let included = reader.optional(&keys, "included", Field::boolean).unwrap_or(false);
    let sized_by = reader.optional(&keys, "sized_by", |field| field.word(&SIZED_BY));
    let needed = match sized_by {
        Some(SizedBy::Connections) => Some("max_connections"),
        Some(SizedBy::Memory) => Some("memory"),
        _ => None,
    };
    if let Some(key) = needed {
        reader.present(&keys, key);
    }
    let max_connections = reader.optional(&keys, "max_connections", positive);
    let memory = reader.optional(&keys, "memory", memory);
    let id = reader.required(&keys, "id", Field::text);
    let name = reader.required(&keys, "name", Field::text);
    let unit = reader.required(&keys, "unit", Field::text);
    let quantity = reader.required(&keys, "quantity", count);
    let users_per_unit = reader.optional(&keys, "users_per_unit", positive);
    let free = included && keys.get("low").is_none();
    let price = if free { Some(Range::default()) } else { price(reader, &keys) };
    let origin = provenance(reader, &keys, latest);
    let list_price = match keys.get("list_price") {
        Some(field) => Some(list_price(reader, &field, latest)?),
        None => None,
    };
    Some(Item {
        id: id?,
        name: name?,
        unit: unit?,
        sized_by,
        quantity: quantity?,
        users_per_unit,
        price: price?,
        included,
        max_connections,
        memory,
        origin: origin?,
        list_price,
    })
}

fn list_price(reader: &mut Reader, field: &Field<'_>, latest: Date) -> Option<ListPrice> {
    let keys = reader.mapping(field, &["amount", "as_of", "source", "note"])?;
    let amount = reader.required(&keys, "amount", money);
    let as_of = reader.optional(&keys, "as_of", |field| date(field, latest));
    let source = reader.required(&keys, "source", Field::text);
    let note = reader.optional(&keys, "note", Field::text);
    Some(ListPrice { amount: amount?, as_of, source: source?, note })
}

pub(super) fn alternative(
    reader: &mut Reader,
    field: &Field<'_>,
    tiers: &[Tier],
    latest: Date,
) -> Option<Alternative> {
    let keys = reader.mapping(field, &ALTERNATIVE)?;
    let per = reader.optional(&keys, "per", |field| field.word(&PER)).unwrap_or(Per::Unit);
    let item = reader.required(&keys, "item", Field::text);
    let provider = reader.required(&keys, "provider", Field::text);
    let name = reader.required(&keys, "name", Field::text);
    let names: Vec<(&str, &str)> =
        tiers.iter().map(|tier| (tier.name.as_str(), tier.name.as_str())).collect();
    let mut fits = Vec::new();
    for field in reader.items(&keys, "tiers") {
        fits.extend(reader.take(&field, field.word(&names)).map(str::to_owned));
    }
    let price = price(reader, &keys);
    let fixed: Decimal = reader.optional(&keys, "fixed", money).unwrap_or_default();
    let origin = provenance(reader, &keys, latest);
    Some(Alternative {
        item: item?,
        provider: provider?,
        name: name?,
        tiers: fits,
        per,
        price: price?,
        fixed,
        origin: origin?,
    })
}

/// `low` and `high`; `high` may be left out when both are the same.
fn price(reader: &mut Reader, keys: &Mapping<'_>) -> Option<Range> {
    let low = reader.required(keys, "low", money);
    let high = reader.optional(keys, "high", money).or(low);
    let range = Range::new(low?, high?);
    if range.low > range.high
        && let Some(field) = keys.get("low")
    {
        reader.refuse::<()>(
            &field,
            format!("must be at most `high`, which is {}, got {}", range.high, range.low),
        );
    }
    Some(range)
}

fn provenance(reader: &mut Reader, keys: &Mapping<'_>, latest: Date) -> Option<Provenance> {
    let as_of = reader.optional(keys, "as_of", |field| date(field, latest));
    if !keys.has("as_of") {
        reader.at(keys.field.node.place, &keys.at("as_of"), "is missing; use `null` for an undated price");
    }
    let source = reader.required(keys, "source", Field::text);
    let confidence = reader.required(keys, "confidence", |field| field.word(&CONFIDENCE));
    let note = reader.optional(keys, "note", Field::text);
    Some(Provenance { as_of, source: source?, confidence: confidence?, note })
}
