//! Revisions of a stack on a cluster: what `history` says of them, and the way back to one.

use serde_json::json;

use super::{Place, STACK};
use crate::support::Project;

#[test]
fn status_tells_the_autoscaler_and_history_the_revisions() {
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    let status = place.json(&["status"]);
    assert_eq!(status["replicas"], json!({"desired": 3, "ready": 3}));
    assert_eq!(status["url"], "http://shop-app.shop.svc:5000");
    assert_eq!(
        (&status["cluster"]["context"], &status["cluster"]["autoscaler"]["max"]),
        (&json!("test"), &json!(10))
    );
    let history = place.json(&["history"]);
    assert_eq!(history["revisions"][0]["image"], "registry.example/shop:1");
    assert_eq!(history["revisions"][0]["current"], true);
    let unknown = place.exits(2, &["rollback", "9"]);
    assert!(
        unknown.stderr.ends_with(
            "error: unknown revision 9\n\nhint: revisions: 1; `appforge history` describes them\n"
        ),
        "{}",
        unknown.stderr
    );
}

#[test]
fn history_says_who_deployed_when_and_why_and_bare_rollback_goes_to_the_previous_revision() {
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    let none = place.exits(1, &["rollback"]);
    assert!(
        none.stderr.ends_with("error: the stack has no earlier revision\n\nhint: appforge history\n"),
        "{none:#?}"
    );
    place.project.write("appforge.yaml", &STACK.replace("shop:1", "shop:2"));
    place.exits(0, &["up", "--message", "the second build"]);
    // What does not replace pods is no new revision, and leaves what the last one says.
    place.exits(0, &["scale", "--replicas", "4", "--max", "9"]);
    let history = || place.json(&["history"])["revisions"].clone();
    let before = history();
    assert_eq!(before.as_array().unwrap().len(), 2, "{before}");
    assert_eq!(before[1]["message"], "the second build");
    for revision in before.as_array().unwrap() {
        assert!(revision["by"].as_str().unwrap().contains('@'), "{revision}");
        assert!(revision["deployed"].as_str().unwrap().starts_with("20"), "{revision}");
    }
    let image = || {
        place.api.object("deployments", "shop-app").unwrap()["spec"]["template"]["spec"]["containers"][0]["image"]
            .clone()
    };
    let back = place.exits(0, &["rollback"]);
    assert!(back.stderr.contains("rolled back to the previous revision in "), "{}", back.stderr);
    assert_eq!(image(), "registry.example/shop:1");
    assert_eq!(history().as_array().unwrap().last().unwrap()["message"], "appforge rollback 1");
    place.exits(0, &["rollback"]);
    assert_eq!(image(), "registry.example/shop:2", "and forward again");
    let local = Project::with("").run(&["up", "--message", "x"]);
    assert_eq!(local.code, Some(2), "{local:#?}");
}

#[test]
fn rollback_over_a_changed_port_brings_service_and_pods_back_together() {
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    let ports = || {
        let service = place.api.object("services", "shop-app").unwrap()["spec"]["ports"][0].clone();
        let pods = place.api.object("deployments", "shop-app").unwrap();
        (
            service["port"].clone(),
            service["targetPort"].clone(),
            pods["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"].clone(),
        )
    };
    assert_eq!(ports(), (json!(5000), json!("http"), json!(5000)));
    let policy = place.api.object("networkpolicies", "shop-app").unwrap();
    assert_eq!(policy["spec"]["ingress"][0]["ports"][0]["port"], "http", "{policy}");
    assert_eq!(policy["spec"]["ingress"][1]["ports"][0]["port"], "admin", "{policy}");
    place.project.write("appforge.yaml", &format!("{STACK}service: {{port: 80}}\n"));
    place.exits(0, &["up"]);
    assert_eq!(ports(), (json!(80), json!("http"), json!(8080)));
    let back = place.exits(0, &["rollback"]);
    assert_eq!(ports(), (json!(5000), json!("http"), json!(5000)));
    assert!(back.stdout.contains("http://shop-app.shop.svc:5000"), "{}", back.stdout);
    place.exits(0, &["rollback"]);
    assert_eq!(
        ports(),
        (json!(80), json!("http"), json!(8080)),
        "a port that needs privileges comes back too"
    );
}
