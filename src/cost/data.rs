//! Estimates as JSON and CSV. Money is decimal text. Pure.

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::cost::assumptions::Assumption;
use crate::cost::catalogue::Catalogue;
use crate::cost::estimate::{Estimate, Limit, Line};
use crate::cost::model::Need;
use crate::cost::money::plain;

/// What every answer of `cost` carries besides its numbers.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// The prices.
    pub catalogue: &'a Catalogue,
    /// What the model rests on.
    pub assumptions: &'a [Assumption],
    /// What prices are old by.
    pub today: Date,
}

/// The document of `cost -o json`: the chosen estimate, when users were given, and each tier as the catalogue shows it.
pub fn document(setting: Setting<'_>, chosen: Option<&Estimate>, tiers: &[Estimate]) -> Value {
    let assumptions: Vec<Value> = setting
        .assumptions
        .iter()
        .map(|one| json!({"name": one.name, "value": one.value, "source": one.source}))
        .collect();
    json!({
        "currency": setting.catalogue.currency.0,
        "users_per_day": chosen.map(|found| found.users),
        "tier": chosen.map(|found| &found.tier.name),
        "total": chosen.map(|found| found.total),
        "per_1000_users": chosen.and_then(Estimate::per_thousand),
        "items": chosen.map(|found| found.lines.iter().map(item).collect::<Vec<_>>()).unwrap_or_default(),
        "binds": chosen.map(binds),
        "limits": chosen.map(|found| found.limits.iter().map(limit).collect::<Vec<_>>()).unwrap_or_default(),
        "need": chosen.map(|found| need(&found.need)),
        "why": chosen.map(|found| &found.why),
        "next_tier": chosen.and_then(|found| found.next.as_ref()).map(|next| {
            json!({"tier": next.tier, "from_users_per_day": next.from, "total": next.total})
        }),
        "notes": chosen.map(|found| found.notes.clone()).unwrap_or_default(),
        "tiers": tiers.iter().map(tier).collect::<Vec<_>>(),
        "assumptions": assumptions,
        "not_included": setting.catalogue.not_included,
        "catalogue": setting.catalogue.title,
        "as_of": setting.today.to_string(),
    })
}

/// One tier within a document.
pub fn tier(found: &Estimate) -> Value {
    json!({
        "tier": found.tier.name,
        "title": found.tier.title,
        "users_per_day": found.users,
        "up_to": found.tier.up_to,
        "total": found.total,
        "per_1000_users": found.per_thousand(),
        "exceeded": found.exceeded,
        "items": found.lines.iter().map(item).collect::<Vec<_>>(),
        "binds": binds(found),
        "notes": found.notes,
    })
}

/// One line item.
pub fn item(line: &Line) -> Value {
    json!({
        "name": line.item.name,
        "id": line.item.id,
        "quantity": line.quantity,
        "unit": line.item.unit,
        "unit_price": line.item.price,
        "low": plain(line.amount.low),
        "high": plain(line.amount.high),
        "included": line.item.included,
        "rule": line.rule.as_str(),
        "as_of": line.item.origin.as_of.map(|day| day.to_string()),
        "age_days": line.age,
        "stale": line.stale,
        "source": line.item.origin.source,
        "confidence": line.item.origin.confidence.as_str(),
        "list_price": line.item.list_price.as_ref().map(|list| plain(list.amount)),
        "note": line.item.origin.note,
    })
}

fn binds(found: &Estimate) -> Value {
    json!({"constraint": found.binds.rule.as_str(), "explanation": found.binds.text})
}

fn limit(limit: &Limit) -> Value {
    json!({
        "name": limit.name,
        "needed": rounded(limit.needed),
        "available": rounded(limit.available),
        "unit": limit.unit,
        "percent": limit.percent().map(plain),
    })
}

fn need(need: &Need) -> Value {
    json!({
        "requests_per_second": rounded(need.average),
        "peak_requests_per_second": rounded(need.peak),
        "in_flight": rounded(need.in_flight),
        "concurrent_users": rounded(need.concurrent),
        "replicas": need.replicas,
        "replicas_for_load": need.replicas_for_load,
        "nodes": need.nodes,
        "nodes_for_load": need.nodes_for_load,
        "store_nodes": need.store_nodes,
        "mongodb_connections": need.connections,
        "redis_bytes": need.redis_bytes,
        "traffic_gb": rounded(need.traffic_gb),
    })
}

fn rounded(number: Decimal) -> String {
    plain(number.round_dp(2))
}

/// The line items of several estimates as CSV, each with its total.
pub fn csv(currency: &str, estimates: &[Estimate]) -> String {
    let head = [
        "tier",
        "users_per_day",
        "item",
        "name",
        "quantity",
        "unit",
        "low",
        "high",
        "currency",
        "as_of",
        "source",
        "confidence",
        "note",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for found in estimates {
        let mut row = |cells: [String; 11]| {
            let mut all = vec![found.tier.name.clone(), found.users.to_string()];
            all.extend(cells);
            rows.push(all);
        };
        for line in &found.lines {
            let origin = &line.item.origin;
            row([
                line.item.id.clone(),
                line.item.name.clone(),
                line.quantity.to_string(),
                line.item.unit.clone(),
                plain(line.amount.low),
                plain(line.amount.high),
                currency.to_owned(),
                origin.as_of.map(|day| day.to_string()).unwrap_or_default(),
                origin.source.clone(),
                origin.confidence.as_str().to_owned(),
                origin.note.clone().unwrap_or_default(),
            ]);
        }
        let total = ["total", "total", "", "", &plain(found.total.low), &plain(found.total.high), currency];
        let mut cells = total.map(str::to_owned).to_vec();
        cells.resize(11, String::new());
        let Ok(cells) = cells.try_into() else { continue };
        row(cells);
    }
    lines(&rows)
}

/// Rows as RFC 4180 has them, with plain newlines. A text that a spreadsheet would take for a formula begins with `'`,
/// which makes it a text there too.
pub fn lines(rows: &[Vec<String>]) -> String {
    let quoted = |cell: &String| {
        let number = Decimal::from_str_exact(cell).is_ok();
        if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && !number {
            format!("\"'{}\"", cell.replace('"', "\"\""))
        } else if cell.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell.clone()
        }
    };
    rows.iter().map(|row| row.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cell_that_looks_like_a_formula_is_a_text() {
        for (cell, line) in [
            ("=1+1", "\"'=1+1\"\n"),
            ("+49 30 1", "\"'+49 30 1\"\n"),
            ("@SUM(A1)", "\"'@SUM(A1)\"\n"),
            ("-cmd|' /C calc'!\"A0\"", "\"'-cmd|' /C calc'!\"\"A0\"\"\"\n"),
            ("\t=1", "\"'\t=1\"\n"),
            ("-4.50", "-4.50\n"),
            ("a=b", "a=b\n"),
        ] {
            assert_eq!(lines(&[vec![cell.to_owned()]]), line);
        }
    }
}
