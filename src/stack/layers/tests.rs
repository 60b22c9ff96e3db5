//! Which layer wins, and where an error is said to be.

use super::*;
use crate::stack::model::Patch;

fn file(text: &str) -> Layer {
    Layer::File { name: "appforge.yaml".into(), text: text.into() }
}

#[track_caller]
fn problems(layers: &[Layer]) -> Vec<String> {
    resolve(layers).expect_err("problems").iter().map(Problem::to_string).collect()
}

#[test]
fn nothing_at_all_gives_the_defaults() {
    assert_eq!(resolve(&[file("")]).unwrap().stack, Stack::default());
}

#[test]
fn each_layer_wins_over_the_one_before_and_is_named() {
    let layers = [
        file("service:\n  port: 8080\n  replicas: 2\nname: shop\n"),
        Layer::Env(vec![
            ("APPFORGE_SERVICE_REPLICAS".into(), "3".into()),
            ("APPFORGE_ENV".into(), "x".into()),
        ]),
        Layer::Flag { flag: "--replicas".into(), path: "service.replicas".into(), value: 4.into() },
    ];
    let resolved = resolve(&layers).unwrap();
    assert_eq!(resolved.stack.service.replicas, 4);
    assert_eq!(resolved.origin("service.replicas").to_string(), "--replicas");
    assert_eq!(resolved.origin("service.port").to_string(), "appforge.yaml:2:9");
    assert_eq!(resolved.origin("redis.image"), Origin::Default);
}

#[test]
fn every_problem_comes_at_once_with_its_place() {
    let text = "nam: x\nservice:\n  prot: 1\n  replicas: 0\nrate_limit:\n  window: soon\nmongodb: {pool: {min: 60}}\n";
    assert_eq!(
        problems(&[file(text)]),
        [
            "appforge.yaml:1:1: unknown key `nam`; did you mean `name`?",
            "appforge.yaml:3:3: service: unknown key `prot`; did you mean `port`?",
            "appforge.yaml:4:13: service.replicas: must be between 1 and 64, got 0",
            "appforge.yaml:6:11: rate_limit.window: expected a duration such as `500ms` or `10m`, got `soon`",
            "appforge.yaml:7:23: mongodb.pool.min: must be at most mongodb.pool.max, which is 50, got 60",
        ]
    );
}

#[test]
fn variable_of_a_replica_is_the_text_that_was_written() {
    let text = "service:\n  env: {MODE: '0755', LEVEL: 1.10, DEBUG: true, SMALL: 1e3, GREETING: hello}\n";
    let env = resolve(&[file(text)]).unwrap().stack.service.env;
    let value = |name: &str| env[name].as_str();
    assert_eq!((value("MODE"), value("LEVEL"), value("DEBUG")), ("0755", "1.10", "true"));
    assert_eq!((value("SMALL"), value("GREETING")), ("1e3", "hello"));
    assert_eq!(
        problems(&[file("service:\n  env: {A: null, B: [1], C: {D: 1}}\n")]),
        [
            "appforge.yaml:2:12: service.env.A: expected a string, a number or a boolean",
            "appforge.yaml:2:21: service.env.B: expected a string, a number or a boolean",
            "appforge.yaml:2:29: service.env.C: expected a string, a number or a boolean",
        ]
    );
}

#[test]
fn autoscaling_can_be_switched_off() {
    assert_eq!(
        resolve(&[file("kubernetes: {autoscaling: null}")]).unwrap().stack.kubernetes.autoscaling,
        None
    );
}

#[test]
fn a_wrong_variable_is_named() {
    let layer = Layer::Env(vec![("APPFORGE_SERVICE_PORT".into(), "http".into())]);
    assert_eq!(problems(&[layer]), ["APPFORGE_SERVICE_PORT: service.port: expected an integer, got `http`"]);
}

