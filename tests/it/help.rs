//! What help says, whole: a reader sees each change of it in a snapshot. `INSTA_UPDATE=always` rewrites them.

use appforge::cli::help;

use crate::support::Project;

/// Compares with `snapshots/NAME.snap`.
pub(crate) fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn help_of_every_verb_is_as_in_its_snapshot() {
    let project = Project::new();
    for topic in help::topics().chain([""]) {
        let words: Vec<&str> = ["help"].into_iter().chain(topic.split_whitespace()).collect();
        let run = project.run(&words);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{topic}");
        snapshot(words.join("-").as_str(), &run.stdout);
    }
}

#[test]
fn help_flag_prints_what_the_verb_prints() {
    let project = Project::new();
    for words in [vec!["up"], vec!["config", "show"], vec!["load"]] {
        let verb = project.run(&[&["help"], words.as_slice()].concat());
        for flag in ["-h", "--help"] {
            assert_eq!(project.run(&[words.as_slice(), &[flag]].concat()).stdout, verb.stdout, "{words:?}");
        }
    }
    let bare = project.run(&[]);
    assert_eq!((bare.code, bare.stdout.as_str()), (Some(2), ""));
    assert_eq!(bare.stderr, project.run(&["help"]).stdout);
}

#[test]
fn help_about_an_unknown_verb_names_the_nearest() {
    let run = Project::new().run(&["help", "statsu"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
    assert_eq!(run.stderr, "error: no help about `statsu`\n\nhint: did you mean `status`?\n");
}

#[test]
fn words_of_other_tools_work() {
    let project = Project::new();
    let down = project.run(&["status", "-q"]);
    assert_eq!(project.run(&["ps", "-q"]).stderr, down.stderr);
    assert_eq!(project.run(&["version"]).stdout, project.run(&["--version"]).stdout);
    // Each is understood: what fails is that the stack is down, or nothing does.
    for (words, code) in [
        (&["up", "-d", "--dry-run", "-q"][..], 0),
        (&["scale", "2", "-q"], 4),
        (&["logs", "-n", "5", "-q"], 4),
        (&["status", "-t", "local", "-q"], 4),
    ] {
        let run = project.run(words);
        assert_eq!(run.code, Some(code), "{words:?}: {}", run.stderr);
    }
}

#[test]
fn output_format_that_a_verb_lacks_is_a_usage_error() {
    let project = Project::new();
    for (words, formats) in
        [(["logs", "-o", "yaml"], "table|json"), (["diff", "-o", "csv"], "table|json|yaml")]
    {
        let run = project.run(&words);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
        assert!(run.stderr.ends_with(&format!("\n\nhint: use `-o {formats}`\n")), "{}", run.stderr);
    }
}

#[test]
fn verbs_of_other_tools_lead_to_ours_and_never_to_a_hidden_one() {
    for (word, ours) in [("stop", "down"), ("start", "up"), ("destroy", "down"), ("deploy", "up")] {
        let run = Project::new().run(&[word]);
        assert_eq!(run.code, Some(2), "{run:#?}");
        assert!(run.stderr.contains(&format!("exists: '{ours}'\n")), "{word}: {}", run.stderr);
    }
    for word in ["stor", "supervis", "reac"] {
        let run = Project::new().run(&[word]);
        for hidden in ["'store'", "'supervise'", "'reach'"] {
            assert!(!run.stderr.contains(hidden), "{word}: {}", run.stderr);
        }
    }
    let near = Project::new().run(&["statu"]);
    assert!(near.stderr.contains("'status'"), "{}", near.stderr);
}
