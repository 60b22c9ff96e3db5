//! What help shows beyond the flags: verbs by task, examples, output formats. Prints nothing.

use std::ffi::OsString;
use std::fmt::Write as _;

use clap::error::{ContextKind, ContextValue};
use clap::{ArgMatches, Args, Command, CommandFactory, FromArgMatches};

use crate::cli::{Cli, Global};
use crate::output::Format;

/// Verbs of other tools, and the one of ours that does it.
const ELSEWHERE: [(&str, &str); 9] = [
    ("create", "init"),
    ("delete", "down"),
    ("deploy", "up"),
    ("destroy", "down"),
    ("remove", "down"),
    ("rm", "down"),
    ("run", "up"),
    ("start", "up"),
    ("stop", "down"),
];

/// One line under a heading of the overview.
type Group = (&'static str, &'static [&'static str]);

/// The verbs by task.
const GROUPS: [Group; 6] = [
    ("Set up", &["init", "config", "doctor", "render", "image"]),
    ("Run", &["up", "scale", "restart", "rollback", "down"]),
    ("Observe", &["status", "top", "monitor", "logs", "alerts", "diff", "history"]),
    ("Prove", &["verify", "load"]),
    ("Plan", &["cost"]),
    ("Other", &["completions", "man", "serve", "healthcheck", "help"]),
];

const ALL: &[Format] = &[Format::Table, Format::Json, Format::Yaml];
const LINES: &[Format] = &[Format::Table, Format::Json];

/// What help says about a verb.
#[derive(Debug)]
pub struct Topic {
    /// The verb, with its subcommand if it has one, such as `config show`.
    pub verb: &'static str,
    /// The output formats that it has; none means that `-o` has no effect.
    pub formats: &'static [Format],
    /// Command lines without `appforge`, each with what it does.
    examples: &'static [(&'static str, &'static str)],
}

/// The verbs that users run, and what help says about each.
static TOPICS: [Topic; 30] = [
    topic(
        "init",
        LINES,
        &[
            ("init", "ask a few questions"),
            ("init --yes --name shop --rate-limit 100/15m", "take the defaults for the rest"),
        ],
    ),
    topic(
        "render",
        LINES,
        &[
            ("render --target compose --out deploy", "write docker-compose.yml"),
            ("render --target all --check", "in CI: exit 5 if files are out of date"),
        ],
    ),
    topic("image build", LINES, &[("image build", "load the image into the Docker engine")]),
    topic("image save", LINES, &[("image save --out service.tar", "write a file for `docker load`")]),
    topic(
        "image push",
        LINES,
        &[("image push registry.example.com/team/service", "no Docker engine needed")],
    ),
    topic(
        "load",
        LINES,
        &[
            ("load --scenario stress", "350 virtual users"),
            ("load --rate 500 --duration 30s --threshold 'p95<200ms'", "exit 7 if missed"),
            ("load --scenario capacity", "find the most requests per second"),
        ],
    ),
    topic(
        "up",
        ALL,
        &[
            ("up", "start on this machine, without Docker"),
            ("up --target compose --replicas 3", "start three replicas in containers"),
            ("up --dry-run", "show the changes only"),
        ],
    ),
    topic(
        "scale",
        ALL,
        &[
            ("scale --replicas 3", "run three replicas"),
            ("scale --replicas 3 --max 10 --target kubernetes", "between 3 and 10"),
        ],
    ),
    topic(
        "status",
        ALL,
        &[("status", "show the state once"), ("status --watch -o json", "a line for each change")],
    ),
    topic(
        "logs",
        LINES,
        &[
            ("logs -f service", "follow all replicas"),
            ("logs redis --since 10m -n 100", "the last 100 lines of 10 minutes"),
        ],
    ),
    topic(
        "monitor",
        ALL,
        &[
            ("monitor", "print the address of the page and serve it until Ctrl-C"),
            ("monitor --once -o json", "for scripts: rates, latencies, problems"),
            ("monitor --report stack.html", "one file that needs no server"),
        ],
    ),
    topic("top", LINES, &[("top", "a table, drawn again every 2 s"), ("top -o json", "a line every 2 s")]),
    topic(
        "alerts",
        ALL,
        &[
            ("alerts", "list the alerts, each with the next command"),
            ("alerts --print rules --target compose > rules.yml", "write a rule file for Prometheus"),
        ],
    ),
    topic("restart", ALL, &[("restart", "replace the replicas in turn")]),
    topic("history", ALL, &[("history --target kubernetes", "list the revisions")]),
    topic(
        "rollback",
        ALL,
        &[
            ("rollback --target kubernetes", "return to the previous revision"),
            ("rollback 3 --target kubernetes", "return to revision 3"),
        ],
    ),
    topic(
        "diff",
        ALL,
        &[("diff", "show what `up` would change"), ("diff --target kubernetes -o json", "for scripts")],
    ),
    topic(
        "verify",
        &[Format::Table, Format::Json, Format::Yaml, Format::Junit],
        &[
            ("verify", "run every check"),
            ("verify --check rate-limit", "send 150 requests; exactly 100 may pass"),
            ("verify --drill redis-down -o junit", "also stop Redis; report for CI"),
        ],
    ),
    topic(
        "down",
        ALL,
        &[("down", "stop and keep the data"), ("down --volumes", "also remove the data, after confirmation")],
    ),
    topic(
        "cost",
        &[Format::Table, Format::Json, Format::Yaml, Format::Csv],
        &[
            ("cost --users 10000", "the month's cost for 10,000 daily users"),
            ("cost --users 30k --max 1000", "in CI: exit 8 above 1,000 a month"),
            ("cost --compare providers", "price lists side by side"),
        ],
    ),
    topic("doctor", ALL, &[("doctor --target kubernetes", "check the cluster and its permissions")]),
    topic("config show", ALL, &[("config show --origin", "show the source of each value")]),
    topic("config schema", LINES, &[("config schema > appforge.schema.json", "for editors")]),
    topic("config validate", ALL, &[("config validate --env production", "check with an overlay")]),
    topic("completions", &[Format::Table], &[("completions bash > appforge.bash", "")]),
    topic("man", &[Format::Table], &[("man | man -l -", "read the manual page")]),
    topic(
        "help",
        &[Format::Table],
        &[("help up", "describe `up`"), ("help options", "describe the common options")],
    ),
    topic("version", &[Format::Table], &[]),
    topic(
        "serve",
        &[],
        &[
            ("serve", "serve on PORT with the stores at MONGODB_URI and REDIS_URL"),
            ("serve --upstream http://127.0.0.1:3000", "limit requests to an app"),
        ],
    ),
    topic("healthcheck", &[], &[("healthcheck", "as the health check of a container")]),
];

const fn topic(
    verb: &'static str,
    formats: &'static [Format],
    examples: &'static [(&'static str, &'static str)],
) -> Topic {
    Topic { verb, formats, examples }
}

/// For a verb of another tool, ours is the suggestion; else what looks alike, without what is hidden.
fn meant(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return error };
    let ours = ELSEWHERE.iter().find(|(other, _)| other == word).map(|(_, ours)| vec![(*ours).to_owned()]);
    let alike = match error.get(ContextKind::SuggestedSubcommand) {
        Some(ContextValue::Strings(words)) => words.clone(),
        Some(ContextValue::String(word)) => vec![word.clone()],
        _ => Vec::new(),
    };
    let hidden = |word: &String| command().find_subcommand(word).is_some_and(Command::is_hide_set);
    let words = ours.unwrap_or_else(|| alike.into_iter().filter(|word| !hidden(word)).collect());
    if words.is_empty() {
        error.remove(ContextKind::SuggestedSubcommand);
    } else {
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(words));
    }
    error
}

