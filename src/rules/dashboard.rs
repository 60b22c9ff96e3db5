//! The panels as a dashboard of Grafana.
//!
//! Classic JSON: files that provision Grafana may not have the newer schema. Each query names its data source by the variable
//! `datasource`, so that the dashboard imports anywhere.

use serde_json::{Value, json};

use super::facts::Facts;
use super::panel::{Drawing, Panel, Query, Unit};
use super::panels::panels;

/// The version of the classic schema.
const SCHEMA: u32 = 42;
/// Columns of a dashboard.
const COLUMNS: usize = 24;
/// The longest identifier of a dashboard that Grafana takes.
const LONGEST_UID: usize = 40;

/// The content of the dashboard's JSON file.
pub fn dashboard(facts: &Facts) -> Value {
    let uid: String = format!("appforge-{}", facts.stack).chars().take(LONGEST_UID).collect();
    json!({
        "uid": uid,
        "title": format!("{} (appforge)", facts.stack),
        "description": format!("The stack {}: what its users get, and what it runs on", facts.stack),
        "tags": ["appforge"],
        "schemaVersion": SCHEMA,
        "editable": true,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [datasource(), instance(facts)]},
        "annotations": {"list": annotations(facts)},
        "panels": placed(&panels(facts)),
    })
}

fn source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

fn datasource() -> Value {
    json!({"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1})
}

fn instance(facts: &Facts) -> Value {
    let query = format!("label_values(up{{{}}}, instance)", facts.of_service());
    json!({
        "name": "instance",
        "label": "Replica",
        "type": "query",
        "datasource": source(),
        "query": {"query": query, "refId": "instance"},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "includeAll": true,
        "allValue": ".+",
        "multi": true,
        "current": {"text": ["All"], "value": ["$__all"]},
    })
}

/// Ticks over all panels.
fn annotations(facts: &Facts) -> Vec<Value> {
    let service = facts.of_service();
    let tick = |name: &str, color: &str, expression: String, title: &str| {
        json!({
            "name": name,
            "enable": true,
            "datasource": source(),
            "iconColor": color,
            "expr": expression,
            "titleFormat": title,
            "step": "30s",
        })
    };
    vec![
        tick(
            "Restarts",
            "orange",
            format!("changes(process_start_time_seconds{{{service}}}[1m]) > 0"),
            "{{instance}} restarted",
        ),
        tick(
            "Load tests",
            "blue",
            format!(
                "sum by (stack) (rate(ratelimit_client_ip_source_total{{{service},source=\"probe\"}}[1m])) > 1"
            ),
            "load test",
        ),
        tick(
            "Versions",
            "green",
            format!(
                "count by (version) (appforge_build_info{{{service}}}) unless count by (version) (appforge_build_info{{{service}}} offset 1m)"
            ),
            "version {{version}}",
        ),
    ]
}

/// The panels with their rows, each in its place.
fn placed(panels: &[Panel]) -> Vec<Value> {
    let (mut placed, mut row) = (Vec::new(), None);
    let (mut x, mut y, mut height) = (0, 0, 0);
    for panel in panels {
        let (width, tall) = match panel.drawing {
            Drawing::Number => (3, 4),
            Drawing::Lines => (8, 8),
        };
        if row != Some(panel.row) {
            row = Some(panel.row);
            y += height;
            let id = placed.len() + 1;
            let place = json!({"x": 0, "y": y, "w": COLUMNS, "h": 1});
            placed.push(json!({"id": id, "type": "row", "title": panel.row, "collapsed": false, "gridPos": place, "panels": []}));
            (x, y, height) = (0, y + 1, tall);
        } else if x + width > COLUMNS {
            (x, y) = (0, y + height);
        }
        let place = json!({"x": x, "y": y, "w": width, "h": tall});
        placed.push(picture(placed.len() + 1, panel, &place));
        x += width;
    }
    placed
}

fn picture(id: usize, panel: &Panel, place: &Value) -> Value {
    let mut steps = vec![json!({"color": "green", "value": null})];
    steps.extend(panel.limit.map(|limit| json!({"color": "red", "value": limit})));
    let (kind, custom, options) = match panel.drawing {
        Drawing::Number => ("stat", json!({}), number()),
        Drawing::Lines => {
            let shown = if panel.limit.is_some() { "line" } else { "off" };
            let custom = json!({"lineWidth": 1, "fillOpacity": 8, "showPoints": "never", "thresholdsStyle": {"mode": shown}});
            ("timeseries", custom, chart())
        }
    };
    json!({
        "id": id,
        "type": kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": source(),
        "gridPos": place,
        "fieldConfig": {
            "defaults": {
                "unit": unit(panel.unit),
                "thresholds": {"mode": "absolute", "steps": steps},
                "custom": custom,
            },
            "overrides": [],
        },
        "options": options,
        "targets": panel.queries.iter().zip('A'..='Z').map(target).collect::<Vec<_>>(),
    })
}

fn number() -> Value {
    json!({
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "auto",
        "textMode": "value",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false},
    })
}

fn chart() -> Value {
    json!({
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    })
}

fn target((query, name): (&Query, char)) -> Value {
    json!({
        "refId": name.to_string(),
        "datasource": source(),
        "editorMode": "code",
        "expr": query.expression,
        "legendFormat": query.legend,
        "range": true,
    })
}

/// As Grafana names it.
fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Count | Unit::Cores => "short",
        Unit::PerSecond => "ops",
        Unit::Seconds => "s",
        Unit::Bytes => "bytes",
        Unit::Share => "percentunit",
    }
}
