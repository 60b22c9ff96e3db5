use super::*;
use crate::load::connection::ErrorKind;

fn judged(text: &str, tally: &Tally) -> Verdict {
    let steps = [Step::get("health", "/health", 1)];
    text.parse::<Threshold>().unwrap().judge(tally, &steps, Duration::from_secs(10))
}

#[test]
fn no_samples_fail_every_threshold() {
    let tally = Tally::new(&[Step::get("health", "/health", 1)]);
    for text in ["p95<500ms", "error_rate<1%", "checks>0%", "rate>0", "limited<1%", "p95{no one}<1s"] {
        let verdict = judged(text, &tally);
        assert_eq!((verdict.observed, verdict.passed), (None, false), "{text}");
    }
}

#[test]
fn values_are_read_in_the_unit_of_their_metric() {
    let mut tally = Tally::new(&[Step::get("health", "/health", 1)]);
    (0..99).for_each(|_| tally.duration.record(Duration::from_millis(20)));
    (tally.requests, tally.limited) = (200, 100);
    tally.lost(0, ErrorKind::Refused, None);
    for (text, passed) in [
        ("p95<500ms", true),
        ("p(95)<500ms", true),
        ("http_req_duration:p(99)<0.01s", false),
        ("med<=21ms", true),
        ("max<1us", false),
        ("error_rate<1%", true),
        ("error_rate<0.1%", false),
        ("limited<10%", false),
        ("rate>20", true),
        ("rate>=20.2/s", false),
        ("error_rate{health}<99%", false),
    ] {
        let verdict = judged(text, &tally);
        assert_eq!(verdict.passed, passed, "{verdict:?}");
    }
}

#[test]
fn text_that_is_not_a_threshold_shows_what_one_is() {
    for text in [
        "",
        "p95",
        "p95=3",
        "p95<",
        "p95<fast",
        "p101<1s",
        "speed<1s",
        "checks>3%x",
        "checks>101%",
        "p95{a<1s",
        "p95<-1",
    ] {
        let error = text.parse::<Threshold>().unwrap_err();
        assert!(error.contains("p95<500ms"), "{text}: {error}");
    }
}

#[test]
fn threshold_without_a_unit_is_refused() {
    for (text, sample) in [
        ("error_rate<1", "such as `1%`"),
        ("checks>0.95", "such as `1%`"),
        ("limited{health}<=0", "such as `1%`"),
        ("p95<2", "such as `500ms` or `1s`"),
        ("http_req_duration:p(99)<500", "such as `500ms` or `1s`"),
        ("max<1e3", "such as `500ms` or `1s`"),
    ] {
        let error = text.parse::<Threshold>().unwrap_err();
        assert!(error.contains(sample), "{text}: {error}");
    }
    "rate>100".parse::<Threshold>().unwrap();
}

#[test]
fn rate_is_that_of_the_whole_period() {
    let mut tally = Tally::new(&[Step::get("health", "/health", 1)]);
    tally.requests = 50;
    let verdict = judged("rate>=5.1", &tally);
    assert_eq!((verdict.observed, verdict.passed), (Some(5.0), false));
}

#[test]
fn a_flag_takes_the_place_of_the_file_for_the_same_metric() {
    let file = Threshold::of_stack(&model::Stack::default().load.thresholds);
    let texts: Vec<String> = file.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["p95<500ms", "p99<1s", "error_rate<1%", "checks>95%"]);
    let flags = ["p95<1us".parse().unwrap(), "p95{health}<1s".parse().unwrap()];
    let all: Vec<String> = Threshold::layered(file, &flags).iter().map(ToString::to_string).collect();
    assert_eq!(all, ["p99<1s", "error_rate<1%", "checks>95%", "p95<1us", "p95{health}<1s"]);
}

#[test]
fn k6_gets_its_own_words_and_units() {
    let k6 = |text: &str| text.parse::<Threshold>().unwrap().k6();
    assert_eq!(k6("p99.9<1s"), ("http_req_duration".into(), "p(99.9)<1000".into()));
    assert_eq!(k6("error_rate<1%"), ("http_req_failed".into(), "rate<0.01".into()));
    assert_eq!(k6("p95{items}<5ms"), ("http_req_duration{name:items}".into(), "p(95)<5".into()));
}
