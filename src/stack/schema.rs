//! The JSON schema of the stack file, as editors use it: every key may be absent or, where it is a section, empty. Pure.

use serde_json::{Map, Value, json};

use crate::stack::Stack;

/// The schema.
pub(crate) fn schema() -> Value {
    let mut schema = serde_json::to_value(schemars::schema_for!(Stack)).unwrap_or_default();
    let definitions = schema.get("$defs").and_then(Value::as_object).cloned().unwrap_or_default();
    let sections: Vec<String> = definitions
        .iter()
        .filter(|(_, definition)| definition.get("properties").is_some())
        .map(|(name, _)| format!("#/$defs/{name}"))
        .collect();
    loosen(&mut schema, &sections);
    let loosened: Map<String, Value> = definitions
        .into_iter()
        .map(|(name, mut definition)| {
            loosen(&mut definition, &sections);
            (name, definition)
        })
        .collect();
    schema["$defs"] = loosened.into();
    schema
}

/// What a type says of itself, as the file may have it: a layer sets some keys, the defaults have the others.
fn loosen(definition: &mut Value, sections: &[String]) {
    take_numbers(definition);
    let Some(members) = definition.as_object_mut() else { return };
    if let Some(properties) = members.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(|property| loosen_property(property, sections));
        members.shift_remove("required");
    }
}

fn loosen_property(property: &mut Value, sections: &[String]) {
    take_numbers(property);
    let Some(members) = property.as_object_mut() else { return };
    if let Some(items) = members.get_mut("items") {
        take_numbers(items);
    }
    // `service.env`: the text of a number or a boolean is a string too.
    if let Some(values) = members.get_mut("additionalProperties").filter(|values| values["type"] == "string")
    {
        values["type"] = json!(["string", "number", "boolean"]);
    }
    // The lists of `patches`.
    if let Some(values) = members.get_mut("additionalProperties").filter(|values| values["type"] == "array") {
        values["type"] = json!(["array", "null"]);
    }
    if let Some(kind) = members.get_mut("type").filter(|kind| **kind == "object" || **kind == "array") {
        *kind = json!([kind.clone(), "null"]);
    }
    let section =
        members.get("$ref").and_then(Value::as_str).filter(|name| sections.iter().any(|s| s == name));
    if let Some(name) = section.map(str::to_owned) {
        members.shift_remove("$ref");
        members.insert("anyOf".to_owned(), json!([{"$ref": name}, {"type": "null"}]));
    }
}

/// A string is what was written, so what YAML takes for a number is one too.
fn take_numbers(value: &mut Value) {
    let Some(members) = value.as_object_mut() else { return };
    if ["const", "enum", "format"].iter().any(|key| members.contains_key(*key)) {
        return;
    }
    let Some(kind) = members.get_mut("type") else { return };
    if *kind == "string" {
        *kind = json!(["string", "number"]);
    } else if *kind == json!(["string", "null"]) {
        *kind = json!(["string", "number", "null"]);
    }
}
