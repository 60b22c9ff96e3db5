//! What an apply changes: the live object against the server's own dry run of it, which has the same defaults.

use std::collections::BTreeSet;

use serde_json::Value;

/// More differences of one object are only counted.
const MOST: usize = 12;
/// Longer values are cut.
const LONGEST: usize = 60;
/// Fields that the server writes.
const SERVERS: [&str; 7] = [
    "managedFields",
    "resourceVersion",
    "generation",
    "uid",
    "creationTimestamp",
    "selfLink",
    "deletionTimestamp",
];

/// The differences as `path: old -> new`. Values of a Secret are never shown.
pub(crate) fn differences(kind: &str, live: &Value, wanted: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let secret = kind == "Secret";
    let parts: BTreeSet<&String> =
        [live, wanted].into_iter().filter_map(Value::as_object).flat_map(|map| map.keys()).collect();
    for part in parts {
        match part.as_str() {
            "status" | "apiVersion" | "kind" => {}
            "metadata" => metadata(&live["metadata"], &wanted["metadata"], &mut found),
            "data" | "stringData" if secret => {
                hidden(part, &live[part.as_str()], &wanted[part.as_str()], &mut found);
            }
            _ => walk(part, live.get(part), wanted.get(part), &mut found),
        }
    }
    if found.len() > MOST {
        let more = found.len() - MOST;
        found.truncate(MOST);
        found.push(format!("and {more} more"));
    }
    found
}

/// The values of `wanted` that `live` does not have, as `path: old -> new`; what only `live` has are defaults.
pub(crate) fn missing(kind: &str, live: &Value, wanted: &Value) -> Vec<String> {
    let mut merged = live.clone();
    overlay(&mut merged, wanted);
    differences(kind, live, &merged)
}

/// Puts the values of `over` into `value`; lists of named things are merged by name, other lists are replaced.
fn overlay(value: &mut Value, over: &Value) {
    match (value, over) {
        (Value::Object(value), Value::Object(over)) => {
            for (name, part) in over {
                match value.get_mut(name) {
                    Some(there) => overlay(there, part),
                    None => drop(value.insert(name.clone(), part.clone())),
                }
            }
        }
        (Value::Array(value), Value::Array(over)) if is_named(value) && is_named(over) => {
            for part in over {
                match value.iter_mut().find(|there| there["name"] == part["name"]) {
                    Some(there) => overlay(there, part),
                    None => value.push(part.clone()),
                }
            }
        }
        (Value::Array(value), Value::Array(over)) if value.len() == over.len() => {
            value.iter_mut().zip(over).for_each(|(there, part)| overlay(there, part));
        }
        (value, over) => *value = over.clone(),
    }
}

fn is_named(list: &[Value]) -> bool {
    list.iter().all(|value| value.get("name").is_some_and(Value::is_string))
}

fn metadata(live: &Value, wanted: &Value, found: &mut Vec<String>) {
    let strip = |value: &Value| {
        let mut value = value.clone();
        if let Some(map) = value.as_object_mut() {
            map.retain(|name, _| !SERVERS.contains(&name.as_str()));
        }
        value
    };
    walk("metadata", Some(&strip(live)), Some(&strip(wanted)), found);
}

/// Which values of a Secret differ, not how.
fn hidden(path: &str, live: &Value, wanted: &Value, found: &mut Vec<String>) {
    let names: BTreeSet<&String> =
        [live, wanted].into_iter().filter_map(Value::as_object).flat_map(|map| map.keys()).collect();
    for name in names {
        match (live.get(name), wanted.get(name)) {
            (None, Some(_)) => found.push(format!("{path}.{name}: added")),
            (Some(_), None) => found.push(format!("{path}.{name}: removed")),
            (old, new) if old != new => found.push(format!("{path}.{name}: changed")),
            _ => {}
        }
    }
}

fn walk(path: &str, old: Option<&Value>, new: Option<&Value>, found: &mut Vec<String>) {
    match (old, new) {
        (Some(old), Some(new)) if old == new => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for name in names {
                walk(&below(path, name), old.get(name), new.get(name), found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => list(path, old, new, found),
        (old, new) => found.push(format!("{path}: {} -> {}", shown(old), shown(new))),
    }
}

/// Lists of named things, such as containers, are compared by name; others by position.
fn list(path: &str, old: &[Value], new: &[Value], found: &mut Vec<String>) {
    let name = |value: &Value| value.get("name").and_then(Value::as_str).map(str::to_owned);
    if is_named(old) && is_named(new) {
        let names: BTreeSet<String> = old.iter().chain(new).filter_map(name).collect();
        let by = |list: &[Value], wanted: &str| {
            list.iter().find(|value| name(value).as_deref() == Some(wanted)).cloned()
        };
        for name in names {
            walk(&format!("{path}[{name}]"), by(old, &name).as_ref(), by(new, &name).as_ref(), found);
        }
        return;
    }
    for index in 0..old.len().max(new.len()) {
        walk(&format!("{path}[{index}]"), old.get(index), new.get(index), found);
    }
}

/// The path of a field below another.
pub(crate) fn below(path: &str, name: &str) -> String {
    if name.contains(['.', '/']) { format!("{path}[\"{name}\"]") } else { format!("{path}.{name}") }
}

/// A value in one short line.
pub(crate) fn shown(value: Option<&Value>) -> String {
    let text = match value {
        None => return "(none)".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", line.get(..at).unwrap_or_default()),
        None if line.len() < text.len() => format!("{line}…"),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_ignore_server_fields_and_match_by_name() {
        let live = json!({
            "metadata": {"name": "a", "uid": "1", "resourceVersion": "5", "labels": {"x.y/z": "1"}},
            "spec": {"containers": [{"name": "b", "image": "b:1"}, {"name": "a", "image": "a:1"}]},
            "status": {"ready": 1},
        });
        let wanted = json!({
            "metadata": {"name": "a", "uid": "2", "labels": {"x.y/z": "2"}},
            "spec": {"containers": [{"name": "a", "image": "a:2"}, {"name": "b", "image": "b:1"}]},
        });
        assert_eq!(differences("Deployment", &live, &live), Vec::<String>::new());
        assert_eq!(
            differences("Deployment", &live, &wanted),
            ["metadata.labels[\"x.y/z\"]: 1 -> 2", "spec.containers[a].image: a:1 -> a:2"]
        );
    }

    #[test]
    fn values_of_a_secret_are_never_shown() {
        let live =
            json!({"metadata": {"name": "a"}, "data": {"old": "b2xk", "same": "eA==", "gone": "eA=="}});
        let wanted =
            json!({"metadata": {"name": "a"}, "data": {"old": "bmV3", "same": "eA==", "new": "eA=="}});
        assert_eq!(
            differences("Secret", &live, &wanted),
            ["data.gone: removed", "data.new: added", "data.old: changed"]
        );
    }

    #[test]
    fn many_and_long_differences_are_cut() {
        let object = |text: &str| json!({"data": (0..30).map(|n| (format!("k{n:02}"), text.into())).collect::<serde_json::Map<_, _>>()});
        let found = differences("ConfigMap", &object("a"), &object(&"b".repeat(200)));
        assert_eq!(found.len(), MOST + 1);
        assert_eq!(found.last().unwrap(), "and 18 more");
        assert!(found[0].len() < 90, "{}", found[0]);
    }
}
