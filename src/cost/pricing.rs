//! Users a day -> a tier, its line items with quantities and prices, the limiting factor, and what to know about it. Pure.

use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::cost::catalogue::{Catalogue, Item, SizedBy, Tier};
use crate::cost::estimate::{Binding, Estimate, Limit, Line, Next};
use crate::cost::model::{self, Inputs, Need, Rule};
use crate::cost::money::{Range, count};
use crate::cost::remarks::{binding, notes};
use crate::stack::TargetKind;

/// Picks the first tier that holds `users`, and prices it. `today` is what prices are old by.
pub fn estimate(catalogue: &Catalogue, inputs: &Inputs, users: u64, today: Date) -> Estimate {
    let mut pushed: Option<(Rule, String)> = None;
    for tier in &catalogue.tiers {
        let need = model::need(users, inputs, tier);
        match model::exceeds(users, tier, &need) {
            None => {
                let mut found = on_tier(catalogue, inputs, tier, users, today);
                if let Some((rule, reason)) = pushed {
                    found.binds = Binding { rule, text: reason };
                }
                return found;
            }
            Some((Some(rule), reason)) => {
                pushed =
                    Some((rule, format!("{}: tier `{}` is too small, {reason}", rule.as_str(), tier.name)));
            }
            Some((None, _)) => {}
        }
    }
    unreachable!("a catalogue ends with a tier that holds all; its reader sees to that")
}

/// Prices `users` on `tier`, whether or not the tier holds them.
pub fn on_tier(catalogue: &Catalogue, inputs: &Inputs, tier: &Tier, users: u64, today: Date) -> Estimate {
    let need = model::need(users, inputs, tier);
    let lines: Vec<Line> = tier.items.iter().map(|item| line(item, tier, users, &need, today)).collect();
    let total = lines.iter().fold(Range::default(), |sum, line| sum.plus(line.amount));
    let above = catalogue.tiers.iter().position(|known| known.name == tier.name);
    let next = above.and_then(|at| catalogue.tiers.get(at + 1)).zip(tier.up_to).map(|(next, up_to)| {
        let from = up_to + 1;
        let total = on_tier(catalogue, inputs, next, from.max(users), today).total;
        Next { tier: next.name.clone(), from, total }
    });
    let mut found = Estimate {
        users,
        why: why(catalogue, tier),
        exceeded: model::exceeds(users, tier, &need).map(|(_, reason)| reason),
        limits: limits(tier, inputs, users, &need, &lines),
        binds: binding(tier, &need, &lines),
        tier: tier.clone(),
        need,
        lines,
        total,
        next,
        notes: Vec::new(),
    };
    found.notes = notes(catalogue, inputs, &found, today);
    found
}

fn line(item: &Item, tier: &Tier, users: u64, need: &Need, today: Date) -> Line {
    let (rule, quantity) = model::quantity(item, tier, users, need);
    Line {
        quantity,
        rule,
        amount: item.price.times(quantity).cents(),
        age: item.origin.age(today),
        stale: !item.included && item.origin.stale(today),
        item: item.clone(),
    }
}

fn why(catalogue: &Catalogue, tier: &Tier) -> String {
    let at = catalogue.tiers.iter().position(|known| known.name == tier.name).unwrap_or_default();
    let above = at.checked_sub(1).and_then(|at| catalogue.tiers[at].up_to).map(count);
    let bounds = match (above, tier.up_to.map(count)) {
        (None, Some(up_to)) => format!("up to {up_to}"),
        (Some(above), Some(up_to)) => format!("above {above}, up to {up_to}"),
        (Some(above), None) => format!("above {above}"),
        (None, None) => "any number of".to_owned(),
    };
    format!("{bounds} users a day; {}", tier.why)
}

