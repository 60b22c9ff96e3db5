//! An app of the user's own on Kubernetes: the container behind the front, its variables and what it may reach.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::tests::hostile;
use super::*;
use crate::document;
use crate::stack::values::{CommandLine, Secret, SecretKey, StoreAddress};

fn own() -> Stack {
    let mut stack = Stack { target: TargetKind::Kubernetes, ..Stack::default() };
    stack.service.image = "registry.example.com/shop:1".parse().unwrap();
    stack
}

#[track_caller]
fn parsed(stack: &Stack, path: &str) -> Value {
    let documents = render(stack, TargetKind::Kubernetes, &Overrides::default()).unwrap();
    let document = documents.iter().find(|document| document.path == path).unwrap();
    document::parse(&document.text).unwrap().to_json()
}

fn pod(stack: &Stack) -> Value {
    parsed(stack, "deployment.yaml")["spec"]["template"]["spec"].clone()
}

fn env<'p>(pod: &'p Value, name: &str) -> &'p Value {
    let variables = pod["containers"][0]["env"].as_array().unwrap();
    variables.iter().find(|variable| variable["name"] == name).unwrap()
}

/// What the kubelet makes of a value (`k8s.io/kubernetes/third_party/forked/golang/expansion`): `$$` is `$`, `$(NAME)` the value
/// of a variable before it.
fn expanded(pod: &Value, of: &str) -> String {
    let text = env(pod, of)["value"].as_str().unwrap();
    let (mut plain, mut rest) = (String::new(), text);
    while let Some(at) = rest.find('$') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            plain.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
            let variables = pod["containers"][0]["env"].as_array().unwrap();
            let place = |name: &str| variables.iter().position(|variable| variable["name"] == name);
            assert!(place(name) < place(of), "{name} comes after {of}");
            plain.push_str(&format!("<{name}>"));
            rest = after;
        } else {
            plain.push('$');
        }
    }
    plain + rest
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn hostile_text_around_a_secret_is_itself_or_refused(before in hostile(), after in hostile()) {
        let mut stack = own();
        let literal = |text: &str| text.replace('$', "$$");
        let value = format!("{}${{mongodb.uri}}{}", literal(&before), literal(&after));
        stack.service.env.insert("DATABASE_URL".into(), value);
        match render(&stack, TargetKind::Kubernetes, &Overrides::default()) {
            Ok(_) => prop_assert_eq!(expanded(&pod(&stack), "DATABASE_URL"), format!("{before}<MONGODB_URI>{after}")),
            Err(error) => {
                prop_assert!((before + &after).contains('\0'));
                prop_assert!(error.to_string().starts_with("service.env.DATABASE_URL: "));
            }
        }
    }
}

#[test]
fn addresses_of_stores_are_never_rendered() {
    let mut stack = own();
    stack.mongodb.mode = crate::stack::model::StoreMode::External;
    stack.mongodb.uri = Some(Secret::new("mongodb://u:hunter2@h/x").into());
    for (name, value) in [("URL", "${mongodb.uri}"), ("PRICE", "5$$ $(HOME)"), ("AT", ":${port}")] {
        stack.service.env.insert(name.into(), value.into());
    }
    let pod = pod(&stack);
    assert_eq!(
        env(&pod, "MONGODB_URI")["valueFrom"]["secretKeyRef"],
        json!({"name": "appforge-app", "key": "mongodb_uri"})
    );
    assert_eq!(env(&pod, "MONGODB_URI_FILE")["value"], "/run/secrets/stores/mongodb_uri");
    assert_eq!(env(&pod, "HOST")["value"], "127.0.0.1");
    assert_eq!(env(&pod, "URL")["value"], "$(MONGODB_URI)");
    assert_eq!(
        (env(&pod, "PRICE")["value"].as_str(), expanded(&pod, "PRICE")),
        (Some("5$$ $$(HOME)"), "5$ $(HOME)".into())
    );
    assert_eq!(expanded(&pod, "AT"), ":8080");
    let names: Vec<&str> =
        pod["containers"][0]["env"].as_array().unwrap().iter().map(|v| v["name"].as_str().unwrap()).collect();
    assert_eq!(
        names[..6],
        ["PORT", "HOST", "MONGODB_URI", "REDIS_URL", "MONGODB_URI_FILE", "REDIS_URL_FILE"]
    );
    // The front counts requests; it has no business with the data.
    let front = serde_json::to_string(&pod["initContainers"]).unwrap();
    assert!(!front.contains("mongodb"), "{front}");
    let count = |list: &Value| list.as_array().unwrap().len();
    let (front, app) = (&pod["volumes"][0]["secret"]["items"], &pod["volumes"][1]["projected"]["sources"]);
    assert_eq!((count(front), count(app)), (2, 2));
    assert!(!serde_json::to_string(&pod["volumes"][1]).unwrap().contains("probe_secret"));
}

