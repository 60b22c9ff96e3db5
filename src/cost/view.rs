//! The other ways to look at estimates: explanations, comparisons, the chart; each as JSON, text and rows. Pure.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::cost::chart::Point;
use crate::cost::compare::{self, Mark, Offer, Pair};
use crate::cost::data::{self, Setting};
use crate::cost::estimate::{Estimate, Line};
use crate::cost::explain::Explanation;
use crate::cost::money::{Currency, count, plain};
use crate::cost::remarks::plural;
use crate::cost::report;
use crate::output::table;

/// One answer in every form.
#[derive(Clone, Debug)]
pub struct View {
    /// For programs.
    pub json: Value,
    /// For people.
    pub text: String,
    /// For spreadsheets, the head first.
    pub rows: Vec<Vec<String>>,
}

fn head(cells: &[&str]) -> Vec<Vec<String>> {
    vec![cells.iter().map(|cell| (*cell).to_owned()).collect()]
}

/// The steps to one number.
pub fn explanation(found: &Estimate, explained: &Explanation) -> View {
    let steps = explained.steps.iter();
    let json = json!({
        "topic": explained.topic,
        "title": explained.title,
        "users_per_day": found.users,
        "tier": found.tier.name,
        "steps": steps.clone().map(|step| json!({"name": step.name, "value": step.value, "how": step.how})).collect::<Vec<_>>(),
    });
    let cells: Vec<Vec<String>> =
        steps.map(|step| vec![step.name.clone(), step.value.clone(), step.how.clone()]).collect();
    let mut rows = head(&["name", "value", "how"]);
    rows.extend(cells.clone());
    View { json, text: format!("{}\n\n{}", explained.title, table(&["step", "value", "how"], cells)), rows }
}

/// Two estimates line by line. Each side has a name: a tier or a file.
pub fn difference(setting: Setting<'_>, names: (&str, &str), from: &Estimate, to: &Estimate) -> View {
    let currency = &setting.catalogue.currency;
    let pairs = compare::pairs(from, to);
    let change = to.total.minus(from.total);
    let json = json!({
        "currency": currency.0,
        "users_per_day": to.users,
        "from": side(names.0, from),
        "to": side(names.1, to),
        "items": pairs.iter().map(|pair| json!({
            "id": pair.id,
            "change": pair.mark.as_str(),
            "from": pair.from.map(data::item),
            "to": pair.to.map(data::item),
        })).collect::<Vec<_>>(),
        "change": change,
    });
    let mut text = format!("{} users a day: {} -> {}\n\n", count(to.users), names.0, names.1);
    let mut lines = Vec::new();
    let mut rows = head(&["change", "item", "from", "to", "from_low", "from_high", "to_low", "to_high"]);
    for pair in pairs {
        let amounts = |line: Option<&Line>| {
            let amount = line.map(|line| line.amount);
            [amount.map(|a| plain(a.low)), amount.map(|a| plain(a.high))].map(Option::unwrap_or_default)
        };
        let name = |line: Option<&Line>| line.map(|line| line.item.name.clone()).unwrap_or_default();
        let mut row = vec![pair.mark.word().to_owned(), pair.id.to_owned(), name(pair.from), name(pair.to)];
        row.extend(amounts(pair.from));
        row.extend(amounts(pair.to));
        rows.push(row);
        if pair.mark != Mark::Same {
            lines.push(vec![
                format!("{} {}", pair.mark.as_str(), pair.id),
                between(&pair, |line| line.item.name.clone()),
                between(&pair, |line| plural(line.quantity, &line.item.unit)),
                between(&pair, |line| paid(currency, line)),
            ]);
        }
    }
    if lines.is_empty() {
        text.push_str("no difference\n");
    } else {
        text.push_str(&table(&["item", "what", "quantity", "a month"], lines));
    }
    let total = if from.total == to.total {
        currency.range(to.total)
    } else {
        format!(
            "{} -> {} ({})",
            currency.range(from.total),
            currency.range(to.total),
            currency.change(change)
        )
    };
    text.push_str(&format!("\n  total  {total}\n"));
    for (name, found) in [(names.0, from), (names.1, to)] {
        if let Some(reason) = &found.exceeded {
            text.push_str(&format!("  {name} is too small for these users: {reason}\n"));
        }
    }
    text.push_str(&report::footer(setting));
    View { json, text, rows }
}

fn side(name: &str, found: &Estimate) -> Value {
    let mut value = data::tier(found);
    value["name"] = name.into();
    value
}

fn paid(currency: &Currency, line: &Line) -> String {
    if line.item.included { "included".to_owned() } else { currency.range(line.amount) }
}

/// `old -> new`, or one of both when they are the same or there is no other.
fn between(pair: &Pair<'_>, cell: impl Fn(&Line) -> String) -> String {
    match (pair.from.map(&cell), pair.to.map(&cell)) {
        (Some(from), Some(to)) if from != to => format!("{from} -> {to}"),
        (from, to) => to.or(from).unwrap_or_default(),
    }
}

