//! What there is to say about an estimate: the limiting factor, what is old, what deviates, what was never measured. Pure.

use jiff::civil::Date;

use crate::cost::catalogue::{Catalogue, STALE_DAYS, Tier};
use crate::cost::estimate::{Binding, Estimate, Line};
use crate::cost::model::{Inputs, Need, Rule};
use crate::cost::money::{Currency, Range, count, grouped};
use crate::cost::stores::Stores;
use crate::stack::TargetKind;

/// The rule of the dearest line: it sets the price.
pub fn binding(tier: &Tier, need: &Need, lines: &[Line]) -> Binding {
    let Some(line) =
        lines.iter().reduce(|best, line| if line.amount.high > best.amount.high { line } else { best })
    else {
        return Binding { rule: Rule::TierSize, text: "nothing is paid for".to_owned() };
    };
    let things = plural(line.quantity, &line.item.unit);
    let load = need.nodes_for_load.min(line.quantity);
    let beyond = line.quantity - load;
    let text = match line.rule {
        Rule::Availability if beyond == 0 => format!("{things}; the load needs as many"),
        Rule::Availability => {
            format!("{things}, {load} for the load and {beyond} so that one can fail or be drained")
        }
        Rule::RequestRate => format!(
            "{things}, {load} for {} req/s at the peak and {beyond} so that one can be drained",
            grouped(need.peak.round_dp(1))
        ),
        Rule::TierSize if line.item.sized_by.is_some() => format!(
            "{things}, the size of tier `{}` in the catalogue; the load alone needs {} and {} spare",
            tier.name, need.nodes_for_load, tier.spare_nodes
        ),
        Rule::UsersPerUnit if line.item.sized_by.is_some() => format!(
            "{things}, one for each {} users a day; the load alone needs {} and {} spare",
            count(line.item.users_per_unit.unwrap_or(1)),
            need.nodes_for_load,
            tier.spare_nodes
        ),
        _ => format!("{}: {things}", line.item.name),
    };
    Binding { rule: line.rule, text: format!("{}: {text}", line.rule.as_str()) }
}

/// `3 nodes`, `1 node`, `2 GB`.
pub fn plural(number: u64, unit: &str) -> String {
    let plural = number != 1 && unit.chars().all(|c| c.is_ascii_lowercase() || c == ' ');
    format!("{} {unit}{}", count(number), if plural { "s" } else { "" })
}

/// Old prices, list prices that differ, and where the model leaves what was measured or allowed.
pub fn notes(catalogue: &Catalogue, inputs: &Inputs, found: &Estimate, today: Date) -> Vec<String> {
    let mut notes = Vec::new();
    let currency = &catalogue.currency;
    notes.extend(stale(found.lines.iter()));
    for line in &found.lines {
        let Some(list) = &line.item.list_price else { continue };
        let amount = Range::new(list.amount, list.amount).times(line.quantity).cents();
        let total = found.total.minus(line.amount).plus(amount);
        let how = list.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
        notes.push(format!(
            "{}: the list price is {}{how}; with it the total is {}",
            line.item.name,
            currency.range(amount),
            currency.range(total)
        ));
    }
    notes.extend(of_stores(&inputs.stores, found, currency));
    if let Some(most) = found.tier.measured_to.filter(|most| found.users > *most) {
        notes.push(format!(
            "beyond {} users a day the figures are extrapolated: {}",
            count(most),
            extrapolation(&found.tier)
        ));
    }
    if let (TargetKind::Kubernetes, Some((_, most))) = (found.tier.target, inputs.autoscaling)
        && found.need.replicas > u64::from(most)
    {
        notes.push(format!(
            "the peak needs {} replicas, but kubernetes.autoscaling.max allows {most}",
            count(found.need.replicas)
        ));
    }
    if let Some(measured) = &inputs.capacity.measured {
        let days = i64::from((today - measured.at.to_zoned(jiff::tz::TimeZone::UTC).date()).get_days());
        if days > STALE_DAYS {
            notes.push(format!(
                "the capacity of a replica was measured {days} days ago; run `appforge load --scenario capacity` again"
            ));
        }
    }
    notes
}

/// Where the prices are for a store that another one runs than the stack says.
fn of_stores(stores: &Stores, found: &Estimate, currency: &Currency) -> Option<String> {
    let lines = |external: bool| {
        let of = stores.external.iter().filter(move |(_, is)| *is == external);
        of.filter_map(|(kind, _)| found.line(kind.as_str())).collect::<Vec<_>>()
    };
    if found.tier.target != TargetKind::Kubernetes {
        let included: Vec<&str> = lines(true)
            .into_iter()
            .filter(|line| line.item.included)
            .map(|line| line.item.id.as_str())
            .collect();
        let names = included.join(" and ");
        return (!included.is_empty())
            .then(|| format!("{names}: the price of an external store (`mode: external`) is not included"));
    }
    let priced: Vec<_> = lines(false).into_iter().filter(|line| !line.item.included).collect();
    let ids: Vec<&str> = priced.iter().map(|line| line.item.id.as_str()).collect();
    let names: Vec<&str> = priced.iter().map(|line| line.item.name.as_str()).collect();
    let amount = priced.iter().fold(Range::default(), |sum, line| sum.plus(line.amount));
    let without = currency.range(found.total.minus(amount));
    (!priced.is_empty()).then(|| {
        format!(
            "{} {} on the cluster's own nodes (`mode`); without {}, which {} for `mode: external`, the total is {without}",
            ids.join(" and "),
            if ids.len() == 1 { "runs" } else { "run" },
            names.join(" and "),
            if names.len() == 1 { "is" } else { "are" },
        )
    })
}

/// Says that prices are old, if any is.
pub fn stale<'a>(lines: impl Iterator<Item = &'a Line>) -> Option<String> {
    let paid: Vec<&Line> = lines.filter(|line| !line.item.included).collect();
    let old: Vec<&&Line> = paid.iter().filter(|line| line.stale).collect();
    if old.is_empty() {
        return None;
    }
    let which =
        if old.len() == paid.len() { "all".to_owned() } else { format!("{} of {}", old.len(), paid.len()) };
    let age = match old.iter().filter_map(|line| line.age).max() {
        Some(days) => format!("old (up to {} days)", count(days.unsigned_abs())),
        None => "undated".to_owned(),
    };
    Some(format!("{which} prices are {age}; check them before you decide"))
}

/// The rules by which the last tier grows, in words.
pub fn extrapolation(tier: &Tier) -> String {
    let rules: Vec<String> = tier
        .items
        .iter()
        .filter_map(|item| {
            let per_unit = item.users_per_unit?;
            Some(format!("{}: one {} per {} users", item.id, item.unit, count(per_unit)))
        })
        .collect();
    if rules.is_empty() { "priced as it is".to_owned() } else { rules.join("; ") }
}
