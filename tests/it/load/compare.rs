use serde_json::Value;

use super::load;
use super::server::{Server, ok};
use crate::support::Project;

/// Other programs on this machine must not make kept runs unfit for a comparison.
fn calm(project: &Project) {
    change_kept(project, "\"saturated\": true", "\"saturated\": false");
}

/// Replaces a part of each kept result.
fn change_kept(project: &Project, from: &str, to: &str) {
    for entry in std::fs::read_dir(project.path().join(".appforge/loads")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace(from, to)).unwrap();
    }
}

#[test]
fn comparison_skips_runs_that_prove_nothing() {
    let server = Server::start(|_| ok());
    let project = Project::new();
    let args = ["--vus", "2", "--duration", "1s", "--think-time", "10ms"];
    let (first, run) = load(&project, &server, &args);
    assert_eq!(run.code, Some(0), "{run:#?}");
    calm(&project);
    // A shorter run comes later and is not what a longer one is compared with.
    load(&project, &server, &["--vus", "2", "--duration", "500ms", "--think-time", "10ms"]);
    let (second, run) = load(&project, &server, &args);
    let with = format!("the run of {}", first["started_at"].as_str().unwrap());
    assert!(second["comparison"]["with"].as_str().unwrap().starts_with(&with), "{second:#}");
    assert!(run.stderr.contains("not comparing with 1 later run: interrupted, shorter"), "{}", run.stderr);
    // A second is too short to know what is noise.
    assert_eq!(second["comparison"]["rows"][1]["verdict"], "not enough data", "{second:#}");
    assert_eq!(second["comparison"]["rows"][1]["band"], Value::Null, "{second:#}");
    for (from, to) in [
        ("\"saturated\": false", "\"saturated\": true"),
        ("\"ended\": \"completed\"", "\"ended\": \"interrupted\""),
    ] {
        calm(&project);
        change_kept(&project, from, to);
        let (third, _) = load(&project, &server, &args);
        assert_eq!(third["comparison"], Value::Null, "{to}: {third:#}");
    }
}

#[test]
fn reports_are_written_and_a_second_run_is_compared_with_the_first() {
    let server = Server::start(|_| ok());
    let project = Project::new();
    let args = ["--vus", "2", "--duration", "1s", "--think-time", "10ms"];
    let reports = ["--report", "run.html", "--report", "run.md", "--report", "run.json"];
    let (first, run) = load(&project, &server, &[args.as_slice(), &reports].concat());
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert_eq!(first["comparison"], Value::Null);
    calm(&project);
    let (second, _) = load(&project, &server, &[args.as_slice(), &reports].concat());
    let rows = second["comparison"]["rows"].as_array().unwrap();
    let metrics: Vec<&str> = rows.iter().map(|row| row["metric"].as_str().unwrap()).collect();
    assert_eq!(metrics, ["requests per second", "p50", "p95", "p99", "failed"]);
    let read = |name: &str| std::fs::read_to_string(project.path().join(name)).unwrap();
    let page = read("run.html");
    assert_eq!(page.matches("<svg").count(), 3);
    for outside in ["<script", "src=", "href=", "@import", "url(", "{{"] {
        assert!(!page.contains(outside), "`{outside}` in the page");
    }
    assert!(page.contains("Compared with"), "{page}");
    assert!(read("run.md").starts_with("## Load test `normal` passed\n"), "{}", read("run.md"));
    assert!(read("run.md").contains("| `p95<500ms` | "), "{}", read("run.md"));
    let other = ["--vus", "3", "--duration", "1s", "--think-time", "10ms"];
    let (more_users, _) = load(&project, &server, &other);
    assert_eq!(more_users["comparison"], Value::Null, "more users are not a slower service");
    let told = load(&project, &server, &[other.as_slice(), &["--compare", "run.json"]].concat()).0;
    assert_eq!(told["comparison"]["differences"][0], "load: 2 users, now 3 users", "{told:#}");
    let (third, _) = load(&project, &server, &[args.as_slice(), &["--compare", "run.json"]].concat());
    let with = format!("the run of {}", second["started_at"].as_str().unwrap());
    assert!(third["comparison"]["with"].as_str().unwrap().starts_with(&with), "{third:#}");
    let run = project.run(&["load", "--url", &server.url(), "--compare", "nothing.json"]);
    assert_eq!(run.code, Some(3), "{run:#?}");
}
