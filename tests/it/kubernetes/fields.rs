//! Fields and their owners, as server-side apply sees them: what a manager's object names, where two of them differ, and one laid
//! over the other. Lists of named items are merged by name, other lists are one value.

use serde_json::{Map, Value, json};

fn named(list: &[Value]) -> bool {
    !list.is_empty() && list.iter().all(|item| item["name"].is_string())
}

fn item<'a>(list: &'a [Value], name: &Value) -> Option<&'a Value> {
    list.iter().find(|item| item["name"] == *name)
}

/// The `fieldsV1` of an object.
pub(super) fn fields(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            map.iter().map(|(name, value)| (format!("f:{name}"), fields(value))).collect::<Map<_, _>>().into()
        }
        Value::Array(list) if named(list) => {
            let part = |item: &Value| {
                let mut inner = fields(item);
                inner["."] = json!({});
                (format!("k:{{\"name\":{}}}", item["name"]), inner)
            };
            list.iter().map(part).collect::<Map<_, _>>().into()
        }
        _ => json!({}),
    }
}

/// Lays an object over another.
pub(super) fn overlay(value: &mut Value, over: &Value) {
    match (value, over) {
        (Value::Object(value), Value::Object(over)) => {
            for (name, part) in over {
                overlay(value.entry(name.clone()).or_insert(Value::Null), part);
            }
        }
        (Value::Array(value), Value::Array(over)) if named(value) && named(over) => {
            for part in over {
                match value.iter_mut().find(|item| item["name"] == part["name"]) {
                    Some(there) => overlay(there, part),
                    None => value.push(part.clone()),
                }
            }
        }
        (value, over) => *value = over.clone(),
    }
}

/// Where an object has another value than a second one, as paths of the real server's conflicts.
pub(super) fn conflicts(path: &str, theirs: &Value, ours: &Value) -> Vec<String> {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            let both = theirs.iter().filter_map(|(name, value)| Some((name, value, ours.get(name)?)));
            both.flat_map(|(name, theirs, ours)| conflicts(&format!("{path}.{name}"), theirs, ours)).collect()
        }
        (Value::Array(theirs), Value::Array(ours)) if named(theirs) && named(ours) => {
            let both = theirs.iter().filter_map(|value| Some((value, item(ours, &value["name"])?)));
            both.flat_map(|(theirs, ours)| {
                conflicts(&format!("{path}[name={}]", theirs["name"]), theirs, ours)
            })
            .collect()
        }
        (theirs, ours) if theirs == ours => Vec::new(),
        _ => vec![path.to_owned()],
    }
}

/// What is left of an object when its values that differ from a second one are taken away.
pub(super) fn yielding(theirs: &Value, ours: &Value) -> Value {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            let left = theirs.iter().filter_map(|(name, value)| match ours.get(name) {
                Some(ours) if !value.is_object() && !value.is_array() && value != ours => None,
                Some(ours) => Some((name.clone(), yielding(value, ours))),
                None => Some((name.clone(), value.clone())),
            });
            left.collect::<Map<_, _>>().into()
        }
        (Value::Array(theirs), Value::Array(ours)) if named(theirs) && named(ours) => {
            let part = |value: &Value| {
                item(ours, &value["name"]).map_or_else(|| value.clone(), |ours| yielding(value, ours))
            };
            theirs.iter().map(part).collect()
        }
        (theirs, _) => theirs.clone(),
    }
}

/// What is left of an object when a manager owns these fields only.
pub(super) fn restricted(value: &Value, fields: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let left = map
                .iter()
                .filter_map(|(name, value)| {
                    let owned = fields.get(format!("f:{name}"))?;
                    Some((name.clone(), restricted(value, owned)))
                })
                .collect::<Map<_, _>>();
            left.into()
        }
        Value::Array(list) if named(list) => {
            let part = |item: &Value| {
                let mut left = restricted(item, fields.get(format!("k:{{\"name\":{}}}", item["name"]))?);
                left["name"] = item["name"].clone();
                Some(left)
            };
            list.iter().filter_map(part).collect()
        }
        value => value.clone(),
    }
}
