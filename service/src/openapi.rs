//! `/openapi.json`: the public routes, described from the types that they use.

use axum::routing::get;
use axum::{Json, Router};
use http::header::CACHE_CONTROL;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::items::{LONGEST_DESCRIPTION, LONGEST_NAME, LONGEST_TAG, MOST_TAGS, Page};
use crate::problem::Problem;
use crate::status::Health;

/// The description changes with the version of the service only.
const KEEP: &str = "public, max-age=3600";

/// The route of the description.
pub fn router() -> Router {
    let document = document();
    let route = get(async move || ([(CACHE_CONTROL, KEEP)], Json(document.clone())));
    Router::new().route("/openapi.json", route)
}

/// What follows the list's summary: its order is part of the contract.
const ORDER: &str = "Items are in the order of their ids, which is the order of their creation over all replicas, to 16 \
microseconds of their clocks, and never changes. `cursor` is the id of an item: the page holds what comes after it, so the \
last id read continues the list later. Of items that are created at the same moment, one may become visible after one with a \
greater id; a reader that follows the list and must see all of them reads the last seconds again.";
/// The id of an item.
const ID: &str = "^[0-9a-fA-F]{24}$";
/// A text of which something is left without the space around it.
const TEXT: &str = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$";

/// The description. Every route may also answer 429, and those of the items 503.
pub fn document() -> Value {
    let id =
        json!({"name": "id", "in": "path", "required": true, "schema": {"type": "string", "pattern": ID}});
    let condition = |name: &str, description: &str| json!({"name": name, "in": "header", "description": description, "schema": {"type": "string"}});
    let conditions = [
        id,
        condition(
            "If-Match",
            "Entity tags, one of which the item must have, or `*`; else 412 (RFC 9110, 13.1.1)",
        ),
        condition(
            "If-None-Match",
            "Entity tags that the item must not have, or `*`; else 304 to a GET, 412 (RFC 9110, 13.1.2)",
        ),
    ];
    let page = [
        json!({"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}}),
        json!({"name": "cursor", "in": "query", "schema": {"type": "string", "pattern": ID}}),
    ];
    let json_kind: &[&str] = &["application/json"];
    let patch_kinds = &["application/merge-patch+json", "application/json"];
    let mut list = operation("List items, oldest first", "200", Some("Page"), &page);
    list["description"] = ORDER.into();
    let mut read = operation("Read an item", "200", Some("Item"), &conditions);
    read["responses"]["304"] = json!({"description": "The client has this state already"});
    let paths = json!({
        "/health": {"get": operation("How this replica and its stores are", "200", Some("Health"), &[])},
        "/openapi.json": {"get": operation("This description", "200", None, &[])},
        "/api/items": {
            "get": list,
            "post": writes(operation("Create an item", "201", Some("Item"), &[]), "Draft", json_kind),
        },
        "/api/items/{id}": {
            "get": read,
            "put": writes(operation("Replace an item", "200", Some("Item"), &conditions), "Draft", json_kind),
            "patch": writes(operation("Change an item by a merge patch", "200", Some("Item"), &conditions), "Change", patch_kinds),
            "delete": operation("Remove an item", "204", None, &conditions),
        },
    });
    let mut schemas = schemas();
    schemas.extend(bodies());
    json!({
        "openapi": "3.1.0",
        "info": {"title": "appforge service", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

/// Gives an operation a body of these media types.
fn writes(mut operation: Value, schema: &str, kinds: &[&str]) -> Value {
    let content = kinds.iter().map(|kind| {
        ((*kind).to_owned(), json!({"schema": {"$ref": format!("#/components/schemas/{schema}")}}))
    });
    operation["requestBody"] = json!({"required": true, "content": content.collect::<Map<_, _>>()});
    operation
}

/// An item as a client writes it, and what a patch may hold. `null` removes.
fn bodies() -> [(String, Value); 2] {
    let fields = json!({
        "name": {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME, "pattern": TEXT},
        "description": {"type": ["string", "null"], "maxLength": LONGEST_DESCRIPTION, "pattern": "^[^\\u0000]*$"},
        "tags": {"type": ["array", "null"], "maxItems": MOST_TAGS,
            "items": {"type": "string", "minLength": 1, "maxLength": LONGEST_TAG, "pattern": TEXT}},
    });
    let change = json!({"type": "object", "additionalProperties": false, "properties": fields});
    let mut draft = change.clone();
    draft["required"] = json!(["name"]);
    [("Draft".to_owned(), draft), ("Change".to_owned(), change)]
}

/// The schemas of the answers, by name; OpenAPI 3.1 takes JSON Schema 2020-12 as it is.
fn schemas() -> Map<String, Value> {
    let mut settings = SchemaSettings::draft2020_12().for_serialize();
    settings.definitions_path = "/components/schemas".into();
    let mut schemas = settings.into_generator();
    schemas.subschema_for::<Page>();
    schemas.subschema_for::<Problem>();
    schemas.subschema_for::<Health>();
    schemas.take_definitions(true)
}

fn operation(summary: &str, status: &str, schema: Option<&str>, parameters: &[Value]) -> Value {
    let content = |schema: &str, kind: &str| {
        let reference = format!("#/components/schemas/{schema}");
        json!({"description": schema, "content": {kind: {"schema": {"$ref": reference}}}})
    };
    let good =
        schema.map_or_else(|| json!({"description": "done"}), |schema| content(schema, "application/json"));
    let problem = content("Problem", "application/problem+json");
    json!({"summary": summary, "parameters": parameters, "responses": {
        status: good, "429": problem, "503": problem, "default": problem}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_of_the_description_leads_somewhere() {
        let document = document();
        let text = document.to_string();
        for part in text.split("#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap_or_default();
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
    }
}
