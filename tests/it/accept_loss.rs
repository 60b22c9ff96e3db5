//! Embedded data that holds less than was acknowledged: refused with both numbers, continued on demand, once.

use std::path::PathBuf;

use crate::stack::Up;
use crate::support::Project;

fn file(up: &Up, name: &str) -> PathBuf {
    up.project.path().join(".appforge").join(name)
}

fn write_item(up: &Up) {
    up.connected();
    assert_eq!(up.request("POST /api/items", r#"{"name": "x"}"#).0, 201);
}

fn items(up: &Up) -> usize {
    up.connected();
    up.request("GET /api/items?limit=100", "").1.matches("\"name\"").count()
}

/// Down, with the data of a time at which there was one item less.
fn older(up: &Up) {
    up.done(&["down"]);
    let data = file(up, "data/mongodb/mongodb.redb");
    let older = std::fs::read(&data).unwrap();
    up.done(&["up"]);
    write_item(up);
    up.done(&["down"]);
    std::fs::write(&data, older).unwrap();
}

#[test]
fn up_refuses_older_data_until_the_loss_is_accepted() {
    let up = Up::new("");
    up.done(&["up"]);
    write_item(&up);
    older(&up);
    for round in 1..=2 {
        let refused = up.run(&["up"]);
        assert_eq!(refused.code, Some(1), "{refused:#?}");
        assert!(refused.stderr.contains("appforge logs mongodb"), "{}", refused.stderr);
        let said = &refused.stderr;
        assert!(said.contains("was acknowledged") && said.contains("appforge up --accept-loss"), "{said}");
        up.done(&["up", "--accept-loss"]);
        assert_eq!(items(&up), 1);
        // It was accepted once; another loss is refused again.
        if round == 1 {
            older(&up);
        }
    }
    // A store that runs has lost nothing.
    let again = up.done(&["up", "--accept-loss"]);
    assert!(again.stderr.contains("is running and lost nothing"), "{}", again.stderr);
    assert_eq!(items(&up), 1);
}

#[test]
fn accept_loss_is_refused_where_no_store_is_embedded() {
    let project = Project::with("target: compose\n");
    let run = project.run(&["up", "--accept-loss"]);
    assert_eq!(run.code, Some(2), "{run:#?}");
    assert!(run.stderr.contains("--accept-loss"), "{}", run.stderr);
    assert!(!project.path().join(".appforge/run").exists());
}