/// All tiers for the same users.
pub fn tiers(setting: Setting<'_>, chosen: &Estimate, tiers: &[Estimate]) -> View {
    let currency = &setting.catalogue.currency;
    let json = json!({
        "currency": currency.0,
        "users_per_day": chosen.users,
        "tier": chosen.tier.name,
        "tiers": tiers.iter().map(data::tier).collect::<Vec<_>>(),
    });
    let cells: Vec<Vec<String>> = tiers
        .iter()
        .map(|found| {
            let mark = if found.tier.name == chosen.tier.name { "*" } else { " " };
            vec![
                format!("{mark} {}", found.tier.name),
                currency.range(found.total),
                currency.change(found.total.minus(chosen.total)),
                compare::verdict(found),
            ]
        })
        .collect();
    let mut text = format!("{} users a day on each tier (* the one that is chosen)\n\n", count(chosen.users));
    text.push_str(&table(&["tier", "a month", "against *", "verdict"], cells));
    text.push_str(&report::footer(setting));
    let mut rows = head(&["tier", "users_per_day", "low", "high", "verdict"]);
    rows.extend(tiers.iter().map(|found| {
        let amounts = (plain(found.total.low), plain(found.total.high));
        vec![found.tier.name.clone(), found.users.to_string(), amounts.0, amounts.1, compare::verdict(found)]
    }));
    View { json, text, rows }
}

/// What others ask for the parts of an estimate.
pub fn offers(setting: Setting<'_>, found: &Estimate, offers: &[Offer<'_>]) -> View {
    let currency = &setting.catalogue.currency;
    let json = json!({
        "currency": currency.0,
        "users_per_day": found.users,
        "tier": found.tier.name,
        "total": found.total,
        "offers": offers.iter().map(offer).collect::<Vec<_>>(),
    });
    let mut cells: Vec<Vec<String>> = Vec::new();
    for line in found.lines.iter().filter(|line| !line.item.included) {
        let day = line.item.origin.as_of.map_or("undated".to_owned(), |day| day.to_string());
        cells.push(vec![
            line.item.id.clone(),
            format!("* {}", line.item.name),
            currency.range(line.amount),
            currency.range(found.total),
            String::new(),
            day,
            line.item.origin.confidence.as_str().to_owned(),
        ]);
        for offer in offers.iter().filter(|offer| offer.line.item.id == line.item.id) {
            let origin = &offer.alternative.origin;
            cells.push(vec![
                String::new(),
                format!("  {}: {}", offer.alternative.provider, offer.alternative.name),
                currency.range(offer.amount),
                currency.range(offer.total),
                currency.change(offer.change),
                origin.as_of.map_or("undated".to_owned(), |day| day.to_string()),
                origin.confidence.as_str().to_owned(),
            ]);
        }
    }
    let mut text = format!(
        "{} users a day on tier `{}`: the catalogue's items (*) and alternatives\n\n",
        count(found.users),
        found.tier.name
    );
    text.push_str(&table(
        &["item", "from", "a month", "total with it", "change", "price of", "confidence"],
        cells,
    ));
    text.push_str(&format!("\n  CDN traffic  {}\n", compare::traffic(found)));
    let notes: Vec<String> = offers
        .iter()
        .filter_map(|offer| {
            let one = offer.alternative;
            Some(format!(
                "{}, {}: {} ({})",
                one.provider,
                one.name,
                one.origin.note.as_ref()?,
                one.origin.source
            ))
        })
        .collect();
    text.push_str(&report::notes(&notes));
    text.push_str(&report::footer(setting));
    let mut rows = head(&[
        "item",
        "provider",
        "name",
        "low",
        "high",
        "total_low",
        "total_high",
        "as_of",
        "source",
        "confidence",
        "note",
    ]);
    rows.extend(offers.iter().map(|offer| {
        let one = offer.alternative;
        vec![
            one.item.clone(),
            one.provider.clone(),
            one.name.clone(),
            plain(offer.amount.low),
            plain(offer.amount.high),
            plain(offer.total.low),
            plain(offer.total.high),
            one.origin.as_of.map(|day| day.to_string()).unwrap_or_default(),
            one.origin.source.clone(),
            one.origin.confidence.as_str().to_owned(),
            one.origin.note.clone().unwrap_or_default(),
        ]
    }));
    View { json, text, rows }
}

fn offer(offer: &Offer<'_>) -> Value {
    let one = offer.alternative;
    json!({
        "item": one.item,
        "provider": one.provider,
        "name": one.name,
        "low": plain(offer.amount.low),
        "high": plain(offer.amount.high),
        "total": offer.total,
        "change": offer.change,
        "as_of": one.origin.as_of.map(|day| day.to_string()),
        "source": one.origin.source,
        "confidence": one.origin.confidence.as_str(),
        "note": one.origin.note,
    })
}

/// Cost over users.
pub fn chart(setting: Setting<'_>, points: &[Point], text: String, budget: Option<Decimal>) -> View {
    let json = json!({
        "currency": setting.catalogue.currency.0,
        "budget": budget.map(plain),
        "points": points.iter().map(|point| json!({
            "users_per_day": point.users,
            "tier": point.tier,
            "total": point.total,
            "extrapolated": point.extrapolated,
        })).collect::<Vec<_>>(),
    });
    let mut rows = head(&["users_per_day", "tier", "low", "high", "extrapolated"]);
    rows.extend(points.iter().map(|point| {
        let amounts = (plain(point.total.low), plain(point.total.high));
        vec![
            point.users.to_string(),
            point.tier.clone(),
            amounts.0,
            amounts.1,
            point.extrapolated.to_string(),
        ]
    }));
    View { json, text, rows }
}