#[test]
fn a_secret_is_not_in_the_values_shown() {
    let text = "mongodb: {mode: external, uri: 'mongodb://u:hunter2@h'}";
    let shown = format!("{:?}", resolve(&[file(text)]).unwrap().values());
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn string_is_what_was_written_though_yaml_has_a_number() {
    let text = "name: 1e3\nkubernetes: {namespace: 1e3, context: +5, storage_class: 12345678901234567890, \
                pull_secrets: [1.10, yes]}\nmongodb: {database: 1e3, image: 1.10}\n";
    let overlay = "kubernetes: {context: true}\n";
    let stack = resolve(&[file(text)]).unwrap().stack;
    assert_eq!((stack.name.as_str(), stack.kubernetes.namespace.as_str()), ("1e3", "1e3"));
    assert_eq!(stack.kubernetes.context.as_deref(), Some("+5"));
    assert_eq!(stack.kubernetes.storage_class.as_deref(), Some("12345678901234567890"));
    assert_eq!(stack.kubernetes.pull_secrets, ["1.10", "yes"]);
    assert_eq!((stack.mongodb.database.as_str(), stack.mongodb.image.to_string().as_str()), ("1e3", "1.10"));
    let stack = resolve(&[file(text.split('\n').next().unwrap()), file(overlay)]).unwrap().stack;
    assert_eq!(stack.kubernetes.context.as_deref(), Some("true"));
}

#[test]
fn variable_is_what_was_written_though_yaml_has_a_number() {
    let variables = [
        ("APPFORGE_NAME", "12345678901234567890"),
        ("APPFORGE_KUBERNETES_NAMESPACE", "1e3"),
        ("APPFORGE_MONGODB_DATABASE", "007"),
        ("APPFORGE_KUBERNETES_PULL_SECRETS", "[1e3, 5]"),
        ("APPFORGE_SERVICE_REPLICAS", "3"),
        ("APPFORGE_KUBERNETES_CONTEXT", "~"),
    ];
    let layer = Layer::Env(variables.map(|(name, value)| (name.into(), value.into())).into());
    let stack = resolve(&[layer]).unwrap().stack;
    assert_eq!((stack.name.as_str(), stack.kubernetes.namespace.as_str()), ("12345678901234567890", "1e3"));
    assert_eq!((stack.mongodb.database.as_str(), stack.service.replicas), ("007", 3));
    assert_eq!(
        (stack.kubernetes.pull_secrets, stack.kubernetes.context),
        (vec!["1e3".into(), "5".into()], None)
    );
}

#[test]
fn name_that_is_refused_is_not_read_as_a_number_instead() {
    let name = "expected a name of 1 to 40 lower-case letters, digits and inner `-`";
    assert_eq!(problems(&[file("name: +5\n")]), [format!("appforge.yaml:1:7: name: {name}, got `+5`")]);
    assert_eq!(problems(&[file("name: 1.0\n")]), [format!("appforge.yaml:1:7: name: {name}, got `1.0`")]);
    let layer = Layer::Env(vec![("APPFORGE_NAME".into(), "+5".into())]);
    assert_eq!(problems(&[layer]), [format!("APPFORGE_NAME: name: {name}, got `+5`")]);
    let layer = Layer::Env(vec![("APPFORGE_SERVICE_ENV".into(), "{A: yes, B: 1e3}".into())]);
    assert_eq!(resolve(&[layer]).unwrap().stack.service.env["B"], "1e3");
    let layer = Layer::Env(vec![("APPFORGE_SERVICE_ENV".into(), "{A: yes, B: [1]}".into())]);
    assert_eq!(
        problems(&[layer]),
        ["APPFORGE_SERVICE_ENV: service.env.B: expected a string, a number or a boolean"]
    );
    assert_eq!(
        problems(&[file("service: {replicas: 1e3, env: {A: 007, B: 1e3}}\n")]),
        ["appforge.yaml:1:21: service.replicas: expected an integer, got `1e3`"]
    );
}

#[test]
fn wrong_values_are_all_reported_though_a_later_layer_overrides_one() {
    let overlay = Layer::File { name: "appforge.ci.yaml".into(), text: "service: {port: 80}\n".into() };
    let text = "service: {port: http, replicas: many}\nkubernetes: {pull_secrets: [a, [b]], route: []}\n\
                patches: {compose/x: [{op: remove}]}\n";
    assert_eq!(
        problems(&[file(text), overlay]),
        [
            "appforge.yaml:1:17: service.port: expected an integer, got `http`",
            "appforge.yaml:1:33: service.replicas: expected an integer, got `many`",
            "appforge.yaml:2:32: kubernetes.pull_secrets[1]: expected a string, got a list",
            "appforge.yaml:2:45: kubernetes.route: expected a mapping, got a list",
            "appforge.yaml:3:23: patches.compose/x[0].path: is missing",
        ]
    );
}

#[test]
fn overlay_sets_one_value_of_what_the_file_switched_off() {
    let layers = [
        file("kubernetes: {autoscaling: null}\n"),
        Layer::File { name: "b.yaml".into(), text: "kubernetes: {autoscaling: {min: 5}}\n".into() },
    ];
    let scaling = resolve(&layers).unwrap().stack.kubernetes.autoscaling.unwrap();
    assert_eq!((scaling.min, scaling.max), (5, 10));
}

#[test]
fn scaled_number_has_its_origin_and_is_judged() {
    let resolved = resolve(&[file("target: kubernetes\n")]).unwrap();
    let scaled = resolved.clone().scaled(12, Some(20), &Origin::Scaled(String::new())).unwrap();
    assert_eq!(scaled.stack.replicas_on(TargetKind::Kubernetes), 12);
    for path in ["kubernetes.autoscaling.min", "kubernetes.autoscaling.max"] {
        assert_eq!(scaled.origin(path).to_string(), "appforge scale");
    }
    assert_eq!(scaled.origin("service.replicas"), Origin::Default);
    let flag = Origin::Flag("--replicas".into());
    let refused = resolve(&[file("")]).unwrap().scaled(65, None, &flag).unwrap_err();
    let lines: Vec<String> = refused.iter().map(Problem::to_string).collect();
    assert_eq!(lines, ["--replicas: service.replicas: must be between 1 and 64, got 65"]);
    let refused = resolved.scaled(2000, None, &flag).unwrap_err();
    let lines: Vec<String> = refused.iter().map(Problem::to_string).collect();
    assert_eq!(lines, ["--replicas: kubernetes.autoscaling.min: must be between 1 and 1000, got 2000"]);
}

fn overlay(text: &str) -> Layer {
    Layer::File { name: "b.yaml".into(), text: text.into() }
}

/// An overlay took away the patches of every other document.
#[test]
fn overlay_keeps_the_patches_of_other_documents() {
    let text =
        "patches:\n  compose/a.yml: [{op: remove, path: /a}]\n  compose/b.yml: [{op: remove, path: /b}]\n";
    let patches = |layer: Layer| {
        let patches = resolve(&[file(text), layer]).unwrap().stack.patches;
        patches.into_iter().map(|(name, list)| (name, list.len())).collect::<Vec<_>>()
    };
    let pairs = |pairs: [(&str, usize); 2]| pairs.map(|(name, count)| (name.to_owned(), count)).to_vec();
    let more = patches(overlay("patches: {kubernetes/c.yaml: [{op: remove, path: /c}]}\n"));
    assert_eq!(more.len(), 3);
    let other = patches(overlay("patches: {compose/b.yml: []}\n"));
    assert_eq!(other, pairs([("compose/a.yml", 1), ("compose/b.yml", 0)]));
    let nothing = patches(overlay("patches:\n  compose/a.yml:\n"));
    assert_eq!(nothing, pairs([("compose/a.yml", 0), ("compose/b.yml", 1)]));
    let variable = ("APPFORGE_PATCHES".to_owned(), "{compose/a.yml: []}".to_owned());
    assert_eq!(patches(Layer::Env(vec![variable])), pairs([("compose/a.yml", 0), ("compose/b.yml", 1)]));
}

#[test]
fn section_with_nothing_below_is_empty() {
    let text =
        "service:\nmongodb:\n  pool:\nrate_limit:\n  trusted_proxies:\npatches:\nkubernetes:\n  route: ~\n";
    assert_eq!(resolve(&[file(text)]).unwrap().stack, Stack::default());
    assert_eq!(resolve(&[file("service:\n  env:\n")]).unwrap().stack, Stack::default());
    let layers =
        [file("rate_limit: {trusted_proxies: [10.0.0.0/8]}\n"), overlay("rate_limit:\n  trusted_proxies:\n")];
    assert_eq!(resolve(&layers).unwrap().stack, Stack::default());
    assert_eq!(
        problems(&[file("service:\n  port:\n")]),
        ["appforge.yaml:2:7: service.port: expected an integer, got null"]
    );
}

#[test]
fn bounds_after_autoscaling_was_off_have_defaults_and_places() {
    let off = || file("kubernetes: {autoscaling: null}\n");
    let some = overlay("kubernetes:\n  autoscaling:\n    min: 4\n    max: 6\n");
    let scaling = resolve(&[off(), some]).unwrap().stack.kubernetes.autoscaling.unwrap();
    assert_eq!((scaling.min, scaling.max, scaling.cpu.0), (4, 6, 70.0));
    let wrong = overlay("kubernetes:\n  autoscaling:\n    min: 7\n    max: 6\n    cpu: much\n");
    assert_eq!(
        problems(&[off(), wrong]),
        [
            "b.yaml:3:10: kubernetes.autoscaling.min: must be at most kubernetes.autoscaling.max, which is 6, got 7",
            "b.yaml:5:10: kubernetes.autoscaling.cpu: expected a percentage from 0 to 100, such as `70` or `1%`, got `much`",
        ]
    );
    let variable = ("APPFORGE_KUBERNETES_AUTOSCALING_MAX".to_owned(), "12".to_owned());
    let scaling =
        resolve(&[off(), Layer::Env(vec![variable])]).unwrap().stack.kubernetes.autoscaling.unwrap();
    assert_eq!((scaling.min, scaling.max), (3, 12));
}

#[test]
fn misspelt_variable_is_refused_with_the_nearest() {
    let found = |name: &str| {
        let layer = Layer::Env(vec![(name.into(), "7".into())]);
        resolve(&[layer]).map(drop).map_err(|problems| problems[0].to_string())
    };
    let meant = |name: &str, near: &str| {
        assert_eq!(found(name), Err(format!("{name}: unknown variable; did you mean `{near}`?")));
    };
    meant("APPFORGE_SERVICE_PROT", "APPFORGE_SERVICE_PORT");
    meant("APPFORGE_SERVCE_PORT", "APPFORGE_SERVICE_PORT");
    meant("APPFORGE_TRAGET", "APPFORGE_TARGET");
    meant("APPFORGE_CONFG", "APPFORGE_CONFIG");
    meant("APPFORGE_MONGODB_POOL_MXA", "APPFORGE_MONGODB_POOL_MAX");
    let unknown = found("APPFORGE_REDIS_SOMETHING_ELSE").unwrap_err();
    assert!(unknown.contains("unknown variable; `appforge config show"), "{unknown}");
    for other in ["APPFORGE_HOME", "APPFORGE_ENV", "APPFORGE_PEER_VALKEY", "APPFORGE_TRUST"] {
        assert_eq!(found(other), Ok(()), "{other}");
    }
}

#[test]
fn empty_variable_is_as_unset() {
    let names =
        ["APPFORGE_SERVICE_PORT", "APPFORGE_SERVICE_ENV", "APPFORGE_MONGODB_URI", "APPFORGE_SERVICE_PROT"];
    let layer = Layer::Env(names.map(|name| (name.into(), String::new())).into());
    let resolved = resolve(&[file("service: {port: 80}\n"), layer]).unwrap();
    assert_eq!((resolved.stack.service.port, resolved.origin("service.env")), (80, Origin::Default));
    let layer = Layer::Env(vec![("APPFORGE_MONGODB_DATABASE".into(), "123".into())]);
    assert_eq!(resolve(&[layer]).unwrap().stack.mongodb.database, "123");
}

#[test]
fn wrong_patch_is_named_by_document_and_index() {
    let at = |patch: &str| {
        let text = format!("patches:\n  compose/a.yml:\n    - {{op: remove, path: /a}}\n    - {patch}\n");
        problems(&[file(&text)]).remove(0)
    };
    let begins = |patch: &str, begin: &str| {
        let problem = at(patch);
        assert!(problem.starts_with(&format!("appforge.yaml:4:{begin}")), "{problem}");
    };
    begins("{op: move, path: /a}", "12: patches.compose/a.yml[1].op: unknown value `move`");
    begins("{op: add, path: /a}", "7: patches.compose/a.yml[1].value: is missing");
    begins("{path: /a}", "7: patches.compose/a.yml[1].op: is missing");
    begins("{op: remove, path: /a, valu: 1}", "7: patches.compose/a.yml[1]: unknown key `valu`");
    begins("text", "7: patches.compose/a.yml[1]: expected ");
    let exact = "cannot be kept exactly as a number; quote it";
    for number in ["18446744073709551616", "-9223372036854775809", "3.14159265358979323846", "1e400"] {
        let problem = at(&format!("{{op: add, path: /a, value: {number}}}"));
        let place = "appforge.yaml:4:34: patches.compose/a.yml[1].value: ";
        assert_eq!(problem, format!("{place}`{number}` {exact}"));
    }
    assert_eq!(
        problems(&[file("patches: {compose/a.yml: {op: remove, path: /a}}\n")]),
        ["appforge.yaml:1:26: patches.compose/a.yml: expected a list, got a mapping"]
    );
}

#[test]
fn number_of_a_patch_is_the_one_that_was_written() {
    let numbers =
        ["9223372036854775808", "18446744073709551615", "-9223372036854775808", "0.1", "1.10", "1e3", "-0.0"];
    for number in numbers {
        let text = format!("patches: {{compose/a.yml: [{{op: add, path: /a, value: {{b: [{number}]}}}}]}}\n");
        let stack = resolve(&[file(&text)]).unwrap().stack;
        let Patch::Add { value, .. } = &stack.patches["compose/a.yml"][0] else { panic!("{stack:?}") };
        let shown = value["b"][0].to_string();
        assert!(
            crate::document::parse_value(number).unwrap().to_json() == value["b"][0],
            "{number}: {shown}"
        );
        assert_eq!(shown.parse::<f64>().unwrap(), number.parse::<f64>().unwrap());
    }
    // One in quotes is a string.
    let text = "patches: {compose/a.yml: [{op: add, path: /a, value: '18446744073709551616'}]}\n";
    resolve(&[file(text)]).unwrap();
}

/// Each variable was looked for among all others.
#[test]
fn twenty_thousand_variables_are_read_at_once() {
    let lines: String = (0..20_000).map(|at| format!("    VARIABLE_{at}: \"{at}\"\n")).collect();
    let text = format!("service:\n  env:\n{lines}");
    let started = std::time::Instant::now();
    let stack =
        resolve(&[file(&text), overlay("service: {env: {VARIABLE_7: other, MORE: x}}\n")]).unwrap().stack;
    let variables = crate::stack::environment::environment(&stack);
    assert_eq!((stack.service.env.len(), stack.service.env["VARIABLE_7"].as_str()), (20_001, "other"));
    assert!(variables.len() > 20_000);
    // A quarter of a second in a release build; a debug build on a busy machine gets more, and took minutes before.
    assert!(started.elapsed() < std::time::Duration::from_secs(10), "{:?}", started.elapsed());
}
