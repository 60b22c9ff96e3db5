//! The JSON schema of the stack file takes what the program takes.

use serde_json::Value;

use crate::support::Project;

/// What of `value` the schema refuses; knows the words that our schemas use.
fn refused(root: &Value, schema: &Value, value: &Value, path: &str, problems: &mut Vec<String>) {
    let mut own = Vec::new();
    let mut refuse = |what: &str| own.push(format!("{path}: {what}"));
    let Some(members) = schema.as_object() else { return };
    for (word, rule) in members {
        match word.as_str() {
            "$ref" => {
                let name = rule.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                refused(root, &root["$defs"][name], value, path, problems);
                return refused_beside_ref(members);
            }
            "type" => {
                let listed = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                let kinds: Vec<&str> = listed.iter().map(|kind| kind.as_str().unwrap()).collect();
                let fits = |kind: &&str| match *kind {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "number" => value.is_number(),
                    "integer" => value.is_u64() || value.is_i64(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    other => panic!("{other}"),
                };
                if !kinds.iter().any(fits) {
                    refuse(&format!("{value} is not one of {kinds:?}"));
                }
            }
            "const" if value != rule => refuse("another constant"),
            "enum" if !rule.as_array().unwrap().contains(value) => refuse("not in the list"),
            "minimum" if value.as_f64().is_some_and(|number| number < rule.as_f64().unwrap()) => {
                refuse("too small");
            }
            "maximum" if value.as_f64().is_some_and(|number| number > rule.as_f64().unwrap()) => {
                refuse("too large");
            }
            "required" => {
                for key in rule.as_array().unwrap() {
                    if value.is_object() && value.get(key.as_str().unwrap()).is_none() {
                        refuse(&format!("{key} is missing"));
                    }
                }
            }
            "anyOf" | "oneOf" => {
                let takes = |schema: &&Value| {
                    let mut inner = Vec::new();
                    refused(root, schema, value, path, &mut inner);
                    inner.is_empty()
                };
                if !rule.as_array().unwrap().iter().any(|schema| takes(&schema)) {
                    refuse("none of the alternatives");
                }
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    refused(root, rule, item, &format!("{path}[{index}]"), problems);
                }
            }
            "properties" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    if let Some(rule) = rule.get(key) {
                        refused(root, rule, value, &format!("{path}.{key}"), problems);
                    }
                }
            }
            "additionalProperties" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    if members.get("properties").is_some_and(|known| known.get(key).is_some()) {
                        continue;
                    }
                    match rule {
                        Value::Bool(false) => problems.push(format!("{path}: unknown key {key}")),
                        rule => refused(root, rule, value, &format!("{path}.{key}"), problems),
                    }
                }
            }
            "const" | "enum" | "minimum" | "maximum" | "pattern" | "format" | "description" | "title"
            | "$schema" | "$defs" => {}
            other => panic!("the schema has a new word: {other}"),
        }
    }
    problems.append(&mut own);
}

/// Nothing of ours stands beside a reference but its description.
fn refused_beside_ref(members: &serde_json::Map<String, Value>) {
    assert!(members.keys().all(|key| key == "$ref" || key == "description"), "{members:?}");
}

fn problems(schema: &Value, yaml: &str) -> Vec<String> {
    let value: Value = serde_yaml::from_str(yaml).unwrap();
    let mut problems = Vec::new();
    refused(schema, schema, &value, "", &mut problems);
    problems
}

fn schema() -> Value {
    serde_json::from_str(&Project::new().done(&["config", "schema", "-o", "json"]).stdout).unwrap()
}

/// Every key was required, and a percentage had to be a string.
#[test]
fn file_of_init_is_valid_by_the_schema_of_init() {
    for target in ["local", "compose", "kubernetes"] {
        for more in [&[][..], &["--autoscaling", "off", "--redis", "external"]] {
            let project = Project::new();
            project.done(&[&["init", "--yes", "--target", target][..], more].concat());
            let schema: Value = serde_json::from_str(&project.read(".appforge/schema.json")).unwrap();
            assert_eq!(problems(&schema, &project.read("appforge.yaml")), [""; 0], "{target} {more:?}");
        }
    }
}

#[test]
fn sample_of_the_readme_is_valid_and_has_the_defaults() {
    let readme = include_str!("../../README.md");
    let lines = readme.lines().skip_while(|line| *line != "    version: 1");
    let sample: String =
        lines.take_while(|line| !line.is_empty()).map(|line| format!("{}\n", &line[4..])).collect();
    assert!(sample.contains("redis:") && sample.contains("load:"), "{sample}");
    assert_eq!(problems(&schema(), &sample), [""; 0]);
    let shown = Project::with(&sample).done(&["config", "show"]).stdout;
    assert_eq!(shown, Project::new().done(&["config", "show", "-q"]).stdout);
}

#[test]
fn schema_takes_what_the_program_takes() {
    let schema = schema();
    for text in [
        "{}",
        "service:\nmongodb: {pool: }\nkubernetes: {autoscaling: }\npatches:\n",
        "target: kubernetes\nmongodb: {mode: external, uri: {secret: db, key: uri}}\nredis: {mode: external, url: 'redis+cluster://h'}\n",
        "service: {env: {LEVEL: 7, DEBUG: true, PRICE: 1.50, NAME: x}}\n",
        "name: 1e3\nservice: {resources: {cpu: 2, memory: 268435456}, address: '::1'}\n",
        "kubernetes: {autoscaling: {cpu: 70%, max: 20}, pull_secrets: [1.10]}\ncost: {budget: 99.5, peak_factor: '5'}\n",
        "patches: {compose/docker-compose.yml: [{op: remove, path: /a}, {op: add, path: /b, value: {c: 1}}]}\n",
    ] {
        assert_eq!(problems(&schema, text), [""; 0], "{text}");
        Project::with(text).done(&["config", "validate"]);
    }
    for text in [
        "servise: {}",
        "service: {replicas: many}",
        "service: {env: {LEVEL: [7]}}",
        "target: cloud",
        "patches: {compose/docker-compose.yml: [{op: add, path: /a}]}",
        "kubernetes: {autoscaling: {min: -1}}",
    ] {
        assert_ne!(problems(&schema, text), [""; 0], "{text}");
        assert_eq!(Project::with(text).run(&["config", "validate"]).code, Some(3), "{text}");
    }
    // What `config show` prints is a stack file.
    let shown = Project::new().done(&["config", "show", "-q", "-o", "json"]).stdout;
    assert_eq!(problems(&schema, &shown), [""; 0]);
}
