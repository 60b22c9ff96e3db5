//! `cost --explain`, `--compare` and `--chart`.

use super::{cost, json, refused};
use crate::support::Project;

#[test]
fn each_step_to_the_nodes_is_explained() {
    let run = cost(&Project::new(), &["--users", "50000", "--explain", "nodes"]);
    assert_eq!((run.stderr.as_str(), run.code), ("", Some(0)));
    assert_eq!(
        run.stdout,
        "\
Kubernetes nodes: 17 nodes, $850-1,360 a month

STEP                    VALUE                    HOW
users a day             50,000                   --users
requests a day          2,500,000                50,000 x 50, cost.requests_per_user
average                 28.9 req/s               2,500,000 / 86,400 s
peak                    144.7 req/s              28.9 x 5, cost.peak_factor
capacity of a replica   14 req/s                 70 % of 20, default; `appforge load --scenario capacity` measures yours
replicas for the load   11                       144.7 / 14, rounded up
replicas                11                       the larger of 11 and the floor 3
replicas on a node      3                        1600m and 5GiB allocatable on a node, a replica requests 500m and 256MiB
nodes with stores       1                        the pods of stores that are not external; 2 replicas fit beside them
nodes for the load      4                        for the stores and 11 replicas, rounded up
nodes for all replicas  5                        for the stores and 11 replicas, and 1 to drain
by availability floor   3 nodes                  the minimum, so that one can fail
by tier size            10 nodes                 what the catalogue prices for tier `scale`
by users per unit       17 nodes                 50,000 / 3,000, rounded up
by request rate         5 nodes                  from the steps above
quantity                17 nodes                 the largest, by users per unit
price                   $850-1,360 a month       17 x $50-80
price of                2026-02-01, 28 days old  scalability setup, Infrastructure Costs (confidence: fair)
note                                             agrees with list prices, $520 (DigitalOcean) to $669 (AWS EKS) \
for ten with a control plane
not measured                                     extrapolated, nodes: one node per 3,000 users; mongodb: one cluster \
per 30,000 users; redis: one plan per 30,000 users; cdn: one unit per 3,000 users
"
    );
    refused(
        &["--users", "1", "--explain", "nodse"],
        2,
        "error: unknown line item `nodse` on tier `development`; did you mean `nodes`?\n",
    );
}

#[test]
fn two_tiers_are_compared_line_by_line() {
    let run = cost(&Project::new(), &["--users", "10000", "--compare", "development", "production"]);
    assert_eq!((run.stderr.as_str(), run.code), ("", Some(0)));
    let expected = "\
10,000 users a day: development -> production

ITEM       WHAT                                              QUANTITY                  A MONTH
~ nodes    Single VPS (4 vCPU, 8 GB RAM) -> Kubernetes nodes  1 server -> 3 nodes       $20-40 -> $150-300
~ mongodb  MongoDB -> MongoDB Atlas M10                      1 container -> 1 cluster  included -> $57
~ redis    Redis -> Redis Cloud 2GB                          1 container -> 1 plan     included -> $50
+ cdn      CDN                                               1 plan                    $20-50

  total  $20-40 -> $277-457 (+$257 to +$417)
  development is too small for these users: more than 5,000 users a day
";
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown = run.stdout.split("\nPrices: ").next().unwrap();
    assert_eq!(squeezed(shown), squeezed(expected));
}

