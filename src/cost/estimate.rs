//! What a number of users costs a month: a tier, its line items, the limiting factor, and what to know about it. Data only.

use rust_decimal::Decimal;

use crate::cost::catalogue::{Item, Tier};
use crate::cost::model::{Need, Rule};
use crate::cost::money::Range;

/// What so many users cost a month on one tier.
#[derive(Clone, Debug)]
pub struct Estimate {
    /// Users a day.
    pub users: u64,
    /// The tier.
    pub tier: Tier,
    /// Why it is this tier.
    pub why: String,
    /// Why the tier cannot hold these users; only when it was asked for by name.
    pub exceeded: Option<String>,
    /// What the users need.
    pub need: Need,
    /// What is paid for.
    pub lines: Vec<Line>,
    /// The sum of the lines.
    pub total: Range,
    /// How full each limit is.
    pub limits: Vec<Limit>,
    /// What sets the size.
    pub binds: Binding,
    /// The next larger tier.
    pub next: Option<Next>,
    /// Deviations, old prices, and where the model leaves what was measured.
    pub notes: Vec<String>,
}

/// One line item.
#[derive(Clone, Debug)]
pub struct Line {
    /// What it is and what a unit costs.
    pub item: Item,
    /// Units.
    pub quantity: u64,
    /// The rule that sets the quantity.
    pub rule: Rule,
    /// All units a month, in cents.
    pub amount: Range,
    /// Days since the day of the price; `None` when undated.
    pub age: Option<i64>,
    /// Whether the price is too old.
    pub stale: bool,
}

/// How full something is.
#[derive(Clone, Debug)]
pub struct Limit {
    /// What is limited.
    pub name: &'static str,
    /// What is needed.
    pub needed: Decimal,
    /// What is there.
    pub available: Decimal,
    /// Of what.
    pub unit: &'static str,
}

impl Limit {
    /// The share that is used, in percent; `None` when nothing is there.
    pub fn percent(&self) -> Option<Decimal> {
        let share = self.needed.checked_div(self.available)?;
        Some(share.saturating_mul(Decimal::ONE_HUNDRED).round())
    }
}

/// What sets the size of a tier.
#[derive(Clone, Debug)]
pub struct Binding {
    /// The rule.
    pub rule: Rule,
    /// The sentence about it.
    pub text: String,
}

/// The next larger tier.
#[derive(Clone, Debug)]
pub struct Next {
    /// Its word.
    pub tier: String,
    /// Its first number of users a day.
    pub from: u64,
    /// What it costs there.
    pub total: Range,
}

impl Estimate {
    /// The price of a thousand users a day; `None` without users.
    pub fn per_thousand(&self) -> Option<Range> {
        (self.users > 0).then(|| {
            let thousands = Decimal::from(self.users) / Decimal::ONE_THOUSAND;
            self.total.map(|amount| amount.checked_div(thousands).unwrap_or(Decimal::MAX)).cents()
        })
    }

    /// The line of an item.
    pub fn line(&self, id: &str) -> Option<&Line> {
        self.lines.iter().find(|line| line.item.id == id)
    }
}
