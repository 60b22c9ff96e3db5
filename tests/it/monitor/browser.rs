//! The page in a real browser, without a window.

use std::process::Command;

use appforge_testing::need;
use serde_json::Value;

use super::{Monitor, is_well, loaded};

/// The page as it is after so many milliseconds of its own time.
fn rendered(url: &str, profile: &std::path::Path, more: &[&str]) -> String {
    let program = need::program("APPFORGE_PEER_CHROMIUM", &["chromium"]);
    let mut command = Command::new(program);
    command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]);
    command.arg(format!("--user-data-dir={}", profile.display())).args(more).arg(url);
    let output = command.output().expect("chromium starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
#[ignore = "needs chromium"]
fn browser_shows_charts_replicas_and_no_markup_of_others() {
    let up = loaded();
    is_well(&up);
    let monitor = Monitor::start(&up);
    let profile = tempfile::tempdir().unwrap();
    let page = rendered(&monitor.url, profile.path(), &["--dump-dom", "--virtual-time-budget=6000"]);
    // Its script has the texts of all cases.
    let body = page.split_once("<body>").unwrap().1;
    let page = body.split("<script").next().unwrap();
    assert!(!page.contains("does not answer"), "{page}");
    for text in [
        "no problems</span>",
        "service-1",
        "service-2",
        "History kept by the supervisor",
        "/s</b>",
        "load test",
    ] {
        assert!(page.contains(text), "{text} in {page}");
    }
    assert_eq!(page.matches("<figure>").count(), 8, "{page}");
}

#[test]
#[ignore = "needs chromium"]
fn text_of_others_stays_text_on_the_page() {
    let up = loaded();
    up.done(&["monitor", "--report", "stack.html", "-q"]);
    let page = up.project.read("stack.html");
    let (before, rest) = page.split_once("id=\"report\">").unwrap();
    let (json, after) = rest.split_once("</script>").unwrap();
    let mut views: Value = serde_json::from_str(json).unwrap();
    let evil = "<img src=x onerror=document.title='evil'></script><b>bold</b>";
    views["15m"]["stack"] = evil.into();
    views["15m"]["rows"][0]["name"] = evil.into();
    views["15m"]["problems"] = serde_json::json!([{"severity": "critical", "text": evil, "command": evil}]);
    views["15m"]["events"] = serde_json::json!([{"at": views["15m"]["now"], "kind": "load", "text": evil}]);
    let json = views.to_string().replace('<', "\\u003c");
    up.project.write("stack.html", &format!("{before}id=\"report\">{json}</script>{after}"));
    let profile = tempfile::tempdir().unwrap();
    let url = format!("file://{}", up.project.path().join("stack.html").display());
    let page = rendered(&url, profile.path(), &["--dump-dom", "--virtual-time-budget=2000"]);
    let body = page.split_once("<body>").unwrap().1;
    let shown = body.split("<script").next().unwrap();
    assert!(!shown.contains("<img") && !shown.contains("<b>bold"), "{shown}");
    assert!(shown.matches("&lt;img src=x").count() >= 4, "{shown}");
    assert!(!page.contains("<title>evil"), "{page}");
}
