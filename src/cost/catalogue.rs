//! The price catalogue: tiers with their line items, and alternatives. Pure.
//!
//! The default is embedded; another one replaces or extends it. `reader` reads it.

use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::cost::money::{Currency, Range};
use crate::stack::TargetKind;
use crate::stack::values::{ByteSize, MilliCpu};

/// Prices older than this many days are called old.
pub const STALE_DAYS: i64 = 90;

/// Tiers, from small to large, and what else is on offer.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalogue {
    /// Whose prices these are.
    pub title: String,
    /// What all amounts are in.
    pub currency: Currency,
    /// From small to large; the last one has no upper bound.
    pub tiers: Vec<Tier>,
    /// The same parts from others.
    pub alternatives: Vec<Alternative>,
    /// What no line item covers.
    pub not_included: Vec<String>,
}

/// One size of the setup.
#[derive(Clone, Debug, PartialEq)]
pub struct Tier {
    /// Its word.
    pub name: String,
    /// What it is.
    pub title: String,
    /// Where it runs.
    pub target: TargetKind,
    /// Users a day that it is shown for.
    pub users: u64,
    /// Most users a day; none for the last tier, which grows instead.
    pub up_to: Option<u64>,
    /// Up to here somebody measured it.
    pub measured_to: Option<u64>,
    /// Why it begins and ends where it does.
    pub why: String,
    /// What replicas find on one node: allocatable, not what the box says.
    pub node: Node,
    /// Fewest nodes, so that one may fail.
    pub min_nodes: u64,
    /// Nodes beyond the load, so that one can be drained.
    pub spare_nodes: u64,
    /// Most nodes before the next tier is due.
    pub max_nodes: Option<u64>,
    /// What is paid for.
    pub items: Vec<Item>,
}

/// What replicas find on one node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Node {
    /// CPU.
    pub cpu: MilliCpu,
    /// Memory.
    pub memory: ByteSize,
}

/// What an item's quantity follows besides users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizedBy {
    /// The nodes that the replicas need.
    Nodes,
    /// Connections to MongoDB.
    Connections,
    /// Memory of Redis.
    Memory,
    /// Gigabytes a month through the CDN.
    Traffic,
}

/// One thing that is paid for each month.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its word, the same on every tier: `nodes`, `mongodb`, `redis`, `cdn`.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// What is counted.
    pub unit: String,
    /// What its quantity follows.
    pub sized_by: Option<SizedBy>,
    /// Fewest units.
    pub quantity: u64,
    /// One more unit for each so many users.
    pub users_per_unit: Option<u64>,
    /// The price of a unit a month.
    pub price: Range,
    /// Paid for by another item.
    pub included: bool,
    /// Most connections of one unit.
    pub max_connections: Option<u64>,
    /// Memory of one unit.
    pub memory: Option<ByteSize>,
    /// Where the price comes from.
    pub origin: Provenance,
    /// The list price, where it is known to differ.
    pub list_price: Option<ListPrice>,
}

/// Where a price comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Provenance {
    /// The day of the price; `None` when the source is undated.
    pub as_of: Option<Date>,
    /// The page or document.
    pub source: String,
    /// How far it is to be believed.
    pub confidence: Confidence,
    /// What else is to be known.
    pub note: Option<String>,
}

impl Provenance {
    /// Days since the day of the price; 0 for a price of the future, `None` for an undated one.
    pub fn age(&self, today: Date) -> Option<i64> {
        self.as_of.map(|day| i64::from((today - day).get_days()).max(0))
    }

    /// Whether the price is too old, or undated.
    pub fn stale(&self, today: Date) -> bool {
        self.age(today).is_none_or(|days| days > STALE_DAYS)
    }
}

/// How far a price is to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confidence {
    /// The seller's own page.
    Good,
    /// Agrees with what others say.
    Fair,
    /// Known to differ, or nothing to compare with.
    Low,
}

impl Confidence {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Fair => "fair",
            Self::Low => "low",
        }
    }
}

/// A list price that differs from the catalogue's.
#[derive(Clone, Debug, PartialEq)]
pub struct ListPrice {
    /// Of a unit a month.
    pub amount: Decimal,
    /// The day of the price; `None` when the source is undated.
    pub as_of: Option<Date>,
    /// The page.
    pub source: String,
    /// How it comes about.
    pub note: Option<String>,
}

/// What an alternative is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    /// Each unit that the tier's own item counts.
    Unit,
    /// Each gigabyte of traffic.
    Gigabyte,
    /// Each month, whatever the load.
    Month,
}

/// The same part from somebody else.
#[derive(Clone, Debug, PartialEq)]
pub struct Alternative {
    /// The item that it takes the place of.
    pub item: String,
    /// Who sells it.
    pub provider: String,
    /// What it is called.
    pub name: String,
    /// The tiers that it fits.
    pub tiers: Vec<String>,
    /// What the price is for.
    pub per: Per,
    /// The price.
    pub price: Range,
    /// What is paid besides, each month.
    pub fixed: Decimal,
    /// Where the price comes from.
    pub origin: Provenance,
}

impl Catalogue {
    /// The tier with this name, and its place.
    pub fn tier(&self, name: &str) -> Option<(usize, &Tier)> {
        self.tiers.iter().enumerate().find(|(_, tier)| tier.name == name)
    }
}

impl Tier {
    /// The item with this word.
    pub fn item(&self, id: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_stale_after_90_days_and_when_it_is_undated() {
        let origin =
            |as_of| Provenance { as_of, source: String::new(), confidence: Confidence::Good, note: None };
        let day = |text: &str| text.parse::<Date>().unwrap();
        assert!(!origin(Some(day("2026-02-01"))).stale(day("2026-05-02")));
        assert!(origin(Some(day("2026-02-01"))).stale(day("2026-05-03")));
        assert_eq!(origin(Some(day("2026-02-01"))).age(day("2026-01-01")), Some(0));
        assert!(origin(None).stale(day("2026-01-01")));
    }
}
