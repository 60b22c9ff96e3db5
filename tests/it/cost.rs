//! `cost`: totals of the setup to the cent, refusals, catalogues, and the gate.

mod views;

use serde_json::Value;

use crate::support::{Project, Run};

/// A day on which the setup's prices are 28 days old.
const FRESH: [&str; 3] = ["-q", "--as-of", "2026-03-01"];

#[track_caller]
fn cost(project: &Project, args: &[&str]) -> Run {
    project.run(&[&["cost"], &FRESH[..], args].concat())
}

#[track_caller]
fn json(project: &Project, args: &[&str]) -> Value {
    let run = cost(project, &[args, &["-o", "json"]].concat());
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{}", run.stdout);
    serde_json::from_str(&run.stdout).expect("JSON")
}

#[track_caller]
fn refused(args: &[&str], code: i32, stderr: &str) {
    let run = cost(&Project::new(), args);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str(), run.code), ("", stderr, Some(code)));
}

#[test]
fn without_users_all_tiers_stand_side_by_side() {
    let run = cost(&Project::new(), &[]);
    assert_eq!((run.stderr.as_str(), run.code), ("", Some(0)));
    assert_eq!(
        run.stdout,
        "\
A MONTH          DEVELOPMENT                            PRODUCTION                      SCALE
users a day      up to 5,000                            up to 15,000                    more
shown for        5,000                                  10,000                          30,000
runs on          Docker Compose                         Kubernetes                      Kubernetes
nodes            Single VPS (4 vCPU, 8 GB RAM): $20-40  3 x Kubernetes nodes: $150-300  10 x Kubernetes nodes: $500-800
mongodb          MongoDB: included                      MongoDB Atlas M10: $57          MongoDB Atlas M30: $190
redis            Redis: included                        Redis Cloud 2GB: $50            Redis Cloud 8GB: $120
cdn              -                                      CDN: $20-50                     10 x CDN: $100
total            $20-40                                 $277-457                        $910-1,210
per 1,000 users  $4-8                                   $27.70-45.70                    $30.33-40.33
limiting factor  availability floor                     availability floor              tier size

Notes
  mongodb and redis run on the cluster's own nodes (`mode`); without MongoDB Atlas M10 and Redis Cloud 2GB, which are \
for `mode: external`, the total is $170-350
  MongoDB Atlas M30: the list price is $394.20 ($0.54 an hour on AWS, 730 hours; read in 2026 on an undated page); \
with it the total is $1,114.20-1,414.20
  mongodb and redis run on the cluster's own nodes (`mode`); without MongoDB Atlas M30 and Redis Cloud 8GB, which are \
for `mode: external`, the total is $600-900

Prices: scalability setup of 2026-02-01, their age as of 2026-03-01
Not included: load balancer, block storage, NAT and egress, backups, registry, log and metric storage, support, VAT, \
a staging copy
"
    );
}

#[test]
fn ten_thousand_users_are_the_production_tier_item_by_item() {
    let run = cost(&Project::new(), &["--users", "10000"]);
    let head: Vec<&str> = run.stdout.lines().take(11).collect();
    assert_eq!(
        head,
        [
            "10,000 users a day: $277-457 a month on tier `production` (Kubernetes, managed stores)",
            "",
            "ITEM               QUANTITY   EACH     A MONTH   SET BY              PRICE OF    CONFIDENCE",
            "Kubernetes nodes   3 nodes    $50-100  $150-300  availability floor  2026-02-01  fair",
            "MongoDB Atlas M10  1 cluster  $57      $57       tier size           2026-02-01  good",
            "Redis Cloud 2GB    1 plan     $50      $50       tier size           2026-02-01  low",
            "CDN                1 plan     $20-50   $20-50    tier size           2026-02-01  fair",
            "total                                  $277-457",
            "",
            "  per 1,000 users  $27.70-45.70 a month",
            "  limiting factor  availability floor: 3 nodes, 2 for the load and 1 so that one can fail or be drained",
        ]
    );
}