/// Parses a command line.
///
/// # Errors
/// A usage error, or the help or version text that was asked for.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let matches = command().try_get_matches_from(words).map_err(meant)?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    cli.topic = of(&matches);
    Ok(cli)
}

/// The command line with everything that help shows.
pub fn command() -> Command {
    let mut command = Cli::command();
    command.build();
    let overview = overview(&command);
    let template = format!(
        "{{about}}\n\nUsage: appforge VERB [OPTIONS]\n\n{overview}Run `appforge help VERB` for the details of a verb, and\n`appforge help options` for the common options.\n"
    );
    let mut command = Cli::command().help_template(template);
    for topic in &TOPICS {
        command = with(command, &mut topic.verb.split(' '), topic);
    }
    command.mut_args(|arg| if arg.is_global_set() { arg.hide(true) } else { arg })
}

/// The help text about a topic: a verb, `options`, or with no words the overview. `None` if there is no such topic.
pub fn text(words: &[String]) -> Option<String> {
    if words == ["options"] {
        let options =
            Global::augment_args(Command::new("options")).disable_help_flag(true).max_term_width(80);
        let mut options = options.help_template("{options}\n");
        return Some(options.render_help().to_string());
    }
    let mut command = command();
    command.build();
    let mut found = &mut command;
    for word in words {
        found = found.find_subcommand_mut(word)?;
    }
    Some(found.render_help().to_string())
}

