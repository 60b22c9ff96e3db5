//! What the documents of Compose hold.

use super::tests::{compose, parsed, text};
use super::*;
use crate::stack::values::Health;

#[test]
fn gate_remembers_a_replica_for_longer_than_three_checks() {
    let mut stack = Stack::default();
    stack.service.image = "shop:1".parse().unwrap();
    stack.service.health = Some(Health { path: "/health".into(), host: "localhost".into() });
    let documents = compose(&stack);
    let configuration = text(&documents, "haproxy.cfg");
    let (_, replicas) = configuration.split_once("\nbackend replicas").unwrap();
    let number = |text: &str, after: &str| {
        let word = text.split_once(after).unwrap().1.split_whitespace().next().unwrap();
        let digits: String = word.chars().take_while(char::is_ascii_digit).collect();
        let unit = if word.ends_with("ms") || word == digits { 1 } else { 1000 };
        digits.parse::<u64>().unwrap() * unit
    };
    let check = number(configuration, "timeout connect ") + number(configuration, "timeout check ");
    let (first, fast, fall) =
        (number(replicas, " inter "), number(replicas, "fastinter "), number(replicas, " fall "));
    let longest = first + fall * check + (fall - 1) * fast;
    assert_eq!(longest, 8100);
    assert!(number(replicas, " expire ") > longest, "{replicas}");
}

#[test]
fn app_has_another_user_in_the_mongodb_of_compose() {
    let mut stack = Stack::default();
    assert!(!text(&compose(&stack), "mongodb-start.sh").contains("APP_USER"));
    stack.service.image = "shop:1".parse().unwrap();
    stack.mongodb.database = "it's".into();
    let documents = compose(&stack);
    let script = text(&documents, "mongodb-start.sh");
    for line in [
        "\nexport APP_USER=app APP_PASSWORD_FILE=/run/secrets/mongodb_app_password\n",
        "\nexport APP_DATABASE='it'\\''s'\n",
    ] {
        assert!(script.contains(line), "{script}");
    }
    let services = parsed(&stack)["services"].clone();
    let with: Vec<&String> = services
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, service)| service["secrets"].to_string().contains("mongodb_app_password"))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(with, ["mongodb"], "the app has its URI alone");
}

#[test]
fn published_address_is_that_of_the_service() {
    let published = |address: Option<&str>, bind: Option<&str>| {
        let mut stack = Stack::default();
        stack.service.address = address.map(|address| address.parse().unwrap());
        stack.compose.bind = bind.map(|address| address.parse().unwrap());
        parsed(&stack)["services"]["gateway"]["ports"][0]["host_ip"].as_str().unwrap().to_owned()
    };
    assert_eq!(published(None, None), "0.0.0.0");
    assert_eq!(published(Some("127.0.0.1"), None), "127.0.0.1");
    assert_eq!(published(None, Some("10.0.0.1")), "10.0.0.1");
    assert_eq!(published(Some("::1"), Some("::1")), "::1");
}

#[test]
fn only_the_gateway_publishes_and_only_it_may_name_clients() {
    let document = parsed(&Stack::default());
    let services = document["services"].as_object().unwrap();
    let published: Vec<&String> =
        services.iter().filter(|(_, service)| service.get("ports").is_some()).map(|(name, _)| name).collect();
    assert_eq!(published, ["gateway"]);
    let address = services["gateway"]["networks"]["edge"]["ipv4_address"].as_str().unwrap();
    assert_eq!(services["appforge"]["environment"]["TRUSTED_PROXIES"], format!("{address}/32"));
    let subnet = document["networks"]["edge"]["ipam"]["config"][0]["subnet"].as_str().unwrap();
    let base: std::net::Ipv4Addr = subnet.strip_suffix("/22").unwrap().parse().unwrap();
    assert_eq!(base.to_bits() + 1022, address.parse::<std::net::Ipv4Addr>().unwrap().to_bits());
    assert_eq!(document["networks"]["data"]["internal"], true);
}

#[test]
fn gateway_is_not_among_the_proxies_that_set_keys() {
    let mut stack = Stack::default();
    stack.rate_limit.key = "header:x-api-key".parse().unwrap();
    let value = |stack: &Stack| {
        parsed(stack)["services"]["appforge"]["environment"]["RATE_LIMIT_KEY_PROXIES"]
            .as_str()
            .map(str::to_owned)
    };
    assert_eq!(value(&stack), None);
    stack.rate_limit.trusted_proxies =
        ["cloudflare", "10.1.0.0/16", "10.2.0.0/16"].map(str::to_owned).to_vec();
    assert_eq!(value(&stack).as_deref(), Some("10.1.0.0/16,10.2.0.0/16"));
}

#[test]
fn a_share_of_the_cpu_is_given_in_periods_shorter_than_the_wait_for_redis() {
    let service = parsed(&Stack::default())["services"]["appforge"].clone();
    assert_eq!((&service["cpu_period"], &service["cpu_quota"]), (&10_000.into(), &5_000.into()));
}

#[test]
fn every_container_is_confined() {
    let document = parsed(&Stack::default());
    for (name, service) in document["services"].as_object().unwrap() {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(service["cap_drop"][0], "ALL", "{name}");
        assert_eq!(service["security_opt"][0], "no-new-privileges:true", "{name}");
        assert!(service["user"].as_str().is_some_and(|user| !user.starts_with('0')), "{name}");
        assert_eq!(service["logging"]["options"]["max-file"], "3", "{name}");
        assert!(service["deploy"]["resources"]["limits"]["memory"].is_string(), "{name}");
        assert!(service["healthcheck"]["test"].is_array(), "{name}");
    }
}