#[test]
fn json_carries_decimal_text_and_says_of_each_price_where_it_comes_from() {
    let shown = json(&Project::new(), &["--users", "30000"]);
    assert_eq!(shown["total"], serde_json::json!({"low": "910", "high": "1210"}));
    assert_eq!((shown["tier"].as_str(), shown["users_per_day"].as_u64()), (Some("scale"), Some(30_000)));
    assert_eq!(shown["currency"], "USD");
    let items = shown["items"].as_array().unwrap();
    let amounts: Vec<(&str, &str, &str)> = items
        .iter()
        .map(|item| {
            assert!(["as_of", "source"].iter().all(|key| item[key].is_string()), "{item}");
            (item["name"].as_str().unwrap(), item["low"].as_str().unwrap(), item["high"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        amounts,
        [
            ("Kubernetes nodes", "500", "800"),
            ("MongoDB Atlas M30", "190", "190"),
            ("Redis Cloud 8GB", "120", "120"),
            ("CDN", "100", "100"),
        ]
    );
    let totals: Vec<&Value> =
        shown["tiers"].as_array().unwrap().iter().map(|tier| &tier["total"]["high"]).collect();
    assert_eq!(totals, ["40", "457", "1210"]);
    assert!(!shown["assumptions"].as_array().unwrap().is_empty());
    let none = json(&Project::new(), &[]);
    assert_eq!((&none["total"], &none["tiers"]), (&Value::Null, &shown["tiers"]));
}

#[test]
fn csv_has_a_row_for_each_item_and_the_total() {
    let run = cost(&Project::new(), &["--users", "1", "-o", "csv"]);
    assert_eq!(
        run.stdout,
        "tier,users_per_day,item,name,quantity,unit,low,high,currency,as_of,source,confidence,note\n\
         development,1,nodes,\"Single VPS (4 vCPU, 8 GB RAM)\",1,server,20,40,USD,2026-02-01,\
         \"scalability setup, Infrastructure Costs\",fair,\
         fits budget hosts; a DigitalOcean droplet of that size is listed at $48\n\
         development,1,mongodb,MongoDB,1,container,0,0,USD,2026-02-01,\
         \"scalability setup, Infrastructure Costs\",good,runs on the same server\n\
         development,1,redis,Redis,1,container,0,0,USD,2026-02-01,\
         \"scalability setup, Infrastructure Costs\",good,runs on the same server\n\
         development,1,total,total,,,20,40,USD,,,,\n"
    );
}

#[test]
fn a_format_of_cost_alone_is_refused_elsewhere() {
    let run = Project::new().run(&["config", "show", "-q", "-o", "csv"]);
    assert_eq!(
        run.stderr,
        "error: this command has no output format `csv`\n\nhint: use `-o table|json|yaml`\n"
    );
    assert_eq!(run.code, Some(2));
}

#[test]
fn a_number_of_users_that_cannot_be_is_a_usage_error() {
    for users in ["-5", "1e12", "NaN", "2.5", "", "1000000000001"] {
        let stderr = format!(
            "error: invalid value '{users}' for '--users <N>': expected a number of daily users from 0 to \
             1,000,000,000, such as `10000` or `10k`\n\nFor more information, try '--help'.\n"
        );
        refused(&["--users", users], 2, &stderr);
    }
}

#[test]
fn nobody_and_everybody_get_a_sane_answer() {
    let project = Project::new();
    let nobody = json(&project, &["--users", "0"]);
    assert_eq!(nobody["total"], serde_json::json!({"low": "20", "high": "40"}));
    assert_eq!(nobody["per_1000_users"], Value::Null);
    let everybody = json(&project, &["--users", "1000000000"]);
    assert_eq!(everybody["items"][0]["quantity"], 333_334);
    assert!(
        everybody["notes"].to_string().contains("beyond 30,000 users a day the figures are extrapolated")
    );
}

#[test]
fn over_budget_is_exit_8_with_the_estimate_still_printed() {
    let project = Project::new();
    let run = cost(&project, &["--users", "30000", "--max", "500"]);
    assert!(run.stdout.starts_with("30,000 users a day: $910-1,210 a month"), "{}", run.stdout);
    assert_eq!(
        run.stderr,
        "error: over budget: 30,000 users a day cost $910-1,210 a month, the budget is $500\n\n\
         hint: appforge cost --users 30000 --explain total\n"
    );
    assert_eq!(run.code, Some(8));
    let run = cost(&project, &["--users", "10000", "--max", "400"]);
    assert!(run.stderr.starts_with("error: over budget: 10,000 users a day may cost $277-457 a month"));
    assert_eq!(run.code, Some(8));
    assert_eq!(cost(&project, &["--users", "10000", "--max", "457"]).code, Some(0));
}

#[test]
fn the_budget_of_the_stack_counts_like_max_and_max_wins() {
    let project = Project::with("cost: {budget: 456.99}\n");
    assert_eq!(cost(&project, &["--users", "10000"]).code, Some(8));
    assert_eq!(cost(&project, &["--users", "10000", "--max", "500"]).code, Some(0));
}

#[test]
fn prices_are_called_old_after_90_days() {
    let project = Project::new();
    let notes = |day: &str| {
        let run = project.done(&["cost", "-q", "--as-of", day, "--users", "10000", "-o", "json"]);
        serde_json::from_str::<Value>(&run.stdout).unwrap()["notes"].to_string()
    };
    assert!(!notes("2026-05-02").contains("old"));
    assert!(notes("2026-05-03").contains("all prices are old (up to 91 days)"));
}

#[test]
fn a_measured_capacity_is_used_and_named() {
    let project = Project::new();
    std::fs::create_dir(project.path().join(".appforge")).unwrap();
    let measured = r#"{"requests_per_second_per_replica": 1900.0, "measured_at": "2026-02-20T10:00:00Z",
        "machine": "2 cores", "commit": "abc1234", "thresholds": "p95<500ms"}"#;
    project.write(".appforge/capacity.json", measured);
    let shown = json(&project, &["--users", "100000"]);
    assert_eq!(shown["need"]["replicas_for_load"], 1);
    let sources = shown["assumptions"].to_string();
    assert!(
        sources.contains("measured 2026-02-20T10:00:00Z on 2 cores at commit abc1234 within p95<500ms"),
        "{sources}"
    );
    project.write(".appforge/capacity.json", r#"{"requests_per_second_per_replica": 0}"#);
    let run = cost(&project, &["--users", "1"]);
    assert!(
        run.stderr.starts_with("error: `.appforge/capacity.json` is not a capacity measurement\n"),
        "{}",
        run.stderr
    );
    assert_eq!((run.stdout.as_str(), run.code), ("", Some(1)));
}

#[test]
fn a_catalogue_can_change_one_price_or_replace_all() {
    let project = Project::with("cost: {catalogue: prices.yaml}\n");
    project.write(
        "prices.yaml",
        "version: 1\nextends: default\ntitle: our prices\ntiers:\n  - name: scale\n    items:\n      \
         - {id: mongodb, name: Atlas M30, unit: cluster, quantity: 1, low: 394.20, as_of: 2026-02-20, \
         source: our invoice, confidence: good}\n",
    );
    let shown = json(&project, &["--users", "30000"]);
    assert_eq!(shown["total"], serde_json::json!({"low": "1114.20", "high": "1414.20"}));
    assert_eq!(json(&project, &["--users", "10000"])["total"]["high"], "457");
    project.write(
        "whole.yaml",
        "version: 1\ntitle: one box\ncurrency: EUR\ntiers:\n  - name: box\n    title: One box\n    \
         target: compose\n    users: 100\n    why: there is one box\n    node: {cpu: 1, memory: 1GiB}\n    \
         min_nodes: 1\n    spare_nodes: 0\n    items:\n      - {id: nodes, name: Box, unit: box, quantity: 1, \
         low: 5, as_of: null, source: the shop, confidence: good}\n",
    );
    let shown = json(
        &project,
        &["--users", "7", "--catalogue", &project.path().join("whole.yaml").display().to_string()],
    );
    assert_eq!((&shown["currency"], &shown["total"]["low"]), (&"EUR".into(), &"5".into()));
    assert!(shown["notes"].to_string().contains("all prices are undated"), "{}", shown["notes"]);
}

#[test]
fn every_problem_of_a_catalogue_is_shown_with_its_place_and_the_exit_code_is_3() {
    let project = Project::with("cost: {catalogue: prices.yaml}\n");
    project.write(
        "prices.yaml",
        "version: 1\nextends: default\ncurency: EUR\ntiers:\n  - name: scale\n    items:\n      - id: cdn\n        \
         name: CDN\n        unit: plan\n        quantity: 1\n        low: 9\n        high: 5\n        \
         as_of: yesterday\n        source: x\n        confidence: sure\n",
    );
    let run = cost(&project, &["--users", "1"]);
    assert_eq!(
        run.stderr,
        "error: the catalogue has 4 problems\n  \
         prices.yaml:3:1: unknown key `curency`; did you mean `currency`?\n  \
         prices.yaml:11:14: tiers[0].items[0].low: must be at most `high`, which is 5, got 9\n  \
         prices.yaml:13:16: tiers[0].items[0].as_of: expected a date such as `2026-02-01`, got `yesterday`\n  \
         prices.yaml:15:21: tiers[0].items[0].confidence: unknown value `sure`; known values: `good`, `fair`, `low`\n"
    );
    assert_eq!((run.stdout.as_str(), run.code), ("", Some(3)));
    refused(
        &["--catalogue", "nowhere.yaml"],
        3,
        "error: cannot read the catalogue `nowhere.yaml`\ncaused by: file not found\n",
    );
}

#[test]
fn catalogue_that_contradicts_itself_is_exit_3() {
    let project = Project::with("cost: {catalogue: prices.yaml}\n");
    let item = "{id: cdn, name: CDN, unit: plan, quantity: 1, low: 9, as_of: 2999-01-01, source: x, confidence: good}";
    for (text, problem) in [
        (
            "currency: EUR\n".to_owned(),
            "3:11: currency: must be USD, the currency of the prices that `extends: default` takes over, got EUR",
        ),
        (
            format!("tiers: [{{name: scale, items: [{item}]}}]\n"),
            "3:92: tiers[0].items[0].as_of: must not be in the future, got 2999-01-01",
        ),
        (
            "tiers: [{name: production, min_nodes: 6}]\n".to_owned(),
            "3:39: tiers[0].min_nodes: must be at most `max_nodes`, which is 5, got 6",
        ),
        (
            "tiers: [{name: production, max_nodes: 2}]\n".to_owned(),
            "3:39: tiers[0].max_nodes: must be at least `min_nodes`, which is 3, got 2",
        ),
        (
            "tiers: [{name: production, up_to: 9000}]\n".to_owned(),
            "3:35: tiers[0].up_to: must be at least `users`, which is 10000, got 9000",
        ),
    ] {
        project.write("prices.yaml", &format!("version: 1\nextends: default\n{text}"));
        let run = cost(&project, &["--users", "1"]);
        assert!(run.stderr.contains(&format!("prices.yaml:{problem}\n")), "{}", run.stderr);
        assert_eq!((run.stdout.as_str(), run.code), ("", Some(3)));
    }
    project.write("prices.yaml", "version: 1\nextends: default\ncurrency: USD\n");
    assert_eq!(cost(&project, &["--users", "1"]).code, Some(0));
}

#[test]
fn stores_in_the_cluster_are_counted_on_its_nodes_and_said() {
    let notes = |stack: &str, users: &str| {
        let shown = json(&Project::with(stack), &["--users", users]);
        (shown["need"]["store_nodes"].clone(), shown["notes"].to_string())
    };
    let (nodes, said) = notes("", "10000");
    assert_eq!(nodes, 1);
    let note = "mongodb and redis run on the cluster's own nodes (`mode`); without MongoDB Atlas M10 and Redis Cloud \
                2GB, which are for `mode: external`, the total is $170-350";
    assert!(said.contains(note), "{said}");
    let external =
        "mongodb: {mode: external, uri: 'mongodb://db'}\nredis: {mode: external, url: 'redis://r'}\n";
    let (nodes, said) = notes(external, "10000");
    assert_eq!(nodes, 0);
    assert!(!said.contains("mode: external"), "{said}");
    let (nodes, said) = notes("redis: {mode: external, url: 'redis://r'}\n", "10000");
    assert_eq!(nodes, 1);
    assert!(said.contains("\"mongodb runs on the cluster") && said.contains("total is $220-400"), "{said}");
    let (nodes, said) = notes(external, "1");
    assert_eq!(nodes, 0);
    let note = "mongodb and redis: the price of an external store (`mode: external`) is not included";
    assert!(said.contains(note), "{said}");
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let project = Project::new();
    let once = cost(&project, &["--users", "50000", "-o", "yaml"]);
    let again = cost(&project, &["--users", "50000", "-o", "yaml"]);
    assert_eq!((once.code, once.stdout), (Some(0), again.stdout));
}
