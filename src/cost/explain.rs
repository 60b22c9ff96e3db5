//! How one number of an estimate comes about, step by step. Pure.

use rust_decimal::Decimal;

use crate::cost::catalogue::{Catalogue, SizedBy};
use crate::cost::estimate::{Estimate, Line};
use crate::cost::model::{self, Inputs};
use crate::cost::money::{count, grouped, plain};
use crate::cost::remarks::{extrapolation, plural};
use crate::cost::report::short;
use crate::document::nearest;
use crate::stack::values::ByteSize;

/// One step: what is found, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What is found.
    pub name: String,
    /// Its value.
    pub value: String,
    /// The sum that leads to it, or where it comes from.
    pub how: String,
}

/// All steps to one number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What is explained.
    pub topic: String,
    /// Its value, in a sentence.
    pub title: String,
    /// From the users to the value.
    pub steps: Vec<Step>,
}

/// What can be explained of an estimate.
pub fn topics(found: &Estimate) -> Vec<&str> {
    let items = found.lines.iter().map(|line| line.item.id.as_str());
    ["total", "tier", "replicas"].into_iter().chain(items).collect()
}

/// Explains an item by its word or name, or `total`, `tier`, `replicas`. An unknown topic gives the sentence to show.
pub fn explain(
    catalogue: &Catalogue,
    inputs: &Inputs,
    found: &Estimate,
    topic: &str,
) -> Result<Explanation, String> {
    let line = found.lines.iter().find(|line| line.item.id == topic || line.item.name == topic);
    let (title, steps) = match (topic, line) {
        ("total", _) => (total_title(catalogue, found), total(catalogue, found)),
        ("tier", _) => (
            format!("{} users a day: tier `{}`", count(found.users), found.tier.name),
            tiers(catalogue, inputs, found),
        ),
        ("replicas", _) => (format!("{} replicas", count(found.need.replicas)), replicas(inputs, found)),
        (_, Some(line)) => (line_title(catalogue, line), item(catalogue, inputs, found, line)),
        _ => {
            let known = topics(found);
            let near = nearest(topic, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            let near = near.unwrap_or_else(|| format!("line items: {}", known.join(", ")));
            return Err(format!("unknown line item `{topic}` on tier `{}`; {near}", found.tier.name));
        }
    };
    Ok(Explanation { topic: line.map_or(topic, |line| &line.item.id).to_owned(), title, steps })
}

fn step(name: &str, value: impl Into<String>, how: impl Into<String>) -> Step {
    Step { name: name.to_owned(), value: value.into(), how: how.into() }
}

fn total_title(catalogue: &Catalogue, found: &Estimate) -> String {
    format!("{} users a day: {} a month", count(found.users), catalogue.currency.range(found.total))
}

fn line_title(catalogue: &Catalogue, line: &Line) -> String {
    let price = if line.item.included {
        "included".to_owned()
    } else {
        format!("{} a month", catalogue.currency.range(line.amount))
    };
    format!("{}: {}, {price}", line.item.name, plural(line.quantity, &line.item.unit))
}

/// Each item with its share of the high end: what drives the price.
fn total(catalogue: &Catalogue, found: &Estimate) -> Vec<Step> {
    let currency = &catalogue.currency;
    let mut steps: Vec<Step> = found
        .lines
        .iter()
        .filter(|line| !line.item.included)
        .map(|line| {
            let share = line.amount.high.checked_div(found.total.high).unwrap_or_default();
            let percent = grouped(share.saturating_mul(Decimal::ONE_HUNDRED).round());
            step(
                &line.item.id,
                currency.range(line.amount),
                format!(
                    "{} at {}, {percent} % of the high end; set by {}",
                    plural(line.quantity, &line.item.unit),
                    currency.range(line.item.price),
                    line.rule.as_str()
                ),
            )
        })
        .collect();
    steps.push(step("total", currency.range(found.total), found.binds.text.clone()));
    steps
}

/// Each tier, and why it is or is not the one.
fn tiers(catalogue: &Catalogue, inputs: &Inputs, found: &Estimate) -> Vec<Step> {
    let mut chosen = false;
    catalogue
        .tiers
        .iter()
        .map(|tier| {
            let need = model::need(found.users, inputs, tier);
            let (value, how) = match model::exceeds(found.users, tier, &need) {
                Some((_, reason)) => ("too small", reason),
                None if chosen => ("larger than needed", tier.why.clone()),
                None => {
                    chosen = true;
                    ("chosen", found.why.clone())
                }
            };
            step(&tier.name, value, how)
        })
        .collect()
}

fn requests(inputs: &Inputs, found: &Estimate) -> Vec<Step> {
    let (users, each) = (found.users, inputs.requests_per_user);
    let day = count(users.saturating_mul(each.into()));
    vec![
        step("users a day", count(users), "--users"),
        step(
            "requests a day",
            day.clone(),
            format!("{} x {}, cost.requests_per_user", count(users), count(each.into())),
        ),
        step("average", format!("{} req/s", short(found.need.average)), format!("{day} / 86,400 s")),
        step(
            "peak",
            format!("{} req/s", short(found.need.peak)),
            format!("{} x {}, cost.peak_factor", short(found.need.average), grouped(inputs.peak_factor)),
        ),
    ]
}

fn replicas(inputs: &Inputs, found: &Estimate) -> Vec<Step> {
    let need = &found.need;
    let planned = grouped(inputs.planned_per_replica().round_dp(2));
    let capacity = grouped(inputs.capacity.per_replica);
    let source = match &inputs.capacity.measured {
        Some(measured) => format!("measured {}", measured.at),
        None => "default; `appforge load --scenario capacity` measures yours".to_owned(),
    };
    let percent = grouped(model::UTILISATION * Decimal::ONE_HUNDRED);
    let mut steps = requests(inputs, found);
    steps.extend([
        step(
            "capacity of a replica",
            format!("{planned} req/s"),
            format!("{percent} % of {capacity}, {source}"),
        ),
        step(
            "replicas for the load",
            count(need.replicas_for_load),
            format!("{} / {planned}, rounded up", short(need.peak)),
        ),
        step(
            "replicas",
            count(need.replicas),
            format!(
                "the larger of {} and the floor {}",
                count(need.replicas_for_load),
                count(need.replica_floor)
            ),
        ),
        step(
            "in flight",
            short(need.in_flight),
            format!("{} req/s x {} s (Little's law)", short(need.peak), model::LATENCY),
        ),
    ]);
    steps
}

fn item(catalogue: &Catalogue, inputs: &Inputs, found: &Estimate, line: &Line) -> Vec<Step> {
    let mut steps = match line.item.sized_by {
        Some(SizedBy::Nodes) => nodes(inputs, found),
        Some(SizedBy::Connections) => connections(inputs, found, line),
        Some(SizedBy::Memory) => memory(found, line),
        Some(SizedBy::Traffic) => traffic(inputs, found),
        None if line.item.id == "cdn" => traffic(inputs, found),
        None => vec![step("users a day", count(found.users), "--users")],
    };
    for (rule, quantity) in model::candidates(&line.item, &found.tier, found.users, &found.need) {
        let how = match (rule, line.item.users_per_unit) {
            (model::Rule::UsersPerUnit, Some(per_unit)) => {
                format!("{} / {}, rounded up", count(found.users), count(per_unit))
            }
            (model::Rule::TierSize, _) => format!("what the catalogue prices for tier `{}`", found.tier.name),
            (model::Rule::Availability, _) => "the minimum, so that one can fail".to_owned(),
            _ => "from the steps above".to_owned(),
        };
        steps.push(step(&format!("by {}", rule.as_str()), plural(quantity, &line.item.unit), how));
    }
    steps.push(step(
        "quantity",
        plural(line.quantity, &line.item.unit),
        format!("the largest, by {}", line.rule.as_str()),
    ));
    let currency = &catalogue.currency;
    if line.item.included {
        steps.push(step("price", "included", "paid for with another item"));
    } else {
        let sum = format!("{} x {}", count(line.quantity), currency.range(line.item.price));
        steps.push(step("price", format!("{} a month", currency.range(line.amount)), sum));
    }
    let origin = &line.item.origin;
    let day = origin.as_of.map_or("undated".to_owned(), |day| day.to_string());
    let age = line.age.map_or(String::new(), |days| format!(", {} days old", count(days.unsigned_abs())));
    steps.push(step(
        "price of",
        format!("{day}{age}"),
        format!("{} (confidence: {})", origin.source, origin.confidence.as_str()),
    ));
    if let Some(note) = &origin.note {
        steps.push(step("note", "", note.clone()));
    }
    if let Some(list) = &line.item.list_price {
        let note = list.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
        steps.push(step("list price", currency.amount(list.amount), format!("{}{note}", list.source)));
    }
    if found.tier.measured_to.is_some_and(|most| found.users > most) {
        steps.push(step("not measured", "", format!("extrapolated, {}", extrapolation(&found.tier))));
    }
    steps
}

fn nodes(inputs: &Inputs, found: &Estimate) -> Vec<Step> {
    let (need, tier) = (&found.need, &found.tier);
    let mut steps = replicas(inputs, found);
    steps.pop();
    let room = format!(
        "{} and {} allocatable on a node, a replica requests {} and {}",
        tier.node.cpu, tier.node.memory, inputs.cpu, inputs.memory
    );
    steps.push(match need.per_node {
        0 => step("nodes of a replica", count(need.nodes_per_replica), room),
        fit => step("replicas on a node", count(fit), room),
    });
    if need.store_nodes > 0 {
        steps.push(step(
            "nodes with stores",
            count(need.store_nodes),
            format!(
                "the pods of stores that are not external; {} replicas fit beside them",
                count(need.beside_stores)
            ),
        ));
    }
    steps.push(step(
        "nodes for the load",
        count(need.nodes_for_load),
        format!("for the stores and {} replicas, rounded up", count(need.replicas_for_load)),
    ));
    steps.push(step(
        "nodes for all replicas",
        count(need.nodes),
        format!(
            "for the stores and {} replicas, and {} to drain",
            count(need.replicas),
            count(tier.spare_nodes)
        ),
    ));
    steps
}

fn connections(inputs: &Inputs, found: &Estimate, line: &Line) -> Vec<Step> {
    let need = &found.need;
    let busy = need.in_flight / Decimal::from(need.replicas.max(1));
    vec![
        step("replicas", count(need.replicas), "--explain replicas"),
        step(
            "connections",
            count(need.connections),
            format!(
                "({} + 1 during a rollout) x (mongodb.pool.max of {} + {} for monitoring)",
                count(need.replicas),
                count(inputs.pool_max.into()),
                model::MONITORING
            ),
        ),
        step(
            "connections of a cluster",
            count(model::usable_connections(&line.item, 1)),
            format!(
                "{} % of {}",
                grouped(model::CONNECTION_SHARE * Decimal::ONE_HUNDRED),
                count(line.item.max_connections.unwrap_or_default())
            ),
        ),
        step(
            "busy at the peak",
            format!("{} of {}", short(busy), count(inputs.pool_max.into())),
            format!("{} in flight / {} replicas (Little's law)", short(need.in_flight), count(need.replicas)),
        ),
    ]
}

fn memory(found: &Estimate, line: &Line) -> Vec<Step> {
    let mib = |bytes: u64| format!("{} MiB", short(Decimal::from(bytes) / Decimal::from(1 << 20)));
    let need = &found.need;
    vec![
        step("users a day", count(found.users), "--users"),
        step(
            "clients in a window",
            count(need.clients),
            "peak req/s x rate_limit.window / requests of a user, at most all",
        ),
        step(
            "counters",
            mib(need.clients.saturating_mul(model::COUNTER_BYTES)),
            format!("{} B each", model::COUNTER_BYTES),
        ),
        step(
            "cached answers",
            mib(found.users.saturating_mul(model::CACHED_BYTES)),
            format!("{} for each user", ByteSize(model::CACHED_BYTES)),
        ),
        step("memory", mib(need.redis_bytes), "both"),
        step(
            "memory of a plan",
            mib(model::usable_memory(&line.item, 1)),
            format!(
                "{} % of {}",
                grouped(model::MEMORY_SHARE * Decimal::ONE_HUNDRED),
                line.item.memory.map_or(String::new(), |memory| memory.to_string())
            ),
        ),
    ]
}

fn traffic(inputs: &Inputs, found: &Estimate) -> Vec<Step> {
    let mut steps = requests(inputs, found);
    steps.truncate(2);
    steps.push(step(
        "traffic",
        format!("{} GB a month", plain(found.need.traffic_gb.round())),
        format!("x {} B an answer, {} h a month", count(model::ANSWER_BYTES), model::MONTH_HOURS),
    ));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{Capacity, estimate};
    use crate::stack::Stack;

    #[test]
    fn every_topic_of_every_tier_ends_in_what_the_estimate_says() {
        let catalogue = Catalogue::builtin();
        let inputs = Inputs::new(&Stack::default(), Capacity::default());
        for users in [0, 10_000, 50_000] {
            let found = estimate(&catalogue, &inputs, users, jiff::civil::date(2026, 3, 1));
            for topic in topics(&found) {
                let shown = explain(&catalogue, &inputs, &found, topic).expect(topic);
                assert!(!shown.steps.is_empty(), "{topic}");
                if let Some(line) = found.line(topic) {
                    let quantity = shown.steps.iter().find(|step| step.name == "quantity").expect(topic);
                    assert_eq!(quantity.value, plural(line.quantity, &line.item.unit));
                }
            }
        }
    }

    #[test]
    fn an_unknown_topic_names_the_nearest() {
        let catalogue = Catalogue::builtin();
        let inputs = Inputs::new(&Stack::default(), Capacity::default());
        let found = estimate(&catalogue, &inputs, 10_000, jiff::civil::date(2026, 3, 1));
        let message = explain(&catalogue, &inputs, &found, "node").expect_err("unknown");
        assert_eq!(message, "unknown line item `node` on tier `production`; did you mean `nodes`?");
    }
}
