use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::document;
use crate::stack::model::Patch;

pub(super) fn compose(stack: &Stack) -> Vec<Document> {
    render(stack, TargetKind::Compose, &Overrides::default()).unwrap()
}

#[track_caller]
pub(super) fn text<'a>(documents: &'a [Document], path: &str) -> &'a str {
    &documents.iter().find(|document| document.path == path).unwrap().text
}

pub(super) fn parsed(stack: &Stack) -> Value {
    document::parse(text(&compose(stack), "docker-compose.yml")).unwrap().to_json()
}

/// What Compose makes of a value: `$$` is one `$`.
fn interpolated(value: &Value) -> String {
    value.as_str().unwrap().replace("$$", "$")
}

/// Texts that YAML, a shell or Compose would take for something else.
pub(super) fn hostile() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "",
        " ",
        "~",
        "null",
        "yes",
        "No",
        "on",
        "true",
        "0755",
        "0o17",
        "1_000",
        "1.10",
        "08",
        "1e3",
        ".inf",
        "-",
        "2026-11-23",
        "12:30:45",
        "=",
        "<<",
        "*a",
        "&a",
        "!tag",
        "|",
        ">",
        "%x",
        "@x",
        "`x`",
        "#x",
        "x #y",
        "a: b",
        "{a}",
        "[a",
        "'",
        "\"",
        "\\",
        "\\n",
        "${HOME}",
        "$HOME",
        "$$",
        "${",
        "$",
        "{{ x }}",
        "{% if %}",
        "\n",
        "\r\n",
        "a\nb: c",
        "\t",
        "\u{7f}",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "\u{1f600}",
        "é",
        "---",
        "...",
        "? x",
    ]);
    prop_oneof![known.prop_map(str::to_owned), "\\PC{0,40}", any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_hostile_value_is_rendered_as_itself_or_refused_with_its_path(value in hostile(), database in hostile()) {
        let mut stack = Stack::default();
        stack.service.env.insert("HOSTILE".into(), value.clone());
        stack.mongodb.database = database.clone();
        match render(&stack, TargetKind::Compose, &Overrides::default()) {
            Ok(documents) => {
                let document = text(&documents, "docker-compose.yml");
                let environment = document::parse(document).unwrap().to_json()["services"]["appforge"]["environment"].clone();
                prop_assert_eq!(interpolated(&environment["HOSTILE"]), value.clone());
                prop_assert_eq!(interpolated(&environment["MONGODB_DATABASE"]), database);
                let other: Value = serde_yaml::from_str(document).unwrap();
                prop_assert_eq!(interpolated(&other["services"]["appforge"]["environment"]["HOSTILE"]), value);
            }
            Err(error) => {
                prop_assert!(value.contains('\0'));
                prop_assert!(error.to_string().starts_with("service.env.HOSTILE: "), "{}", error);
            }
        }
    }

    #[test]
    fn a_patched_value_is_rendered_as_itself(key in "\\PC{1,20}", value in hostile()) {
        let mut stack = Stack::default();
        let pointer = format!("/services/redis/labels/{}", key.replace('~', "~0").replace('/', "~1"));
        let patch = Patch::Add { path: pointer, value: Value::String(value.clone()) };
        stack.patches.insert("compose/docker-compose.yml".into(), vec![patch]);
        let document = parsed(&stack);
        prop_assert_eq!(document["services"]["redis"]["labels"][&key].as_str(), Some(value.as_str()));
    }
}

#[test]
fn the_same_input_gives_the_same_bytes_and_another_input_another_hash() {
    let one = compose(&Stack::default());
    assert_eq!(one, compose(&Stack::default()));
    let mut stack = Stack::default();
    stack.service.replicas = 2;
    let two = compose(&stack);
    let hash = |documents: &[Document], path: &str| text(documents, path).lines().nth(1).unwrap().to_owned();
    assert_ne!(hash(&one, "docker-compose.yml"), hash(&two, "docker-compose.yml"));
    assert_eq!(hash(&one, "haproxy.cfg"), hash(&two, "haproxy.cfg"));
    assert!(is_rendered(text(&one, "docker-compose.yml")));
}

/// Each header hashed the whole stack file.
#[test]
fn documents_stay_when_what_they_do_not_hold_changes() {
    let change = |change: fn(&mut Stack)| {
        let mut stack = Stack::default();
        change(&mut stack);
        stack
    };
    for target in TARGETS {
        let rendered = |stack: &Stack| render(stack, target, &Overrides::default()).unwrap();
        let before = rendered(&Stack::default());
        let others: [fn(&mut Stack); 3] = [
            |stack| stack.cost.budget = "99".parse().ok(),
            |stack| stack.load.think_time = "3s".parse().unwrap(),
            |stack| stack.id = "abcdefgh".parse().ok(),
        ];
        for other in others {
            assert_eq!(rendered(&change(other)), before, "{target:?}");
        }
        let after = rendered(&change(|stack| stack.mongodb.pool.max = 20));
        let changed = before.iter().zip(&after).filter(|(before, after)| before != after).count();
        assert_eq!(changed, 1, "{target:?}");
    }
}

#[test]
fn own_image_gets_no_dockerfile() {
    let paths = |image: &str| {
        let mut stack = Stack::default();
        stack.service.image = image.parse().unwrap();
        let documents = compose(&stack);
        let service = parsed(&stack)["services"]["appforge"].clone();
        assert!(service.get("entrypoint").is_none() && service.get("command").is_none(), "{service}");
        documents.into_iter().map(|document| document.path).collect::<Vec<_>>()
    };
    let scripts = ["mongodb-start.sh", "mongodb-init.js"];
    assert_eq!(
        paths("shop:1"),
        [&[".env.example", "docker-compose.yml", "haproxy.cfg"][..], &scripts].concat()
    );
    assert!(paths("bundled").contains(&"Dockerfile".to_owned()));
}

