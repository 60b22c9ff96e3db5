//! What the verbs print about a cluster, in one snapshot.

use super::{Place, STACK};
use crate::texts::Texts;

#[test]
fn tables_of_a_cluster_are_as_in_their_snapshot() {
    let place = Place::new(STACK);
    let mut texts = Texts::new("cluster")
        .mask(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*Z", "TIME")
        .mask(r"DEPLOYED +BY +", "DEPLOYED  BY  ")
        .mask(r"TIME +[^@\n]+@\S+ +", "TIME  USER@HOST  ")
        .mask(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT")
        .mask(r"\d+\.\d+s\b", "TIME")
        .mask(r"(secret/shop-app)-[0-9a-f]{16}", "$1-DIGEST");
    let mut run = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        texts.add(&place.project, &format!("appforge {line}"), &place.run(&words));
    };
    run("status");
    run("diff");
    run("up --timeout 20s");
    run("status");
    run("history");
    run("rollback");
    run("rollback 9");
    run("scale 5");
    run("scale 12");
    run("doctor");
    run("down");
    texts.compare();
}
