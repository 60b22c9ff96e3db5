//! Line items, alternatives and what both say of their prices. Pure.

use serde_json::Value;

use crate::cost::catalogue::{
    Alternative, Confidence, Item, ListPrice, Node as NodeSize, Per, Provenance, SizedBy, Tier,
};
use crate::cost::money::Range;
use crate::cost::reader::fields::{
    Fields, Reader, boolean, count, date, memory, money, positive, scalar, text, word,
};
use crate::stack::values::MilliCpu;
use crate::stack::yaml::Node;

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

impl Reader {
    pub(super) fn node_size(&mut self, node: &Node, path: String) -> Option<NodeSize> {
        let fields = self.fields(node, path, &["cpu", "memory"])?;
        let cpu = self.required(&fields, "cpu", |value| scalar(value)?.parse::<MilliCpu>());
        let memory = self.required(&fields, "memory", memory);
        Some(NodeSize { cpu: cpu?, memory: memory? })
    }

    pub(super) fn item(&mut self, node: &Node, path: String) -> Option<Item> {
        let fields = self.fields(node, path, &ITEM)?;
        let included = self.optional(&fields, "included", boolean).unwrap_or(false);
        let sized_by = |value: &Value| {
            Ok(match word(value, &["nodes", "connections", "memory", "traffic"])?.as_str() {
                "nodes" => SizedBy::Nodes,
                "connections" => SizedBy::Connections,
                "memory" => SizedBy::Memory,
                _ => SizedBy::Traffic,
            })
        };
        let sized_by = self.optional(&fields, "sized_by", sized_by);
        let max_connections = self.optional(&fields, "max_connections", positive);
        let size = self.optional(&fields, "memory", memory);
        match sized_by {
            Some(SizedBy::Connections) if max_connections.is_none() => {
                self.problem(
                    node,
                    &fields.at("max_connections"),
                    "is needed, since sized_by is `connections`",
                );
            }
            Some(SizedBy::Memory) if size.is_none() => {
                self.problem(node, &fields.at("memory"), "is needed, since sized_by is `memory`");
            }
            _ => {}
        }
        let id = self.required(&fields, "id", text);
        let name = self.required(&fields, "name", text);
        let unit = self.required(&fields, "unit", text);
        let quantity = self.required(&fields, "quantity", count);
        let users_per_unit = self.optional(&fields, "users_per_unit", positive);
        let price = if included && fields.get("low").is_none() {
            Some(Range::default())
        } else {
            self.price(&fields)
        };
        let origin = self.provenance(&fields);
        let list_price = match fields.get("list_price") {
            Some(node) => Some(self.list_price(node, fields.at("list_price"))?),
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
            memory: size,
            origin: origin?,
            list_price,
        })
    }

    pub(super) fn list_price(&mut self, node: &Node, path: String) -> Option<ListPrice> {
        let fields = self.fields(node, path, &["amount", "as_of", "source", "note"])?;
        let amount = self.required(&fields, "amount", money);
        let as_of = self.optional(&fields, "as_of", date);
        let source = self.required(&fields, "source", text);
        let note = self.optional(&fields, "note", text);
        Some(ListPrice { amount: amount?, as_of, source: source?, note })
    }

    pub(super) fn alternative(&mut self, node: &Node, path: String, tiers: &[Tier]) -> Option<Alternative> {
        let fields = self.fields(node, path, &ALTERNATIVE)?;
        let per = |value: &Value| {
            Ok(match word(value, &["unit", "gb", "month"])?.as_str() {
                "unit" => Per::Unit,
                "gb" => Per::Gigabyte,
                _ => Per::Month,
            })
        };
        let per = self.optional(&fields, "per", per).unwrap_or(Per::Unit);
        let item = self.required(&fields, "item", text);
        let provider = self.required(&fields, "provider", text);
        let name = self.required(&fields, "name", text);
        let names: Vec<&str> = tiers.iter().map(|tier| tier.name.as_str()).collect();
        let mut fits = Vec::new();
        for (node, path) in self.list(&fields, "tiers") {
            match word(&node.to_json(), &names) {
                Ok(name) => fits.push(name),
                Err(message) => self.problem(node, &path, &message),
            }
        }
        let price = self.price(&fields);
        let fixed = self.optional(&fields, "fixed", money).unwrap_or_default();
        let origin = self.provenance(&fields);
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
    pub(super) fn price(&mut self, fields: &Fields<'_>) -> Option<Range> {
        let low = self.required(fields, "low", money);
        let high = self.optional(fields, "high", money).or(low);
        let range = Range::new(low?, high?);
        if range.low > range.high {
            let at = fields.get("low").unwrap_or(fields.node);
            self.problem(
                at,
                &fields.at("low"),
                &format!("{} is more than high, which is {}", range.low, range.high),
            );
        }
        Some(range)
    }

    pub(super) fn provenance(&mut self, fields: &Fields<'_>) -> Option<Provenance> {
        let as_of = self.optional(fields, "as_of", date);
        if !fields.entries.iter().any(|(key, ..)| key == "as_of") {
            self.problem(fields.node, &fields.at("as_of"), "is missing; `null` for an undated price");
        }
        let confidence = |value: &Value| {
            Ok(match word(value, &["good", "fair", "low"])?.as_str() {
                "good" => Confidence::Good,
                "fair" => Confidence::Fair,
                _ => Confidence::Low,
            })
        };
        let source = self.required(fields, "source", text);
        let confidence = self.required(fields, "confidence", confidence);
        let note = self.optional(fields, "note", text);
        Some(Provenance { as_of, source: source?, confidence: confidence?, note })
    }
}
