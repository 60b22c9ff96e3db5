use super::*;

fn of(variables: &[(&str, &str)]) -> Result<Settings, Vec<Problem>> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::from_env(variables, |path| match path {
        "/secret" => Ok("mongodb://u:hunter2@h/\n".into()),
        _ => Err(std::io::ErrorKind::NotFound.into()),
    })
}

fn bundled(backend: Backend) -> mongodb::Settings {
    match backend {
        Backend::Bundled { mongodb, .. } => mongodb,
        Backend::Front(_) => panic!("no app is named"),
    }
}

#[test]
fn the_defaults_are_those_of_the_brief() {
    let settings = of(&[]).unwrap_or_else(|_| panic!("valid"));
    let mongodb = bundled(settings.backend);
    assert_eq!((mongodb.max_pool_size, mongodb.min_pool_size), (50, 10));
    assert_eq!(mongodb.socket_timeout, Duration::from_secs(45));
    let limit = settings.rate_limit.unwrap();
    assert_eq!((limit.requests, limit.window), (100, Duration::from_secs(900)));
    assert_eq!(settings.public.port(), 5000);
}

#[test]
fn all_problems_come_at_once_and_show_no_secret() {
    let problems = of(&[
        ("PORT", "http"),
        ("RATE_LIMIT_REQUESTS", "0"),
        ("TRUSTED_PROXIES", "10.0.0.0/8, nonsense"),
        ("MONGODB_MIN_POOL_SIZE", "60"),
        ("REDIS_URL", "redis://u:hunter2@h"),
        ("REDIS_URL_FILE", "/secret"),
        ("PROBE_SECRET_FILE", "/missing"),
        ("LOG_FORMAT", "xml"),
    ])
    .err()
    .unwrap_or_default();
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 7, "{shown:#?}");
    assert!(!shown.concat().contains("hunter2"), "{shown:?}");
}

#[test]
fn a_replica_is_named_by_its_variable_else_by_its_host() {
    let name =
        |variables: &[(&str, &str)]| of(variables).map(|settings| settings.replica).unwrap_or_default();
    assert_eq!(name(&[("REPLICA_ID", "service-2"), ("HOSTNAME", "b1f2")]), "service-2");
    assert_eq!(name(&[("HOSTNAME", "b1f2")]), "b1f2");
    assert!(name(&[]).starts_with("replica-"));
}

#[test]
fn a_secret_may_come_from_a_file() {
    let settings = of(&[("MONGODB_URI_FILE", "/secret")]).unwrap_or_else(|_| panic!("valid"));
    assert_eq!(bundled(settings.backend).uri, "mongodb://u:hunter2@h/");
}

#[test]
fn a_problem_says_what_would_be_right() {
    let problems = of(&[("PORT", "tcp://10.0.0.1:5000"), ("LOG_LEVEL", "loud"), ("ADMIN_PORT", "70000")]);
    let problems = problems.err().unwrap_or_default();
    assert_eq!(
        report(&problems),
        "the settings have 3 problems\n  \
         PORT: expected a port, such as 5000\n  \
         ADMIN_PORT: expected a port, such as 9090\n  \
         LOG_LEVEL: expected `error`, `warn`, `info`, `debug` or `trace`"
    );
    let problems = of(&[("PORT", "9090")]).err().unwrap_or_default();
    assert_eq!(
        report(&problems),
        "the settings have 1 problem\n  ADMIN_PORT: must differ from the public address (PORT)"
    );
    assert!(of(&[("PORT", "0"), ("ADMIN_PORT", "0")]).is_ok(), "any free port, twice");
}

#[test]
fn misspelt_name_is_a_warning_and_a_foreign_one_is_not() {
    let settings = of(&[("RATE_LIMIT_REQEUSTS", "5"), ("REDIS_URI", "x"), ("REDIS_PORT", "y"), ("PWD", "/")]);
    let warnings = settings.unwrap_or_else(|_| panic!("valid")).warnings;
    assert_eq!(
        warnings,
        [
            "unknown setting RATE_LIMIT_REQEUSTS; did you mean RATE_LIMIT_REQUESTS?",
            "unknown setting REDIS_URI; did you mean REDIS_URL?",
        ]
    );
    let both = of(&[("REDIS_URI", "x"), ("REDIS_URL", "redis://h")]).unwrap_or_else(|_| panic!("valid"));
    assert!(both.warnings.is_empty(), "it is someone else's");
}

#[test]
fn front_needs_no_mongodb_and_asks_its_app_as_localhost() {
    let settings = of(&[("UPSTREAM_URL", "http://127.0.0.1:3000"), ("MONGODB_URI_FILE", "/missing")]);
    let settings = settings.unwrap_or_else(|problems| panic!("{problems:?}"));
    let Backend::Front(front) = settings.backend else { panic!("an app is named") };
    assert_eq!(front.url.to_string(), "http://127.0.0.1:3000");
    assert!(front.health.path.is_none() && front.health.host == "localhost");
    assert!(settings.check.is_none());
}

#[test]
fn problems_of_a_front_come_at_once() {
    let problems = of(&[
        ("UPSTREAM_URL", "http://127.0.0.1:3000"),
        ("UPSTREAM_HEALTH_PATH", "healthz"),
        ("UPSTREAM_HEALTH_HOST", "a:0"),
        ("RATE_LIMIT_KEY", "cookie"),
        ("CHECK_PORT", "5000"),
        ("RATE_LIMIT_KEY_PROXIES", "gateway"),
        ("TRUSTED_PROXIES", "cloudflare, file:/missing"),
    ]);
    let problems = problems.err().unwrap_or_default();
    let names: Vec<_> = problems.iter().map(|problem| problem.variable.as_str()).collect();
    assert_eq!(
        names,
        [
            "RATE_LIMIT_KEY",
            "UPSTREAM_HEALTH_PATH",
            "UPSTREAM_HEALTH_HOST",
            "TRUSTED_PROXIES",
            "RATE_LIMIT_KEY_PROXIES",
            "CHECK_PORT"
        ]
    );
    let wrong = of(&[("UPSTREAM_URL", "https://app")]).err().unwrap_or_default();
    assert_eq!(wrong[0].to_string(), "UPSTREAM_URL: expected `http://HOST:PORT`, without a path");
}

#[test]
fn forward_to_redis_is_for_a_front_on_another_port() {
    let upstream = ("UPSTREAM_URL", "http://127.0.0.1:3000");
    let settings = of(&[upstream, ("REDIS_FORWARD_PORT", "6379")]).unwrap_or_else(|_| panic!("valid"));
    assert_eq!(settings.redis_forward, Some("127.0.0.1:6379".parse().unwrap()));
    for (variables, why) in [
        (&[("REDIS_FORWARD_PORT", "6379")][..], "applies only to a front"),
        (&[upstream, ("REDIS_FORWARD_PORT", "5000")], "must differ from the other ports"),
    ] {
        let problems = of(variables).err().unwrap_or_default();
        assert!(problems.iter().any(|problem| problem.to_string().contains(why)), "{problems:?}");
    }
}