/// Every topic, for a hint.
pub fn topics() -> impl Iterator<Item = &'static str> {
    TOPICS.iter().map(|topic| topic.verb).chain(["config", "image", "options"])
}

/// The topic of what was typed.
fn of(matches: &ArgMatches) -> Option<&'static Topic> {
    let (mut words, mut at) = (Vec::new(), matches);
    while let Some((name, below)) = at.subcommand() {
        words.push(name);
        at = below;
    }
    let verb = words.join(" ");
    TOPICS.iter().find(|topic| topic.verb == verb)
}

/// Adds examples and formats to the help of the verb that the words lead to.
fn with(command: Command, words: &mut dyn Iterator<Item = &str>, topic: &Topic) -> Command {
    match words.next() {
        Some(word) => command.mut_subcommand(word, |command| with(command, words, topic)),
        None => command.after_help(after(topic)),
    }
}

fn after(topic: &Topic) -> String {
    let mut text = String::new();
    if topic.formats.len() > 1 {
        let _ = writeln!(text, "Formats: -o {}", names(topic.formats));
    }
    if !topic.examples.is_empty() {
        text.push_str("\nExamples:\n");
        for (line, what) in topic.examples {
            if !what.is_empty() {
                let _ = writeln!(text, "  # {what}");
            }
            let _ = writeln!(text, "  appforge {line}");
        }
    }
    text.push_str("\nCommon options: see `appforge help options`");
    text.trim_start().to_owned()
}

/// The formats, as users type them.
pub fn names(formats: &[Format]) -> String {
    let names: Vec<String> = formats.iter().map(|format| format!("{format:?}").to_lowercase()).collect();
    names.join("|")
}

fn overview(command: &Command) -> String {
    let mut text = String::new();
    for (heading, verbs) in GROUPS {
        let _ = writeln!(text, "{heading}:");
        for verb in verbs {
            let about = command.find_subcommand(verb).and_then(Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            // The exit codes are in the help of the verb.
            let short = about.split(';').next().unwrap_or_default();
            let _ = writeln!(text, "  {verb:<11} {short}");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_visible_verb_has_a_group_and_a_topic() {
        let command = command();
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, verbs)| *verbs).copied().collect();
        let mut visible: Vec<&str> =
            command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(Command::get_name).collect();
        grouped.sort_unstable();
        visible.sort_unstable();
        assert_eq!(grouped, visible);
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let below: Vec<String> = verb
                .get_subcommands()
                .map(|below| format!("{} {}", verb.get_name(), below.get_name()))
                .collect();
            let names = if below.is_empty() { vec![verb.get_name().to_owned()] } else { below };
            for name in names {
                assert!(TOPICS.iter().any(|topic| topic.verb == name), "{name}");
            }
        }
    }

    #[test]
    fn every_example_is_a_valid_command_line() {
        for topic in &TOPICS {
            for (line, _) in topic.examples {
                let line = line.split([' ']).take_while(|word| !["|", ">"].contains(word));
                let words = line.map(|word| word.trim_matches('\'').to_owned());
                let words: Vec<OsString> =
                    std::iter::once("appforge".to_owned()).chain(words).map(Into::into).collect();
                let cli = parse(words.clone()).unwrap_or_else(|error| panic!("{words:?}: {error}"));
                assert_eq!(cli.topic.map(|topic| topic.verb), Some(topic.verb));
            }
        }
    }

    #[test]
    fn help_fits_80_columns() {
        for topic in TOPICS.iter().map(|topic| topic.verb).chain(["", "options", "config", "image"]) {
            let words: Vec<String> = topic.split_whitespace().map(str::to_owned).collect();
            let text = text(&words).unwrap_or_else(|| panic!("no help about `{topic}`"));
            for line in text.lines() {
                assert!(line.chars().count() <= 80, "{topic}: {line}");
            }
        }
    }
}
