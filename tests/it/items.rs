//! The routes of the items over the whole stack: with the embedded stores, and with real servers.

use std::sync::atomic::{AtomicUsize, Ordering};
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

    // Pages of two, by cursor, are the whole list, in the order of creation whichever replica created an item.
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
    assert_eq!(names, ["one", "item 2", "item 3", "item 4", "item 5"]);

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

#[test]
fn follower_misses_no_item_when_two_replicas_create_them() {
    let up = embedded();
    up.done(&["up", "--replicas", "2"]);
    up.connected();
    let create = |name: &str| {
        let (status, head, body) = up.whole("POST /api/items", "", &json!({"name": name}).to_string());
        assert_eq!(status, 201, "{head}");
        serde_json::from_str::<Value>(&body).unwrap()["id"].as_str().unwrap().to_owned()
    };
    let mut cursor = create("first");
    for number in 0..40 {
        let name = format!("item {number}");
        let id = create(&name);
        assert!(id > cursor, "{id} after {cursor}");
        // The cache of another replica learns of a write a moment later.
        let until = Instant::now() + SOON;
        let new = loop {
            let (_, page) = up.request(&format!("GET /api/items?cursor={cursor}"), "");
            let page: Value = serde_json::from_str(&page).unwrap();
            let names: Vec<_> =
                page["items"].as_array().unwrap().iter().map(|item| item["name"].clone()).collect();
            if !names.is_empty() || Instant::now() > until {
                break names;
            }
        };
        assert_eq!(new, [name], "after {cursor}");
        cursor = id;
    }
}

#[test]
fn write_fails_when_its_precondition_does_not_hold() {
    conditional_writes(&embedded());
}

#[test]
#[ignore = "needs mongodb and valkey"]
fn write_fails_in_real_servers_when_its_precondition_does_not_hold() {
    let (_mongodb, _valkey, lines) = peers::external();
    conditional_writes(&Up::new(&format!("{MANY}{lines}")));
}

fn conditional_writes(up: &Up) {
    up.done(&["up"]);
    up.connected();
    let tag = |head: &str| head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    let (_, head, body) =
        up.whole("POST /api/items", "", r#"{"name": "one", "tags": ["a"], "description": "d"}"#);
    let id = serde_json::from_str::<Value>(&body).unwrap()["id"].as_str().unwrap().to_owned();
    let (created, path) = (tag(&head), format!("/api/items/{id}"));
    assert_eq!(tag(&up.whole(&format!("GET {path}"), "", "").1), created);
    // Each write has a name of its own: some servers keep times to the second, and a state that looks the same is the same.
    let written = AtomicUsize::new(0);
    let write = |method: &str, condition: &str, path: &str| {
        let name = json!({"name": format!("name {}", written.fetch_add(1, Ordering::Relaxed))}).to_string();
        let body = if method == "DELETE" { "" } else { &name };
        up.whole(&format!("{method} {path}"), &format!("{condition}\r\n"), body)
    };
    let missing = "/api/items/0123456789abcdef01234567";
    for method in ["PUT", "PATCH", "DELETE"] {
        for failing in [
            "if-match: \"another\"",
            &format!("if-match: W/{created}"),
            "if-none-match: *",
            &format!("if-none-match: {created}"),
        ] {
            let (status, head, body) = write(method, failing, &path);
            assert_eq!(status, 412, "{method} {failing}: {head} {body}");
            assert!(head.contains("application/problem+json"), "{head}");
        }
        assert_eq!(write(method, "if-match: *", missing).0, 412, "{method}");
        assert_eq!(write(method, "if-none-match: *", missing).0, 404, "{method}");
    }
    assert_eq!(up.whole(&format!("GET {path}"), "", "").2, body, "nothing was changed");
    assert_eq!(write("GET", "if-match: \"another\"", &path).0, 412);

    let (status, head, _) = write("PATCH", &format!("if-match: \"x\", {created}"), &path);
    assert_eq!(status, 200, "{head}");
    let patched = tag(&head);
    assert_ne!(patched, created);
    assert_eq!(write("PUT", &format!("if-match: {created}"), &path).0, 412, "of the state before");
    let (status, head, _) = write("PUT", &format!("if-match: {patched}"), &path);
    assert_eq!(status, 200, "{head}");
    let replaced = tag(&head);
    assert_eq!(write("PATCH", "if-match: *", &path).0, 200);
    assert_eq!(write("DELETE", &format!("if-match: {replaced}"), &path).0, 412);

    // Of writes that require the same state, one is done.
    let current = tag(&up.whole(&format!("GET {path}"), "cache-control: no-cache\r\n", "").1);
    let done = std::thread::scope(|scope| {
        let ask = || write("PUT", &format!("if-match: {current}"), &path).0;
        let writers: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).filter(|status| *status == 200).count()
    });
    assert_eq!(done, 1);
    assert_eq!(write("DELETE", "if-match: *", &path).0, 204);
    assert_eq!(write("DELETE", "if-match: *", &path).0, 412);
}

#[test]
#[ignore = "needs python"]
fn openapi_document_describes_what_the_service_does() {
    let up = embedded();
    up.done(&["up"]);
    up.connected();
    peers::schemathesis(&format!("http://127.0.0.1:{}/openapi.json", up.port));
}
