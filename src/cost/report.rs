//! Estimates for people. Pure.

use rust_decimal::Decimal;

use crate::cost::assumptions::platform;
use crate::cost::data::Setting;
use crate::cost::estimate::{Estimate, Limit, Line};
use crate::cost::money::{count, grouped};
use crate::cost::remarks::{extrapolation, plural};
use crate::output::table;

/// One estimate: line items, the limiting factor, limits, assumptions, notes.
pub fn estimate(setting: Setting<'_>, found: &Estimate) -> String {
    let currency = &setting.catalogue.currency;
    let mut text = format!(
        "{} users a day: {} a month on tier `{}` ({})\n\n",
        count(found.users),
        currency.range(found.total),
        found.tier.name,
        found.tier.title
    );
    text.push_str(&items(setting, found));
    let mut facts = Vec::new();
    if let Some(each) = found.per_thousand() {
        facts.push(("per 1,000 users", format!("{} a month", currency.range(each))));
    }
    facts.push(("limiting factor", found.binds.text.clone()));
    facts.push(("tier", found.why.clone()));
    match &found.next {
        Some(next) => facts.push((
            "next tier",
            format!("{} from {} users a day: {}", next.tier, count(next.from), currency.range(next.total)),
        )),
        None => facts.push(("next tier", format!("none; this tier grows: {}", extrapolation(&found.tier)))),
    }
    let need = &found.need;
    facts.push((
        "load",
        format!(
            "{} req/s on average, {} at the peak, {} in flight, {} users at once",
            short(need.average),
            short(need.peak),
            short(need.in_flight),
            short(need.concurrent)
        ),
    ));
    facts.push((
        "replicas",
        format!(
            "{} ({} for the load, minimum {})",
            count(need.replicas),
            count(need.replicas_for_load),
            count(need.replica_floor)
        ),
    ));
    facts.push(("CDN traffic", format!("{} GB a month", count_of(need.traffic_gb))));
    text.push('\n');
    text.push_str(&pairs(&facts));
    text.push('\n');
    text.push_str(&limits(&found.limits));
    text.push_str("\nAssumptions\n");
    let rows: Vec<(&str, String)> =
        setting.assumptions.iter().map(|one| (one.name, format!("{} ({})", one.value, one.source))).collect();
    text.push_str(&pairs(&rows));
    let of_items = found.lines.iter().filter_map(|line| {
        let note = line.item.origin.note.as_ref().filter(|_| line.item.list_price.is_none())?;
        Some(format!("{}: {note}", line.item.name))
    });
    text.push_str(&notes(&found.notes.iter().cloned().chain(of_items).collect::<Vec<_>>()));
    text.push_str(&footer(setting));
    text
}

fn items(setting: Setting<'_>, found: &Estimate) -> String {
    let currency = &setting.catalogue.currency;
    let mut rows: Vec<Vec<String>> = found
        .lines
        .iter()
        .map(|line| {
            let origin = &line.item.origin;
            let day = origin.as_of.map_or("undated".to_owned(), |day| day.to_string());
            vec![
                line.item.name.clone(),
                plural(line.quantity, &line.item.unit),
                if line.item.included { "-".to_owned() } else { currency.range(line.item.price) },
                amount(setting, line),
                line.rule.as_str().to_owned(),
                if line.stale { format!("{day} (old)") } else { day },
                origin.confidence.as_str().to_owned(),
            ]
        })
        .collect();
    rows.push(vec!["total".to_owned(), String::new(), String::new(), currency.range(found.total)]);
    for row in &mut rows {
        row.resize(7, String::new());
    }
    table(&["item", "quantity", "each", "a month", "set by", "price of", "confidence"], rows)
}

fn amount(setting: Setting<'_>, line: &Line) -> String {
    if line.item.included { "included".to_owned() } else { setting.catalogue.currency.range(line.amount) }
}

fn limits(limits: &[Limit]) -> String {
    let rows = limits.iter().map(|limit| {
        vec![
            limit.name.to_owned(),
            short(limit.needed),
            short(limit.available),
            limit.unit.to_owned(),
            limit.percent().map_or("-".to_owned(), |percent| format!("{} %", grouped(percent))),
        ]
    });
    table(&["limit", "needed", "available", "unit", "used"], rows.collect())
}

/// All tiers side by side, each for the users that it is shown for.
pub fn side_by_side(setting: Setting<'_>, tiers: &[Estimate]) -> String {
    let currency = &setting.catalogue.currency;
    let mut head = vec!["a month"];
    head.extend(tiers.iter().map(|found| found.tier.name.as_str()));
    let row = |name: &str, cell: &dyn Fn(&Estimate) -> String| {
        let mut cells = vec![name.to_owned()];
        cells.extend(tiers.iter().map(cell));
        cells
    };
    let mut rows = vec![
        row("users a day", &|found| {
            found.tier.up_to.map_or("more".to_owned(), |most| format!("up to {}", count(most)))
        }),
        row("shown for", &|found| count(found.users)),
        row("runs on", &|found| platform(found.tier.target).to_owned()),
    ];
    let mut ids: Vec<&str> = Vec::new();
    for line in tiers.iter().flat_map(|found| &found.lines) {
        if !ids.contains(&line.item.id.as_str()) {
            ids.push(&line.item.id);
        }
    }
    for id in ids {
        rows.push(row(id, &|found| {
            found.line(id).map_or("-".to_owned(), |line| {
                let number =
                    if line.quantity == 1 { String::new() } else { format!("{} x ", count(line.quantity)) };
                format!("{number}{}: {}", line.item.name, amount(setting, line))
            })
        }));
    }
    rows.push(row("total", &|found| currency.range(found.total)));
    rows.push(row("per 1,000 users", &|found| {
        found.per_thousand().map_or("-".to_owned(), |each| currency.range(each))
    }));
    rows.push(row("limiting factor", &|found| found.binds.rule.as_str().to_owned()));
    let mut text = table(&head, rows);
    let mut all: Vec<String> = Vec::new();
    for note in tiers.iter().flat_map(|found| &found.notes) {
        if !all.contains(note) {
            all.push(note.clone());
        }
    }
    text.push_str(&notes(&all));
    text.push_str(&footer(setting));
    text
}

/// `Notes` and one line each; nothing without notes.
pub fn notes(notes: &[String]) -> String {
    if notes.is_empty() {
        return String::new();
    }
    let lines: Vec<String> = notes.iter().map(|note| format!("  {note}\n")).collect();
    format!("\nNotes\n{}", lines.concat())
}

/// Whose prices these are, and what they leave out.
pub fn footer(setting: Setting<'_>) -> String {
    let mut text = format!("\nPrices: {}, their age as of {}\n", setting.catalogue.title, setting.today);
    if !setting.catalogue.not_included.is_empty() {
        text.push_str(&format!("Not included: {}\n", setting.catalogue.not_included.join(", ")));
    }
    text
}

/// `name  value` lines with aligned values.
pub fn pairs(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    pairs.iter().map(|(name, value)| format!("  {name:width$}  {value}\n")).collect()
}

/// A number to at most one decimal place: `28.9`, `210`.
pub fn short(number: Decimal) -> String {
    let rounded = number.round_dp(1).normalize();
    let tenth = (rounded.fract() * Decimal::TEN).trunc();
    if tenth.is_zero() { grouped(rounded) } else { format!("{}.{tenth}", grouped(rounded.trunc())) }
}

fn count_of(number: Decimal) -> String {
    grouped(number.round())
}