fn limits(tier: &Tier, inputs: &Inputs, users: u64, need: &Need, lines: &[Line]) -> Vec<Limit> {
    let mut limits = Vec::new();
    if let Some(most) = tier.up_to.or(tier.measured_to) {
        let name = if tier.up_to.is_some() { "users of the tier" } else { "users measured" };
        limits.push(Limit { name, needed: users.into(), available: most.into(), unit: "users/day" });
    }
    let nodes = lines.iter().find(|line| line.item.sized_by == Some(SizedBy::Nodes));
    if let Some(nodes) = nodes {
        let busy = nodes.quantity.saturating_sub(tier.spare_nodes).saturating_sub(need.store_nodes);
        let elsewhere = match need.per_node {
            0 => busy / need.nodes_per_replica,
            fit => busy.saturating_mul(fit),
        };
        let replicas = elsewhere.saturating_add(need.beside_stores);
        let available = Decimal::from(replicas).saturating_mul(inputs.planned_per_replica());
        limits.push(Limit { name: "request rate", needed: need.peak, available, unit: "req/s" });
    }
    if let (TargetKind::Kubernetes, Some((_, most))) = (tier.target, inputs.autoscaling) {
        let (needed, available) = (need.replicas.into(), most.into());
        limits.push(Limit { name: "autoscaler", needed, available, unit: "replicas" });
    }
    for line in lines {
        if line.item.max_connections.is_some() {
            let available = model::usable_connections(&line.item, line.quantity).into();
            limits.push(Limit {
                name: "connections",
                needed: need.connections.into(),
                available,
                unit: "connections",
            });
        }
        if line.item.memory.is_some() {
            let mib = |bytes: u64| Decimal::from(bytes) / Decimal::from(1 << 20);
            let available = mib(model::usable_memory(&line.item, line.quantity));
            limits.push(Limit { name: "memory", needed: mib(need.redis_bytes), available, unit: "MiB" });
        }
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::Capacity;
    use crate::stack::Stack;
    use proptest::prelude::*;

    fn today() -> Date {
        jiff::civil::date(2026, 3, 1)
    }

    fn inputs() -> Inputs {
        Inputs::new(&Stack::default(), Capacity::default())
    }

    #[track_caller]
    fn costs(users: u64, tier: &str, low: u32, high: u32) -> Estimate {
        let found = estimate(&Catalogue::builtin(), &inputs(), users, today());
        assert_eq!(found.tier.name, tier, "{users} users");
        assert_eq!(found.total, Range::new(low.into(), high.into()), "{users} users");
        found
    }

    #[test]
    fn the_totals_of_the_setup_are_exact() {
        costs(0, "development", 20, 40);
        costs(5_000, "development", 20, 40);
        costs(5_001, "production", 277, 457);
        costs(10_000, "production", 277, 457);
        costs(15_000, "production", 277, 457);
        costs(15_001, "scale", 910, 1210);
        costs(30_000, "scale", 910, 1210);
    }

    #[test]
    fn every_line_of_the_setup_is_exact() {
        let lines = |users| -> Vec<(String, String)> {
            let found = estimate(&Catalogue::builtin(), &inputs(), users, today());
            let currency = Catalogue::builtin().currency;
            found.lines.iter().map(|line| (line.item.id.clone(), currency.range(line.amount))).collect()
        };
        let expected = |amounts: &[(&str, &str)]| -> Vec<(String, String)> {
            amounts.iter().map(|(id, amount)| ((*id).to_owned(), (*amount).to_owned())).collect()
        };
        assert_eq!(lines(1), expected(&[("nodes", "$20-40"), ("mongodb", "$0"), ("redis", "$0")]));
        assert_eq!(
            lines(10_000),
            expected(&[("nodes", "$150-300"), ("mongodb", "$57"), ("redis", "$50"), ("cdn", "$20-50")])
        );
        assert_eq!(
            lines(30_000),
            expected(&[("nodes", "$500-800"), ("mongodb", "$190"), ("redis", "$120"), ("cdn", "$100")])
        );
    }

    #[test]
    fn beyond_what_was_measured_figures_are_marked_as_extrapolated() {
        // 17 nodes, 2 clusters, 2 plans, 17 CDN units.
        let found = costs(50_000, "scale", 17 * 50 + 380 + 240 + 170, 17 * 80 + 380 + 240 + 170);
        assert!(
            found
                .notes
                .iter()
                .any(|note| note.starts_with("beyond 30,000 users a day the figures are extrapolated"))
        );
        let measured = costs(30_000, "scale", 910, 1210);
        assert!(!measured.notes.iter().any(|note| note.starts_with("beyond")), "{:?}", measured.notes);
    }

    #[test]
    fn a_list_price_that_differs_is_said_with_the_total_that_it_leads_to() {
        let found = costs(30_000, "scale", 910, 1210);
        let note = found.notes.iter().find(|note| note.contains("list price")).unwrap();
        assert!(note.contains("$394.20") && note.contains("$1,114.20-1,414.20"), "{note}");
    }

    #[test]
    fn measured_capacity_shows_that_nodes_are_there_for_availability() {
        let capacity = Capacity { per_replica: 1900.into(), measured: None };
        let inputs = Inputs::new(&Stack::default(), capacity);
        let found = estimate(&Catalogue::builtin(), &inputs, 10_000, today());
        assert_eq!(
            found.binds.text,
            "availability floor: 3 nodes, 1 for the load and 2 so that one can fail or be drained"
        );
    }

    #[test]
    fn more_requests_for_each_user_move_to_a_larger_tier_and_it_says_why() {
        let mut inputs = inputs();
        inputs.requests_per_user = 1000;
        let found = estimate(&Catalogue::builtin(), &inputs, 10_000, today());
        assert_eq!((found.tier.name.as_str(), found.binds.rule), ("scale", Rule::RequestRate));
        assert!(found.binds.text.contains("tier `production` is too small"), "{}", found.binds.text);
    }

    fn any_inputs() -> impl Strategy<Value = Inputs> {
        (1u32..=1_000_000, 100u32..=100_000, 1u32..10_000, 1u32..64, 1u32..8_000, 1u64..20_000_000_000)
            .prop_map(|(requests, peak, pool, floor, cpu, rate)| {
                let mut inputs = inputs();
                inputs.requests_per_user = requests;
                inputs.peak_factor = Decimal::new(peak.into(), 2);
                inputs.pool_max = pool;
                inputs.replicas = floor;
                inputs.autoscaling = (floor % 2 == 0).then_some((floor, floor * 2));
                inputs.cpu.0 = cpu;
                inputs.capacity.per_replica =
                    Decimal::new(i64::try_from(rate).unwrap(), 3).max(Decimal::new(1, 1));
                inputs
            })
    }

    /// Users over all magnitudes.
    fn any_users() -> impl Strategy<Value = u64> {
        (0u32..=9, 0u64..10).prop_map(|(power, digit)| (digit * 10u64.pow(power)).min(crate::cost::MAX_USERS))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_total_is_the_sum_of_the_items(inputs in any_inputs(), users in any_users()) {
            let found = estimate(&Catalogue::builtin(), &inputs, users, today());
            let low: Decimal = found.lines.iter().map(|line| line.amount.low).sum();
            let high: Decimal = found.lines.iter().map(|line| line.amount.high).sum();
            prop_assert_eq!(found.total, Range::new(low, high));
            for line in &found.lines {
                prop_assert_eq!(line.amount, line.item.price.times(line.quantity).cents());
                prop_assert!(line.amount.low <= line.amount.high);
            }
        }

        #[test]
        fn more_users_never_cost_less(inputs in any_inputs(), a in any_users(), b in any_users(), step in 0u64..3) {
            let catalogue = Catalogue::builtin();
            let (few, many) = (a.min(b), a.max(b) + step);
            for tier in &catalogue.tiers {
                let (less, more) = (
                    on_tier(&catalogue, &inputs, tier, few, today()).total,
                    on_tier(&catalogue, &inputs, tier, many, today()).total,
                );
                prop_assert!(less.low <= more.low && less.high <= more.high, "{}: {less:?} {more:?}", tier.name);
            }
            // With the embedded prices this holds across tiers too.
            let (less, more) = (
                estimate(&catalogue, &inputs, few, today()).total,
                estimate(&catalogue, &inputs, many, today()).total,
            );
            prop_assert!(less.low <= more.low && less.high <= more.high, "{less:?} {more:?}");
        }
    }
}
