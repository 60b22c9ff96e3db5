//! `/openapi.json`: the public routes, described from the types that they use.

use axum::routing::get;
use axum::{Json, Router};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::items::Page;
use crate::problem::Problem;
use crate::status::Health;

/// The route of the description.
pub fn router() -> Router {
    let document = document();
    Router::new().route("/openapi.json", get(async move || Json(document.clone())))
}

/// The description. Every route may also answer 429, and those of the items 503.
pub fn document() -> Value {
    let id = json!({"name": "id", "in": "path", "required": true, "schema": {"type": "string"}});
    let body = json!({"required": true, "content": {"application/json": {"schema": {
        "type": "object", "additionalProperties": false, "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 200},
            "description": {"type": ["string", "null"], "maxLength": 2000},
            "tags": {"type": ["array", "null"], "maxItems": 20, "items": {"type": "string", "minLength": 1, "maxLength": 50}}}}}}});
    let write = |summary: &str, status: &str, parameters: &[Value]| {
        let mut operation = operation(summary, status, Some("Item"), parameters);
        operation["requestBody"] = body.clone();
        operation
    };
    let page = [
        json!({"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}}),
        json!({"name": "cursor", "in": "query", "schema": {"type": "string"}}),
    ];
    let paths = json!({
        "/health": {"get": operation("How this replica and its stores are", "200", Some("Health"), &[])},
        "/openapi.json": {"get": operation("This description", "200", None, &[])},
        "/api/items": {
            "get": operation("List items, oldest first", "200", Some("Page"), &page),
            "post": write("Create an item", "201", &[]),
        },
        "/api/items/{id}": {
            "get": operation("Read an item", "200", Some("Item"), std::slice::from_ref(&id)),
            "put": write("Replace an item", "200", std::slice::from_ref(&id)),
            "patch": write("Change an item by a merge patch", "200", std::slice::from_ref(&id)),
            "delete": operation("Remove an item", "204", None, &[id]),
        },
    });
    json!({
        "openapi": "3.1.0",
        "info": {"title": "appforge service", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths,
        "components": {"schemas": schemas()},
    })
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
