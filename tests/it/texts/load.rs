//! What `load` refuses before it sends a request.

use super::{Case, Texts};

const EMPTY: &[(&str, &str)] = &[];

/// A scenario file, for a service that is not there.
macro_rules! scenario {
    ($text:literal) => {
        (&[("mine.yaml", $text)], "load --scenario mine.yaml --url http://127.0.0.1:1 -q")
    };
}

const FLAGS: &[Case] = &[
    (EMPTY, "load -q"),
    (EMPTY, "load --scenario pike -q"),
    (EMPTY, "load --duration 0s -q"),
    (EMPTY, "load --duration soon"),
    (EMPTY, "load --vus 0"),
    (EMPTY, "load --rate fast"),
    (EMPTY, "load --rate 0"),
    (EMPTY, "load --rate 5 --think-time 1s"),
    (EMPTY, "load --threads 0"),
    (EMPTY, "load --threshold fast"),
    (EMPTY, "load --threshold p95<soon"),
    (EMPTY, "load --threshold p101<1s"),
    (EMPTY, "load --threshold colour<1s"),
    (EMPTY, "load --threshold p95{items<1s"),
    (EMPTY, "load --url http://127.0.0.1:1 --threshold p95{items}<1s -q"),
    (EMPTY, "load --replicas 3"),
    (EMPTY, "load --url localhost -q"),
    (EMPTY, "load --url ftp://x -q"),
    (EMPTY, "load --url http://user:secret@x -q"),
    (EMPTY, "load --url http://127.0.0.1:99999 -q"),
    (EMPTY, "load --url http://127.0.0.1:1 -q"),
    (EMPTY, "load --url http://name.invalid -q"),
    (EMPTY, "load --url https://a_b.invalid -q"),
    (EMPTY, "load --url http://127.0.0.1:1 --probe-secret-file gone -q"),
    (&[("secret", "short\n")], "load --url http://127.0.0.1:1 --probe-secret-file secret -q"),
    (EMPTY, "load --url http://127.0.0.1:1 --compare gone.json -q"),
    (&[("last.json", "{}\n")], "load --url http://127.0.0.1:1 --compare last.json -q"),
    (EMPTY, "load --url http://127.0.0.1:1 --report result.txt -q"),
    (EMPTY, "load --scenario gone.yaml -q"),
    (&[("mine.yaml/x", "")], "load --scenario mine.yaml -q"),
    (
        &[("mine.yaml", "stages: [{duration: 1s, users: 1}]\nsteps: [{path: /a}]\n")],
        "load --scenario mine.yaml --url http://127.0.0.1:1/b -q",
    ),
];

const SCENARIOS: &[Case] = &[
    scenario!("{}\n"),
    scenario!("stages: []\nsteps: []\n"),
    scenario!("stage: []\nsteps: [{path: /a}]\n"),
    scenario!("stages: [{duration: 1s}]\nsteps: [{path: a b}]\n"),
    scenario!("stages: [{duration: 25h, users: 30000}]\nsteps: [{path: /a, method: SEND, weight: -1}]\n"),
    scenario!("stages: [{duration: 1s, users: 1}, {duration: 1s, rate: 5}]\nsteps: [{path: /a}]\n"),
    scenario!("stages: [{duration: 0s, users: 1}]\nsteps: [{path: /a}]\n"),
    scenario!("stages: [{duration: 1s, rate: 1}]\nthink_time: 1s\nsteps: [{path: /a, weight: 0}]\n"),
    scenario!("stages: [{duration: 1s, users: 1}]\nconnections: 5\nsteps: [{path: /a}, {path: /a}]\n"),
    scenario!(
        "stages: [{duration: 1s, users: 1}]\nthresholds: [fast]\nsteps: [{path: /a, expect: 99, checks: [{}, {header: {a: x, b: y}}, {within: x}]}]\n"
    ),
    scenario!(
        "stages: [{duration: 1s, users: 1}]\nsteps: [{path: /a, body: '${env:GONE}', headers: {te: x, 'a b': c, d: \"e\\n\", e: '${env:X'}}]\n"
    ),
    scenario!("stages: [{duration: 1s, users: 1}]\nsteps: [{path: /a, headers: [a]}]\n"),
];

#[test]
fn texts_of_load_are_as_in_their_snapshot() {
    Texts::new("load-errors")
        .mask("failed to lookup address information: .*", "REASON")
        .cases(FLAGS)
        .cases(SCENARIOS)
        .compare();
}
