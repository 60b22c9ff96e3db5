//! What the parser reads, what it refuses, and that nothing makes it panic.

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::parser::scan;
use super::*;

#[track_caller]
fn refusal(text: &str) -> (usize, usize, String) {
    let fault = parse(text).expect_err(text);
    (fault.place.line, fault.place.column, fault.message)
}

#[test]
fn nodes_have_the_place_of_their_text() {
    let root = parse("a: 1\nb:\n  c: [x, y]\n").unwrap();
    let Content::Mapping(entries) = &root.content else { panic!() };
    assert_eq!((entries[1].place.line, entries[1].place.column), (2, 1));
    let Content::List(items) = &root.get("b").unwrap().get("c").unwrap().content else { panic!() };
    assert_eq!((items[1].place.line, items[1].place.column), (3, 10));
}

#[test]
fn plain_words_keep_what_the_user_wrote() {
    let text =
        "[yes, 0755, 2026-11-23, 1.5, 3, 'null', ~, true, 08, -4, 1_000, 18446744073709551616, !!str 7]";
    let want = json!([
        "yes",
        "0755",
        "2026-11-23",
        1.5,
        3,
        "null",
        null,
        true,
        "08",
        -4,
        "1_000",
        "18446744073709551616",
        "7"
    ]);
    assert_eq!(parse(text).unwrap().to_json(), want);
}

#[test]
fn reader_of_strings_gets_what_was_written() {
    for written in ["1e3", "+5", "1.10", "12345678901234567890", "true", "yes", "-0", "1.0", "~/x"] {
        let node = parse_value(written).unwrap();
        assert_eq!(deserialize::<String>(&node).as_deref(), Ok(written));
    }
    assert_eq!(deserialize::<f64>(&parse_value("1e3").unwrap()), Ok(1000.0));
    assert_eq!(deserialize::<Option<String>>(&parse_value("~").unwrap()), Ok(None));
    let node = parse("1e3: {+5: [1.10, '7']}").unwrap();
    let inner = node.get("1e3").unwrap().get("+5").unwrap();
    assert_eq!(deserialize::<Vec<String>>(inner), Ok(vec!["1.10".to_owned(), "7".to_owned()]));
}

#[test]
fn duplicate_key_names_the_first_line() {
    let text = "port: 1\nname: x\nport: {a: 1}\n";
    assert_eq!(refusal(text), (3, 1, "duplicate key `port` (first defined on line 1)".to_owned()));
    // The first one counts, so that all other problems are found, too.
    let (root, duplicates) = scan(text).unwrap();
    assert_eq!((root.to_json(), duplicates.len()), (json!({"port": 1, "name": "x"}), 1));
    assert_eq!(
        refusal("a: 1\n? 'not a word'\n: 1\n'not a word': 2\n").2,
        "duplicate key (first defined on line 2)"
    );
}

#[test]
fn broken_yaml_has_a_place() {
    for (text, line) in
        [("a: [1, 2\nb: 3\n", 2), ("a: 'x\n", 1), ("a:\n\tb: 1\n", 2), ("a: b: c\n", 1), ("- a\nb: 1\n", 2)]
    {
        let (at, _, message) = refusal(text);
        assert!(at >= line && message.starts_with("invalid YAML: "), "{text:?}: {at}: {message}");
    }
}

#[test]
fn what_is_bounded_is_refused_with_its_place() {
    let message = "must be nested at most 32 levels deep";
    for text in
        ["[".repeat(100_000), "{a: ".repeat(300), "- ".repeat(20_000), format!("{}x", "? ".repeat(300))]
    {
        let (line, column, refused) = refusal(&text);
        assert_eq!((line, refused.as_str()), (1, message), "{text:.20}");
        assert!(column > 1);
    }
    let nested = (0..40).map(|depth| format!("{}k:\n", " ".repeat(depth))).collect::<String>();
    assert_eq!(refusal(&nested).2, message);
    assert!(refusal(&"a".repeat((4 << 20) + 1)).2.starts_with("must be at most 4 MiB, got "));
    assert_eq!(
        refusal("a: &x [1]\nb: *x\n"),
        (2, 4, "aliases (`*name`) are not supported; write the value out".to_owned())
    );
    assert_eq!(refusal("a: 1\n---\nb: 1\n").2, "expected one document, got a second one");
    assert_eq!(refusal("[a]: 1\n").2, "expected a string as the key, got a list");
}

