//! The routes of the items over the whole stack: with the embedded stores, and with real servers.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::peers;
use crate::stack::Up;

/// Far less than the life of a cached answer.
const SOON: Duration = Duration::from_secs(5);
const MANY: &str = "rate_limit: {requests: 100000}\n";

fn embedded() -> Up {
    Up::new(MANY)
}

#[test]
fn items_live_in_the_embedded_stores() {
    life_of_items(&embedded());
}

#[test]
#[ignore = "needs mongodb and valkey"]
fn items_live_in_real_servers() {
    let (_mongodb, _valkey, lines) = peers::external();
    life_of_items(&Up::new(&format!("{MANY}{lines}")));
}

#[test]
#[ignore = "needs mongodb and valkey"]
fn verify_passes_on_real_servers() {
    let (_mongodb, _valkey, lines) = peers::external();
    let up = Up::new(&lines);
    up.done(&["up", "--replicas", "3"]);
    up.connected();
    let report = up.json(&["verify"]);
    assert_eq!(report["passed"], true, "{report:#}");
    let connections = &report["checks"][1]["evidence"];
    assert!(connections["pool_open"].as_i64().unwrap() >= 30, "{connections}");
}

/// Everything that a client may do, with what it must be told.
fn life_of_items(up: &Up) {
    up.done(&["up", "--replicas", "2"]);
    up.connected();
    let call = |method: &str, path: &str, body: Value| {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, answer) = up.request(&format!("{method} {path}"), &body);
        (status, serde_json::from_str::<Value>(&answer).unwrap_or_default())
    };
    let (status, first) =
        call("POST", "/api/items", json!({"name": " one ", "tags": ["a"], "description": "d"}));
    assert_eq!((status, &first["name"]), (201, &json!("one")), "{first}");
    let path = format!("/api/items/{}", first["id"].as_str().unwrap());
    for number in 2..=5 {
        assert_eq!(call("POST", "/api/items", json!({"name": format!("item {number}")})).0, 201);
    }

    // Pages of two, by cursor, are the whole list; within a second each replica has an order of its own.
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let (status, page) = call("GET", &format!("/api/items?limit=2{cursor}"), Value::Null);
        assert_eq!(status, 200, "{page}");
        names.extend(
            page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    names.sort();
    assert_eq!(names, ["item 2", "item 3", "item 4", "item 5", "one"]);

    // What is cached is forgotten with the first write, by every replica.
    for _ in 0..4 {
        assert_eq!(call("GET", &path, Value::Null), (200, first.clone()));
    }
    let (status, patched) = call("PATCH", &path, json!({"description": null, "tags": ["b", "c"]}));
    assert_eq!((status, &patched["tags"], patched.get("description")), (200, &json!(["b", "c"]), None));
    // A Redis that answers late is told of a write a little later.
    let told = |what: &Value| {
        let until = Instant::now() + SOON;
        while call("GET", &path, Value::Null).1 != *what {
            assert!(Instant::now() < until, "an old answer is still given instead of {what}");
        }
    };
    for _ in 0..4 {
        told(&patched);
    }
    let (status, replaced) = call("PUT", &path, json!({"name": "new"}));
    assert_eq!((status, &replaced["name"], &replaced["tags"]), (200, &json!("new"), &json!([])));
    assert_eq!(replaced["created_at"], first["created_at"]);
    told(&replaced);

    // The client that has it already is told so.
    let (_, head, _) = up.whole(&format!("GET {path}"), "", "");
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    let (status, _, body) = up.whole(&format!("GET {path}"), &format!("if-none-match: {tag}\r\n"), "");
    assert_eq!((status, body.as_str()), (304, ""));

    assert_eq!(call("DELETE", &path, Value::Null).0, 204);
    assert_eq!(call("GET", &path, Value::Null).0, 404);
    assert_eq!(call("DELETE", &path, Value::Null).0, 404);
    assert_eq!(call("PATCH", &path, json!({"name": "x"})).0, 404);

    // What is wrong is named, all at once, and changes nothing.
    let (status, problem) = call("POST", "/api/items", json!({"name": "", "tags": "x", "size": 1}));
    assert_eq!((status, problem["errors"].as_array().unwrap().len()), (422, 3), "{problem}");
    assert_eq!(call("GET", "/api/items?limit=0&cursor=x", Value::Null).0, 422);
    assert_eq!(up.request("POST /api/items", "{").0, 400);
    let (_, page) = call("GET", "/api/items?limit=100", Value::Null);
    assert_eq!(page["items"].as_array().unwrap().len(), 4, "{page}");
}