#[test]
fn name_of_a_digit_is_refused_for_kubernetes() {
    let stack = Stack { name: "9lives".parse().unwrap(), ..Stack::default() };
    let error = render(&stack, TargetKind::Kubernetes, &Overrides::default()).unwrap_err();
    assert!(error.to_string().starts_with("name: must start with a letter"), "{error:#}");
    compose(&stack);
}

#[test]
fn redis_is_kept_below_its_limit_and_on_disk() {
    let document = parsed(&Stack::default());
    let redis = &document["services"]["redis"];
    assert_eq!(redis["deploy"]["resources"]["limits"]["memory"], "2048m");
    let command: Vec<&str> =
        redis["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    let option = |name: &str| command[command.iter().position(|word| *word == name).unwrap() + 1];
    assert_eq!(option("--maxmemory"), (1365u64 << 20).to_string());
    assert_eq!(option("--maxmemory-policy"), "allkeys-lru");
    assert_eq!(option("--appendonly"), "yes");
    assert_eq!(option("--save"), "");
    assert_eq!(option("--protected-mode"), "no");
}

#[test]
fn an_external_store_is_no_container_and_its_uri_is_nowhere() {
    let stack: Stack = crate::stack::resolve(&[crate::stack::Layer::File {
        name: "appforge.yaml".into(),
        text: "target: compose\nredis: {mode: external, url: 'redis://:hunter2@h'}\n".into(),
    }])
    .unwrap()
    .stack;
    let documents = compose(&stack);
    assert!(documents.iter().all(|document| !document.text.contains("hunter2")));
    let document = parsed(&stack);
    assert!(document["services"].get("redis").is_none());
    assert!(document["volumes"].get("redis-data").is_none());
    assert_eq!(document["secrets"]["redis_url"]["file"], "./secrets/redis_url");
    assert_eq!(document["services"]["appforge"]["extra_hosts"][0], "host.docker.internal:host-gateway");
}

#[test]
fn a_stack_that_is_called_like_a_component_still_has_four_components() {
    let stack = Stack { name: "redis".parse().unwrap(), ..Stack::default() };
    let document = parsed(&stack);
    let names: Vec<&String> = document["services"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["service", "gateway", "mongodb", "redis"]);
}

#[test]
fn a_patch_changes_one_thing_and_one_that_misses_is_an_error() {
    let mut stack = Stack::default();
    let patch = |path: &str| Patch::Replace { path: path.into(), value: "always".into() };
    stack.patches.insert("compose/docker-compose.yml".into(), vec![patch("/services/redis/restart")]);
    let mut want = parsed(&Stack::default());
    want["services"]["redis"]["restart"] = "always".into();
    assert_eq!(parsed(&stack), want);
    stack.patches.insert("compose/docker-compose.yml".into(), vec![patch("/services/rediss/restart")]);
    let error = render(&stack, TargetKind::Compose, &Overrides::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "patches.compose/docker-compose.yml[0]: path `/services/rediss/restart` not found"
    );
    for gone in
        ["compose/gone.yml", "compose/haproxy.cfg", "kubernetes/docker-compose.yml", "kubernetes/gone.yaml"]
    {
        stack.patches = BTreeMap::from([(gone.into(), Vec::new())]);
        let error = render(&stack, TargetKind::Compose, &Overrides::default()).unwrap_err();
        assert!(error.to_string().contains(&format!("`{gone}`")), "{error:#}");
    }
    stack.patches = BTreeMap::from([(
        "kubernetes/namespace.yaml".into(),
        vec![patch("/metadata/name"), patch("/metadata/gone")],
    )]);
    let error = render(&stack, TargetKind::Compose, &Overrides::default()).unwrap_err();
    assert_eq!(error.to_string(), "patches.kubernetes/namespace.yaml[1]: path `/metadata/gone` not found");
}

#[test]
fn a_template_of_the_user_replaces_ours_and_a_wrong_one_is_named() {
    let with = |text: &str| Overrides {
        templates: BTreeMap::from([("compose/docker-compose.yml".to_owned(), text.to_owned())]),
        ..Overrides::default()
    };
    let stack = Stack::default();
    let documents = render(&stack, TargetKind::Compose, &with("name: {{ stack }}\n")).unwrap();
    assert!(text(&documents, "docker-compose.yml").ends_with("name: \"appforge\"\n"));
    for wrong in ["name: {{ gone }}", "{{ stack | gone }}", "{% if %}", "a: [", "a: 1\na: 2"] {
        let error = render(&stack, TargetKind::Compose, &with(wrong)).unwrap_err();
        assert_eq!(crate::error::status_of(&error), ExitStatus::Config, "{wrong}");
        assert!(format!("{error:#}").contains("docker-compose.yml"), "{error:#}");
    }
}

#[test]
fn rendering_is_quick() {
    let stack = Stack::default();
    let all = || TARGETS.map(|target| render(&stack, target, &Overrides::default()).unwrap());
    all();
    // The promise is 20 ms for all targets in a release build; a debug build on a busy machine gets more.
    let quickest = (0..5).map(|_| {
        let started = Instant::now();
        all();
        started.elapsed()
    });
    assert!(quickest.min().unwrap() < Duration::from_millis(400));
}

#[test]
fn every_control_character_and_separator_is_escaped() {
    for character in (0..0xa0).chain([0x2028, 0x2029, 0xfeff]).filter_map(char::from_u32) {
        let quoted = quote::yaml(&character.to_string());
        assert_eq!(document::parse(&quoted).unwrap().to_json(), Value::String(character.to_string()));
    }
}
