//! User files as people write them, right and wrong.

use super::*;

fn read(text: &str) -> Result<Scenario, Vec<String>> {
    let variable = |name: &str| (name == "TOKEN").then(|| "t0ken".to_owned());
    let defaults = Defaults { name: "s", think_time: Duration::from_secs(1), variable: &variable };
    parse("s.yaml", text, &defaults).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

#[test]
fn a_file_gives_stages_steps_checks_and_thresholds() {
    let scenario = read(
        "think_time: 2s\n\
         stages: [{duration: 10s, users: 50}, {duration: 1m, users: 50}]\n\
         steps:\n\
         - {path: /health}\n\
         - name: create\n  \
           weight: 3\n  \
           path: /api/items\n  \
           headers: {authorization: 'Bearer ${env:TOKEN}'}\n  \
           body: {name: 'item ${n}', price: 1.5}\n  \
           expect: 201\n  \
           checks: [{body_contains: item}, {header: {location: /api}}, {within: 500ms}]\n\
         thresholds: ['p95{create}<300ms']\n",
    )
    .unwrap();
    let Model::Closed { users, think_time } = &scenario.model else { panic!() };
    assert_eq!((users.peak(), users.duration(), think_time.as_secs()), (50.0, Duration::from_secs(70), 2));
    let [health, create] = scenario.steps.as_slice() else { panic!() };
    assert_eq!((health.name.as_str(), health.method.clone(), health.weight), ("GET /health", Method::GET, 1));
    assert_eq!((create.method.clone(), create.statuses.clone()), (Method::POST, vec![201]));
    assert_eq!(create.headers["authorization"], "Bearer t0ken");
    assert_eq!(create.headers["content-type"], "application/json");
    assert_eq!(create.body, r#"{"name":"item ${n}","price":1.5}"#);
    let checks: Vec<&str> = create.checks.iter().map(|check| check.name.as_str()).collect();
    let want =
        ["create: body contains `item`", "create: header location contains `/api`", "create: within 500ms"];
    assert_eq!(checks, want);
    assert_eq!(scenario.thresholds[0].to_string(), "p95{create}<300ms");
}

#[test]
fn stages_of_a_rate_make_an_open_model() {
    let scenario =
        read("stages: [{duration: 10s, rate: 200}]\nsteps: [{path: /}]\nconnections: 7\n").unwrap();
    let Model::Open { rate, connections } = &scenario.model else { panic!() };
    assert_eq!((rate.peak(), *connections), (200.0, 7));
}

#[test]
fn every_problem_is_said_at_once_with_its_place() {
    let problems = read(
        "thinktime: 1s\n\
         stages:\n\
         - {duration: 10s, users: many}\n\
         - {duration: soon, rate: 3}\n\
         steps:\n\
         - {path: api}\n\
         - {path: /a, method: FETCH}\n\
         - {path: /b, headers: {authorization: 'x ${env:NOBODY}'}}\n\
         - {path: /c, checks: [{size: 3}]}\n\
         thresholds: [fast]\n",
    )
    .unwrap_err();
    let want = [
        "s.yaml:1:1: unknown key `thinktime`; did you mean `think_time`?",
        "s.yaml:3:26: stages[0].users: expected an integer, got `many`",
        "s.yaml:4:3: stages[1]: `users` and `rate` stages cannot be combined",
        "s.yaml:4:14: stages[1].duration: expected a duration such as `500ms` or `10m`, got `soon`",
        "s.yaml:6:10: steps[0].path: expected a path such as `/api/items?limit=20`, got `api`",
        "s.yaml:7:22: steps[1].method: unknown value `FETCH`; did you mean `PATCH`?",
        "s.yaml:8:39: steps[2].headers.authorization: the variable `NOBODY` is not set",
        "s.yaml:9:23: steps[3].checks[0]: requires exactly one of `status`, `body_contains`, `header`, `within`",
        "s.yaml:9:24: steps[3].checks[0]: unknown key `size`; known keys: `status`, `body_contains`, `header`, `within`",
        "s.yaml:10:14: thresholds[0]: missing `<` or `>`; expected a threshold such as `p95<500ms`, `error_rate<1%`, `checks>95%`, `rate>100` or `p99{items}<1s`, got `fast`",
    ];
    assert_eq!(problems, want, "{problems:#?}");
}

#[test]
fn what_is_no_scenario_is_refused() {
    for text in [
        "",
        "- a",
        "stages: []\nsteps: []",
        "stages: [{duration: 0s, users: 1}]\nsteps: [{path: /}]",
        "stages: [{duration: 1s, users: 1}]\nsteps: [{path: /, weight: 0}]",
        "stages: [{duration: 1s, users: 99999999}]\nsteps: [{path: /}]",
        "stages: [{duration: 1s, users: 1}]\nsteps: [{path: /}, {path: /}]",
        "stages: [{duration: 1s, users: 1}]\nsteps: [{path: /, headers: {content-length: 3}}]",
        "stages: [{duration: 1s, users: 1}]\nsteps: [{path: \"/a\\r\\nb\"}]",
        "stages: [",
        "stages: [{duration: 1s, users: 1}]\nsteps: [{path: /, checks: [{status: ~}]}]",
        "stages: [{duration: 1s, users: 1}]\nsteps: [{path: /, body: '${env:X'}]",
        "a: &x 1\nb: *x",
    ] {
        read(text).map(|_| ()).expect_err(text);
    }
}
