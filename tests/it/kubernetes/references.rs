//! Store addresses that Secrets of the user's own hold: looked at first, mounted and watched, never copied, never shown.

use appforge_testing::port;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::Method;
use serde_json::{Value, json};

use super::addresses::Stores;
use super::api::Seen;
use super::store::Key;
use super::{Place, STACK};

const FORBIDDEN: &str = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"secrets is forbidden","reason":"Forbidden","code":403}"#;

fn file() -> String {
    format!(
        "{STACK}mongodb: {{mode: external, uri: {{secret: db, key: '1'}}}}\n\
         redis: {{mode: external, url: {{secret: cache, key: url}}}}\n"
    )
}

impl Place {
    /// A Secret of the user's own.
    fn own(&self, name: &str, data: &[(&str, &str)]) {
        let key =
            Key { api: "v1".into(), namespace: "shop".into(), plural: "secrets".into(), name: name.into() };
        let data: serde_json::Map<String, Value> =
            data.iter().map(|(key, text)| ((*key).to_owned(), BASE64_STANDARD.encode(text).into())).collect();
        let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "shop"}, "data": data});
        self.api.store(|store| store.put(&key, object));
    }

    fn namespace(&self) {
        let key = Key {
            api: "v1".into(),
            namespace: String::new(),
            plural: "namespaces".into(),
            name: "shop".into(),
        };
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
        self.api.store(|store| store.put(&key, object));
    }

    fn with_stores(stores: &Stores) -> Self {
        let place = Self::new(&file());
        place.namespace();
        place.own("db", &[("1", &format!("mongodb://{}/shop?appName=hunter22\n", stores.mongodb))]);
        place.own("cache", &[("url", &format!("redis://{}/0", stores.redis))]);
        place
    }

    /// Nothing of the user's Secrets is in what this program wrote.
    #[track_caller]
    fn hides(&self, secret: &str) {
        let encoded = BASE64_STANDARD.encode(secret);
        for (title, object) in self.api.store(|store| store.bare()) {
            let own = title.ends_with("/db") || title.ends_with("/cache");
            let text = object.to_string();
            assert!(own || !(text.contains(secret) || text.contains(&encoded)), "{title}: {text}");
        }
    }

    fn template(&self) -> Value {
        self.api.object("deployments", "shop-app").unwrap()["spec"]["template"].clone()
    }
}

#[test]
fn address_in_a_secret_is_mounted_and_watched() {
    let (one, two) = (Stores::start(), Stores::start());
    let place = Place::with_stores(&one);
    place.exits(0, &["up", "--strict"]);
    let template = place.template();
    let sources = &template["spec"]["volumes"][0]["projected"]["sources"];
    assert_eq!(sources[1]["secret"], json!({"name": "db", "items": [{"key": "1", "path": "mongodb_uri"}]}));
    assert_eq!(
        sources[2]["secret"],
        json!({"name": "cache", "items": [{"key": "url", "path": "redis_url"}]})
    );
    let copies = place.copies();
    let copy = place.api.object("secrets", &copies[0]).unwrap();
    let keys: Vec<&str> = copy["data"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!((copies.len(), keys), (1, vec!["probe_secret"]));
    place.hides("hunter22");
    assert_eq!(place.json(&["up"])["changed"], false);

    place.own("db", &[("1", &format!("mongodb://{}/shop?appName=hunter33", two.mongodb))]);
    let diff = place.exits(5, &["diff"]);
    assert!(diff.stdout.contains("~ restart deployment/shop-app\n"), "{}", diff.stdout);
    let up = place.exits(0, &["up"]);
    assert!(up.stderr.contains("testing mongodb.uri and redis.url from the cluster"), "{}", up.stderr);
    assert_ne!(place.template(), template, "its pods are replaced");
    place.hides("hunter33");
    assert!(!format!("{diff:?}{up:?}").contains("hunter"));
    assert_eq!(place.json(&["up"])["changed"], false);
    place.exits(0, &["rollback"]);
}

#[test]
fn changed_secret_with_a_dead_address_is_refused() {
    let stores = Stores::start();
    let place = Place::with_stores(&stores);
    place.exits(0, &["up"]);
    let template = place.template();
    place.own("cache", &[("url", &format!("redis://:hunter22@127.0.0.1:{}", port::closed()))]);
    let up = place.exits(1, &["up"]);
    assert!(up.stderr.contains("so nothing was applied:\n  redis.url: "), "{}", up.stderr);
    assert!(!up.stderr.contains("hunter22"), "{}", up.stderr);
    assert_eq!(place.template(), template);
}

#[test]
fn missing_secret_or_key_is_refused_before_anything_is_applied() {
    let place = Place::new(&file());
    let create = "hint: kubectl --context test -n shop create secret generic db --from-file=1=FILE\n";
    let refuses = |what: &str, hint: &str| {
        for verb in ["diff", "up"] {
            let run = place.exits(1, &[verb]);
            let first = "error: store addresses are incomplete, so nothing was applied:\n";
            assert!(run.stderr.contains(&format!("{first}  mongodb.uri: {what}\n")), "{}", run.stderr);
            assert!(run.stderr.contains(hint) && !run.stderr.contains("hunter22"), "{}", run.stderr);
        }
        assert!(!place.api.seen().iter().any(Seen::is_change));
        let doctor = place.exits(1, &["doctor"]);
        let said = doctor.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(what), "{}", doctor.stdout);
    };
    refuses("the namespace `shop` has no Secret `db`", create);
    place.namespace();
    refuses("the namespace `shop` has no Secret `db`", create);
    let edit = "hint: kubectl --context test -n shop edit secret db\n";
    place.own("db", &[("uri", "mongodb://hunter22@h")]);
    refuses("the Secret `db` has no value for `1`; it has `uri`", edit);
    place.own("db", &[("1", "\n"), ("2", "x")]);
    refuses("the Secret `db` has no value for `1`; it has `1`, `2`", edit);
    place.own("db", &[("1", "postgres://u:hunter22@h")]);
    refuses("the key `1` of the Secret `db` must start with `mongodb://` or `mongodb+srv://`", edit);
}

#[test]
fn secret_that_may_not_be_read_is_said_and_what_runs_stays() {
    let stores = Stores::start();
    let place = Place::with_stores(&stores);
    place.exits(0, &["up"]);
    place.own("db", &[("1", "mongodb://u:hunter22@elsewhere/shop")]);
    place.api.fail(Method::GET, "/secrets/db", None, 403, FORBIDDEN, 9);
    let up = place.exits(0, &["up"]);
    assert!(
        up.stderr.contains(
            "mongodb.uri: the Secret `db` may not be read, so a change of its content does not replace replicas\n"
        ),
        "{}",
        up.stderr
    );
    assert!(up.stderr.contains("nothing to change"), "{}", up.stderr);
}
