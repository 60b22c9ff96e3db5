//! Which kubeconfig, and the credentials that it names, as kubectl takes them.

use std::os::unix::fs::PermissionsExt;

use super::{Place, STACK};
use crate::support::Run;

fn diff(place: &Place, kubeconfig: &str) -> Run {
    let mut command = place.project.command(&["diff"]);
    Run::of(command.env("KUBECONFIG", kubeconfig).env_remove("KUBERNETES_SERVICE_HOST"))
}

/// The kubeconfig with another user.
fn with_user(place: &Place, user: &str) -> String {
    let text = place.api.kubeconfig().replace("user: {token: secret-token}", &format!("user: {user}"));
    assert!(text.contains(user), "{text}");
    place.project.write("kubeconfig", &text);
    place.project.path().join("kubeconfig").display().to_string()
}

#[test]
fn files_of_kubeconfig_that_are_missing_are_passed_over() {
    let place = Place::new(STACK);
    let good = place.project.path().join("kubeconfig").display().to_string();
    let missing = "/nowhere/at/all";
    for list in [format!("{missing}:{good}"), format!("{good}:{missing}"), format!(":{missing}::{good}")] {
        let run = diff(&place, &list);
        assert_eq!(run.code, Some(5), "{list}: {run:#?}");
    }
    for list in [missing.to_owned(), format!("{missing}:/nowhere/else")] {
        let run = diff(&place, &list);
        assert_eq!(run.code, Some(4), "{list}: {run:#?}");
        assert!(run.stderr.contains("cannot find a kubeconfig"), "{}", run.stderr);
    }
}

#[test]
fn token_file_that_ends_with_a_newline_is_a_token() {
    let place = Place::new(STACK);
    for text in ["secret-token\n", "secret-token\r\n", "  secret-token"] {
        place.project.write("token", text);
        let file = place.project.path().join("token").display().to_string();
        let run = diff(&place, &with_user(&place, &format!("{{tokenFile: '{file}'}}")));
        assert_eq!(run.code, Some(5), "{text:?}: {run:#?}");
        // The server of the tests notes every request without this very token.
        assert!(!place.api.seen().is_empty());
    }
}

#[test]
fn credential_program_that_is_missing_or_hangs_is_named() {
    let place = Place::new(STACK);
    let exec = |command: &str| {
        format!(
            "{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: '{command}', interactiveMode: Never, installHint: get it from your cloud}}}}"
        )
    };
    let missing = diff(&place, &with_user(&place, &exec("no-such-login")));
    assert_eq!(missing.code, Some(4), "{missing:#?}");
    assert!(
        missing
            .stderr
            .starts_with("error: cannot run the credential program `no-such-login` of the kubeconfig\n"),
        "{}",
        missing.stderr
    );
    assert!(missing.stderr.ends_with("hint: get it from your cloud\n"), "{}", missing.stderr);
    let script = place.project.path().join("hangs");
    std::fs::write(&script, "#!/bin/sh\nexec sleep 8\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    with_user(&place, &exec(&script.display().to_string()));
    let late = place.exits(4, &["up", "--timeout", "1s"]);
    assert!(late.stderr.contains("of the kubeconfig did not finish within 1 s\n"), "{}", late.stderr);
    assert!(
        late.stderr.contains(&format!("the credential program `{}`", script.display())),
        "{}",
        late.stderr
    );
}