#[test]
fn command_replaces_that_of_the_image_and_escapes_variables() {
    let mut stack = own();
    stack.service.command = Some(CommandLine::Words(vec!["node".into(), "a ${port} $(HOME) $$".into()]));
    stack.service.app_port = Some(3000);
    let pod = pod(&stack);
    assert_eq!(pod["containers"][0]["args"], json!(["node", "a 3000 $$(HOME) $$"]));
    assert_eq!(pod["containers"][0]["command"], Value::Null);
    assert_eq!(pod["initContainers"][0]["args"], json!(["serve", "--upstream", "http://127.0.0.1:3000"]));
}

#[test]
fn front_and_app_never_share_a_port() {
    for (port, app) in
        [(80, None), (80, Some(8080)), (443, Some(9090)), (9090, None), (8080, None), (5000, Some(9090))]
    {
        let mut stack = own();
        (stack.service.port, stack.service.app_port) = (port, app);
        let pod = pod(&stack);
        let ports = pod["initContainers"][0]["ports"].as_array().unwrap();
        let mut all: Vec<String> = ports.iter().map(|port| port["containerPort"].to_string()).collect();
        all.push(env(&pod, "PORT")["value"].as_str().unwrap().to_owned());
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 3, "{port} {app:?}");
    }
}

#[test]
fn app_has_the_folders_and_the_user_that_the_file_names() {
    let mut stack = own();
    stack.service.run_as = Some(1000);
    stack.service.writable =
        vec!["/tmp:1Gi".parse().unwrap(), "/var/cache:64Mi".parse().unwrap(), "/:1Gi".parse().unwrap()];
    let pod = pod(&stack);
    let app = &pod["containers"][0];
    assert_eq!(
        (&app["securityContext"]["runAsUser"], &app["securityContext"]["readOnlyRootFilesystem"]),
        (&json!(1000), &json!(false))
    );
    let mounts: Vec<&str> = app["volumeMounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mount| mount["mountPath"].as_str().unwrap())
        .collect();
    assert_eq!(mounts, ["/run/secrets/stores", "/tmp", "/var/cache"]);
    let tmp = pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == "tmp").unwrap();
    assert_eq!(tmp["emptyDir"]["sizeLimit"], "1Gi");
    // All that it may write, and its logs.
    assert_eq!(app["resources"]["limits"]["ephemeral-storage"], "2368Mi");
    assert_eq!(pod["initContainers"][0]["securityContext"]["runAsUser"], 65532);
}