#[test]
fn two_stack_files_are_compared_each_with_its_own_settings() {
    let project = Project::new();
    project.write("old.yaml", "service: {replicas: 1}\n");
    project.write("new.yaml", "mongodb: {pool: {max: 1000}}\n");
    let shown = json(&project, &["--compare", "old.yaml", "new.yaml"]);
    assert_eq!((&shown["from"]["tier"], &shown["to"]["tier"]), (&"production".into(), &"scale".into()));
    assert_eq!(shown["to"]["binds"]["constraint"], "connections");
    let marks: Vec<&str> =
        shown["items"].as_array().unwrap().iter().map(|item| item["change"].as_str().unwrap()).collect();
    assert_eq!(marks, ["~", "~", "~", "~"]);
    assert_eq!(shown["change"], serde_json::json!({"low": "823", "high": "943"}));
    let run = cost(&project, &["--compare", "old.yaml", "new.yaml", "--max", "1000", "--users", "10000"]);
    assert_eq!(run.code, Some(8), "the new side is judged: {run:#?}");
    project.write("bad.yaml", "servce: {}\n");
    assert_eq!(cost(&project, &["--compare", "old.yaml", "bad.yaml"]).code, Some(3));
    refused(
        &["--compare", "old.yaml", "production"],
        2,
        "error: `old.yaml` is neither a tier nor a stack file\n\nhint: tiers: development, production, scale\n",
    );
    refused(
        &["--compare", "production"],
        2,
        "error: `--compare production` requires a second tier or stack file\n\n\
         hint: use `--compare tiers`, `--compare providers`, or two tiers or stack files\n",
    );
}

#[test]
fn all_tiers_are_compared_for_the_same_users() {
    let run = cost(&Project::new(), &["--users", "10000", "--compare", "tiers", "-o", "csv"]);
    assert_eq!(
        run.stdout,
        "tier,users_per_day,low,high,verdict\n\
         development,10000,20,40,\"too small: more than 5,000 users a day\"\n\
         production,10000,277,457,fits; limiting factor: availability floor\n\
         scale,10000,910,1210,fits; limiting factor: tier size\n"
    );
}

#[test]
fn providers_are_shown_with_source_date_and_the_total_they_lead_to() {
    let shown = json(&Project::new(), &["--users", "30000", "--compare", "providers"]);
    let offers = shown["offers"].as_array().unwrap();
    let m30 = offers.iter().find(|offer| offer["name"] == "M30 list price").expect("M30");
    assert_eq!(m30["low"], "394.20");
    assert_eq!(m30["total"], serde_json::json!({"low": "1114.20", "high": "1414.20"}));
    for offer in offers {
        assert!(offer["source"].as_str().unwrap().starts_with("https://"), "{offer}");
        assert!(["good", "fair", "low"].contains(&offer["confidence"].as_str().unwrap()), "{offer}");
    }
}

#[test]
fn the_chart_goes_to_the_terminal_and_to_a_file() {
    let project = Project::with("cost: {budget: 500}\n");
    let run = cost(&project, &["--chart"]);
    let rows: Vec<&str> = run.stdout.lines().skip(2).take(19).collect();
    assert_eq!(
        rows,
        [
            "$100,000 ┤",
            "         │",
            "         │                                                             ░░░░",
            "         │                                                         ░░░░░░",
            " $10,000 ┤                                                     ░░░░░░",
            "         │                                                ░░░░░░░",
            "         │                                             ░░░░░",
            "         │                                        ░░░░░░",
            "  $1,000 ┤                                   █████░",
            "         │----------------------------███████------------------------------",
            "         │                            ███████",
            "         │",
            "    $100 ┤",
            "         │",
            "         │████████████████████████████",
            "         │████████████████████████████",
            "     $10 ┤",
            "         └┬───────────────┬───────────────┬───────────────┬───────────────┬",
            "          100             1,000           10,000          100,000         1,000,000",
        ]
    );
    let run = project.run(&["cost", "--as-of", "2026-03-01", "--chart=cost.svg"]);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str(), run.code), ("", "wrote cost.svg\n", Some(0)));
    let drawn = std::fs::read_to_string(project.path().join("cost.svg")).unwrap();
    assert!(drawn.starts_with("<svg xmlns") && drawn.ends_with("</svg>\n") && drawn.contains("budget $500"));
    assert_eq!(cost(&project, &["--chart=-"]).stdout, drawn);
    let points = json(&project, &["--chart"])["points"].as_array().unwrap().clone();
    assert_eq!((&points[0]["users_per_day"], &points[64]["users_per_day"]), (&100.into(), &1_000_000.into()));
}
