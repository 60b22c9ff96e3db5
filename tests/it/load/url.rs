use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use super::server::{Server, ok};
use crate::net::{runtime, tls, with_tls};
use crate::support::{Project, Run};

#[test]
fn target_of_a_request_is_what_the_url_says_in_ascii() {
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let paths = Arc::clone(&seen);
    let server = Server::start(move |request| {
        paths.lock().expect("lock").insert(request.path.clone());
        ok()
    });
    let project = Project::new();
    for end in ["?x=1", "/\u{fc}", "/a?q=\u{fc}"] {
        let url = server.url() + end;
        project.done(&["load", "--url", &url, "--rate", "2", "--duration", "1s", "-q"]);
    }
    let steps = "stages: [{duration: 1s, rate: 2}]\nsteps: [{path: '/\u{e4}', expect: 200}]\n";
    project.write("s.yaml", steps);
    project.done(&["load", "--url", &server.url(), "--scenario", "s.yaml", "-q"]);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.iter().collect::<Vec<_>>(), ["/%C3%A4", "/%C3%BC", "/?x=1", "/a?q=%C3%BC"]);
}

#[test]
fn certificate_that_signs_itself_is_accepted_when_trusted_or_insecure() {
    let server = Server::start(|_| ok());
    let address = server.url().trim_start_matches("http://").parse().unwrap();
    let runtime = runtime();
    let secure = runtime.block_on(with_tls(address, "own"));
    let project = Project::new();
    let run = |host: &str, trusted: Option<&str>, more: &[&str]| {
        let url = format!("https://{host}:{}", secure.port());
        let args = ["load", "--url", &url, "--rate", "2", "--duration", "1s", "-q"];
        let mut command = project.command(&[&args[..], more].concat());
        command.env_remove("SSL_CERT_DIR").env("SSL_CERT_FILE", tls(trusted.unwrap_or("authority.pem")));
        Run::of(&mut command)
    };
    for (host, trusted, more) in [
        ("127.0.0.1", Some("own.pem"), [].as_slice()),
        ("127.0.0.1", None, &["--insecure"]),
        ("localhost", Some("own.pem"), &["--insecure"]),
    ] {
        let run = run(host, trusted, more);
        assert_eq!(run.code, Some(0), "{host} {trusted:?} {more:?}: {run:#?}");
    }
    for (host, trusted, hint) in [
        ("127.0.0.1", None, "name the file of the certificate, or of its authority, in `SSL_CERT_FILE`"),
        ("localhost", Some("own.pem"), "use a name that the certificate has"),
    ] {
        let run = run(host, trusted, &[]);
        assert_eq!(run.code, Some(4), "{run:#?}");
        assert!(run.stderr.contains(hint) && run.stderr.contains("`--insecure`"), "{}", run.stderr);
        assert!(!run.stderr.contains("appforge up"), "{}", run.stderr);
    }
}