#[test]
fn end_of_a_pod_is_shared_by_front_and_app() {
    let pod = pod(&own());
    let front = &pod["initContainers"][0];
    assert_eq!(
        front["lifecycle"]["preStop"]["exec"]["command"],
        json!(["/appforge", "drain", "--after", "5s"])
    );
    assert_eq!(pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"], 15);
    assert_eq!(pod["terminationGracePeriodSeconds"], 30);
    let deployment = parsed(&own(), "deployment.yaml");
    let annotations = &deployment["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(annotations["kubectl.kubernetes.io/default-container"], "app");
}

#[test]
fn autoscaler_reads_the_app_alone_and_no_memory_unless_asked() {
    let metric = |name: &str, share: u32| {
        json!({"type": "ContainerResource", "containerResource": {"name": name, "container": "app",
            "target": {"type": "Utilization", "averageUtilization": share}}})
    };
    let mut stack = own();
    assert_eq!(parsed(&stack, "hpa.yaml")["spec"]["metrics"], json!([metric("cpu", 70)]));
    stack.kubernetes.autoscaling.as_mut().unwrap().memory = Some(crate::stack::values::Percent(60.0));
    assert_eq!(
        parsed(&stack, "hpa.yaml")["spec"]["metrics"],
        json!([metric("cpu", 70), metric("memory", 60)])
    );
}

#[test]
fn app_reaches_what_the_file_names_and_is_reached_through_its_front() {
    let mut stack = own();
    stack.service.egress = ["internet", "api.stripe.com:443", "10.1.2.3:25", "10.1.2.3/8"]
        .map(|text| text.parse().unwrap())
        .to_vec();
    let policy = parsed(&stack, "networkpolicy.yaml");
    let rules = policy["spec"]["egress"].as_array().unwrap();
    let internet = &rules[3];
    assert_eq!(internet["ports"], Value::Null);
    let (v4, v6) = (&internet["to"][0]["ipBlock"], &internet["to"][1]["ipBlock"]);
    for network in ["10.0.0.0/8", "169.254.0.0/16", "192.168.0.0/16", "172.16.0.0/12"] {
        assert!(v4["except"].as_array().unwrap().contains(&network.into()), "{v4}");
    }
    assert_eq!(
        (&v4["cidr"], &v6["cidr"], &v6["except"]),
        (&json!("0.0.0.0/0"), &json!("::/0"), &json!(["::1/128", "fc00::/7", "fe80::/10"]))
    );
    assert_eq!(rules[4]["to"].as_array().unwrap().len(), 2, "any address: a policy takes no names");
    assert_eq!(rules[4]["ports"], json!([{"protocol": "TCP", "port": 443}]));
    assert_eq!(
        rules[5],
        json!({"to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}], "ports": [{"protocol": "TCP", "port": 25}]})
    );
    assert_eq!(rules[6], json!({"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}));
    let open: Vec<&Value> =
        policy["spec"]["ingress"].as_array().unwrap().iter().map(|rule| &rule["ports"][0]["port"]).collect();
    assert_eq!(open, [5000, 9090]);
    assert_eq!(parsed(&stack, "service.yaml")["spec"]["ports"][0]["targetPort"], 5000);
}

#[test]
fn app_has_another_user_in_a_managed_mongodb() {
    let mut stack = own();
    stack.mongodb.database = "it's`x`".into();
    let script = parsed(&stack, "mongodb-configmap.yaml")["data"]["init.sh"].as_str().unwrap().to_owned();
    let exported = r"export APP_USER='app' APP_PASSWORD_FILE=/run/secrets/mongodb/'app_password' APP_DATABASE='it'\''s`x`'";
    assert!(script.replace('"', "'").contains(exported), "{script}");
    let bundled = parsed(&Stack::default(), "mongodb-configmap.yaml")["data"]["init.sh"].to_string();
    assert!(!bundled.contains("APP_USER"), "{bundled}");
}

#[test]
fn app_without_an_image_is_refused() {
    let mut stack = Stack::default();
    stack.service.command = Some(CommandLine::Text("node a.js".into()));
    let error = render(&stack, TargetKind::Kubernetes, &Overrides::default()).unwrap_err();
    assert!(error.to_string().starts_with("service.image: "), "{error}");
    assert_eq!(crate::error::status_of(&error), ExitStatus::Config);
}

#[test]
fn address_in_a_secret_of_the_user_is_mounted_and_never_copied() {
    let mut stack = own();
    stack.mongodb.mode = crate::stack::model::StoreMode::External;
    let key = SecretKey { secret: "atlas".into(), key: "uri".into() };
    stack.mongodb.uri = Some(StoreAddress::Key(key));
    let pod = pod(&stack);
    let reference = &env(&pod, "MONGODB_URI")["valueFrom"]["secretKeyRef"];
    assert_eq!(*reference, json!({"name": "atlas", "key": "uri"}));
    assert_eq!(
        pod["volumes"][1]["projected"]["sources"][0]["secret"],
        json!({"name": "atlas", "items": [{"key": "uri", "path": "mongodb_uri"}]})
    );
    assert_eq!(env(&pod, "REDIS_URL")["valueFrom"]["secretKeyRef"]["name"], "appforge-app");
    assert!(!pod["volumes"][0].to_string().contains("atlas"), "the front reads no data");
}