#[test]
fn empty_text_is_an_empty_mapping() {
    for text in ["", "# nothing\n", "---\n", "~"] {
        assert_eq!(parse(text).unwrap().to_json(), json!({}), "{text:?}");
    }
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Sample {
    port: u16,
    on: bool,
    share: Option<f64>,
    kind: Kind,
    names: Vec<String>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Memory,
    Closed,
}

#[test]
fn type_that_refuses_a_value_says_where_and_why() {
    let whole = "port: 80\non: true\nkind: memory\nnames: [a]\n";
    let sample = deserialize::<Sample>(&parse(whole).unwrap()).unwrap();
    assert_eq!(
        sample,
        Sample { port: 80, on: true, share: None, kind: Kind::Memory, names: vec!["a".into()] }
    );
    for (from, to, place, path, message) in [
        ("80", "http", (1, 7), "port", "expected an integer, got `http`"),
        ("80", "70000", (1, 7), "port", "must be between 0 and 65535, got 70000"),
        ("80", "-1", (1, 7), "port", "must be between 0 and 65535, got -1"),
        ("80", "1.5", (1, 7), "port", "expected an integer, got `1.5`"),
        ("80", "{}", (1, 7), "port", "expected an integer, got a mapping"),
        ("80", "''", (1, 7), "port", "expected an integer, got an empty string"),
        ("true", "yes", (2, 5), "on", "expected `true` or `false`, got `yes`"),
        ("memory", "memry", (3, 7), "kind", "unknown value `memry`; did you mean `memory`?"),
        ("memory", "[]", (3, 7), "kind", "expected a string, got a list"),
        ("memory", "\"a\\nb\"", (3, 7), "kind", "unknown value; known values: `memory`, `closed`"),
        ("[a]", "[a, [b]]", (4, 12), "names[1]", "expected a string, got a list"),
        ("[a]", "a", (4, 8), "names", "expected a list, got a string"),
        ("on:", "no:", (2, 1), "", "unknown key `no`; did you mean `on`?"),
        ("on: true\n", "", (1, 1), "on", "is missing"),
        ("names", "share: half\nnames", (4, 8), "share", "expected a number, got `half`"),
    ] {
        let node = parse(&whole.replace(from, to)).unwrap();
        let refusal = deserialize::<Sample>(&node).unwrap_err();
        let at = refusal.place.map(|place| (place.line, place.column));
        assert_eq!(
            (at, refusal.path.as_str(), refusal.message.as_str()),
            (Some(place), path, message),
            "{to}"
        );
    }
}

#[test]
fn reader_reports_all_problems_in_the_order_of_the_text() {
    let mut reader = Reader::new("x.yaml");
    let text = "title: ''\nprot: 1\nitems: 3\nport: 0\nport: 1\nkind: full\n";
    let root = reader.root(text, &["title", "port", "items", "kind", "size"]).unwrap();
    let keys = reader.mapping(&Field::root(&root), &["title", "port", "items", "kind", "size"]).unwrap();
    assert_eq!(reader.required(&keys, "size", Field::text), None);
    reader.optional(&keys, "port", |field| field.whole(1..=64));
    reader.optional(&keys, "kind", |field| field.word(&[("fair", 1), ("good", 2)]));
    reader.optional(&keys, "title", Field::text);
    assert!(reader.items(&keys, "items").is_empty());
    let problems = reader.finish(Some(())).unwrap_err();
    assert_eq!(
        report("the file has", &problems),
        "the file has 7 problems\n  \
         x.yaml:1:1: size: is missing\n  \
         x.yaml:1:8: title: expected a string, got an empty string\n  \
         x.yaml:2:1: unknown key `prot`; did you mean `port`?\n  \
         x.yaml:3:8: items: expected a list, got an integer\n  \
         x.yaml:4:7: port: must be between 1 and 64, got 0\n  \
         x.yaml:5:1: duplicate key `port` (first defined on line 4)\n  \
         x.yaml:6:7: kind: unknown value `full`; known values: `fair`, `good`"
    );
    assert_eq!(report("it has", &problems[..1]), "it has 1 problem\n  x.yaml:1:1: size: is missing");
}

#[test]
fn file_of_another_kind_is_one_problem_and_is_not_quoted() {
    for (text, message) in [
        ("hunter2: x\nhunter3: y\n", "the file has no known key; known keys: `name`, `port`"),
        ("hunter2", "expected a mapping, got a string"),
        ("- hunter2\n", "expected a mapping, got a list"),
    ] {
        let mut reader = Reader::new("x.yaml");
        assert_eq!(reader.root(text, &["name", "port"]), None);
        let problems = reader.finish(None::<()>).unwrap_err();
        assert_eq!(
            problems.iter().map(Problem::to_string).collect::<Vec<_>>(),
            [format!("x.yaml:1:1: {message}")]
        );
    }
}

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e12..1e12).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    scalar.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// The writer takes three characters for line breaks, as YAML 1.1 does and 1.2 does not. No key of ours has one.
fn key() -> impl Strategy<Value = String> {
    text().prop_map(|text| text.replace(['\u{85}', '\u{2028}', '\u{2029}'], ""))
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>().prop_map(|text| text.chars().take(40).collect()),
        "[-+~.0-9exyno: #'\"\\[\\]{},&*!|>%@`?\n\t]{0,12}",
    ]
}

proptest! {
    /// Strings of any kind, among them those that look like numbers, come back as they were.
    #[test]
    fn what_the_writer_writes_the_reader_reads(value in value()) {
        let root = json!({"root": value});
        let text = serde_yaml::to_string(&root).unwrap();
        let read = parse(&text).map(|node| node.to_json());
        prop_assert_eq!(read.as_ref(), Ok(&root), "{}", text);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[-a0: \n\t\\[\\]{}\"'&*!|>%@?,#~]{0,80}", any in any::<String>()) {
        for text in [text, any] {
            match scan(&text) {
                Ok((root, _)) => { root.to_json(); }
                Err(fault) => prop_assert!(fault.place.line <= text.lines().count() + 1),
            }
        }
    }
}
