//! Two estimates line by line, all tiers for the same users, and what others ask for the same parts. Pure.

use crate::cost::catalogue::{Alternative, Catalogue, Per};
use crate::cost::estimate::{Estimate, Line};
use crate::cost::model;
use crate::cost::money::Range;

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Only the new side has it.
    Added,
    /// Only the old side has it.
    Removed,
    /// Name, quantity or price differ.
    Changed,
    /// Both are the same.
    Same,
}

impl Mark {
    /// Its word, where a sign would be taken for a formula.
    pub fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
            Self::Same => "same",
        }
    }

    /// Its sign in front of a line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "+",
            Self::Removed => "-",
            Self::Changed => "~",
            Self::Same => "=",
        }
    }
}

/// One item on both sides.
#[derive(Clone, Debug)]
pub struct Pair<'a> {
    /// The word of the item.
    pub id: &'a str,
    /// What became of it.
    pub mark: Mark,
    /// On the old side.
    pub from: Option<&'a Line>,
    /// On the new side.
    pub to: Option<&'a Line>,
}

/// The items of both sides, in the order of the new side, then those that are gone.
pub fn pairs<'a>(from: &'a Estimate, to: &'a Estimate) -> Vec<Pair<'a>> {
    let now = to.lines.iter().map(|line| pair(from.line(&line.item.id), Some(line)));
    let gone = from.lines.iter().filter(|line| to.line(&line.item.id).is_none());
    now.chain(gone.map(|line| pair(Some(line), None))).collect()
}

fn pair<'a>(from: Option<&'a Line>, to: Option<&'a Line>) -> Pair<'a> {
    let mark = match (from, to) {
        (Some(from), Some(to)) => {
            let same = from.item.name == to.item.name
                && from.quantity == to.quantity
                && from.amount == to.amount
                && from.item.included == to.item.included;
            if same { Mark::Same } else { Mark::Changed }
        }
        (None, _) => Mark::Added,
        (_, None) => Mark::Removed,
    };
    let id = to.or(from).map_or("", |line| line.item.id.as_str());
    Pair { id, mark, from, to }
}

/// A part from somebody else, in the place of the tier's own.
#[derive(Clone, Debug)]
pub struct Offer<'a> {
    /// What is offered.
    pub alternative: &'a Alternative,
    /// The item that it takes the place of.
    pub line: &'a Line,
    /// A month of it.
    pub amount: Range,
    /// The total with it.
    pub total: Range,
    /// What it adds to the total, below zero when it saves.
    pub change: Range,
}

/// Every alternative that fits the tier of `found`, in the order of the items, the cheapest first.
pub fn offers<'a>(catalogue: &'a Catalogue, found: &'a Estimate) -> Vec<Offer<'a>> {
    let mut all = Vec::new();
    for line in &found.lines {
        let mut here: Vec<Offer<'_>> = catalogue
            .alternatives
            .iter()
            .filter(|one| one.item == line.item.id && one.tiers.contains(&found.tier.name))
            .map(|one| offer(one, line, found))
            .collect();
        here.sort_by_key(|offer| (offer.amount.high, offer.amount.low));
        all.extend(here);
    }
    all
}

fn offer<'a>(alternative: &'a Alternative, line: &'a Line, found: &Estimate) -> Offer<'a> {
    let variable = match alternative.per {
        Per::Unit => alternative.price.times(line.quantity),
        Per::Gigabyte => alternative.price.map(|price| price.saturating_mul(found.need.traffic_gb)),
        Per::Month => alternative.price,
    };
    let amount = variable.plus(Range::new(alternative.fixed, alternative.fixed)).cents();
    let total = found.total.minus(line.amount).plus(amount);
    Offer { alternative, line, amount, total, change: total.minus(found.total) }
}

/// Why a tier does not hold the users of `found`, or which rule sets its price.
pub fn verdict(found: &Estimate) -> String {
    found.exceeded.as_ref().map_or_else(
        || format!("fits; limiting factor: {}", found.binds.rule.as_str()),
        |reason| format!("too small: {reason}"),
    )
}

/// The gigabytes that offers by traffic are counted for.
pub fn traffic(found: &Estimate) -> String {
    format!(
        "{} GB a month ({} B an answer)",
        crate::cost::money::grouped(found.need.traffic_gb.round()),
        crate::cost::money::count(model::ANSWER_BYTES)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{Capacity, Inputs, estimate};
    use crate::stack::Stack;

    fn at(users: u64) -> Estimate {
        let inputs = Inputs::new(&Stack::default(), Capacity::default());
        estimate(&Catalogue::builtin(), &inputs, users, jiff::civil::date(2026, 3, 1))
    }

    #[test]
    fn each_item_is_marked() {
        let marks = |from, to| -> String {
            pairs(&at(from), &at(to)).iter().map(|pair| pair.mark.as_str()).collect()
        };
        assert_eq!(marks(1, 10_000), "~~~+");
        assert_eq!(marks(10_000, 1), "~~~-");
        assert_eq!(marks(10_000, 12_000), "====");
    }

    #[test]
    fn an_offer_replaces_one_line_of_the_total() {
        let (catalogue, found) = (Catalogue::builtin(), at(10_000));
        let offers = offers(&catalogue, &found);
        let doks = offers.iter().find(|offer| offer.alternative.name.starts_with("DOKS")).unwrap();
        assert_eq!(doks.amount, Range::new(184.into(), 184.into()));
        assert_eq!(doks.total, Range::new(311.into(), 341.into()));
        let bunny = offers.iter().find(|offer| offer.alternative.provider == "bunny.net").unwrap();
        assert_eq!(bunny.amount.low.to_string(), "3.04");
    }
}
