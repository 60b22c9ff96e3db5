//! The boundaries of the project, held over every tracked source file.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::circles::circles;
use crate::run::{say, tracked};
use crate::words;

/// Longest source file, in lines.
const MOST_LINES: usize = 400;
/// Names that say nothing.
const EMPTY_NAMES: [&str; 4] = ["utils", "common", "helpers", "manager"];

/// A rule: files below `within`, except those below `except`, must not name any of `words`.
struct Rule {
    within: &'static str,
    except: &'static [&'static str],
    words: &'static [&'static str],
    why: &'static str,
}

const IMPURE: &[&str] = &[
    "std::fs",
    "std::env",
    "std::net::Tcp",
    "std::process",
    "SystemTime",
    "Instant::now",
    "tokio::",
    "getrandom",
];

/// All modules but `document`.
const ABOVE_DOCUMENT: &[&str] = &[
    "crate::cli",
    "crate::commands",
    "crate::cost",
    "crate::error",
    "crate::files",
    "crate::load",
    "crate::monitoring",
    "crate::output",
    "crate::render",
    "crate::rules",
    "crate::stack",
    "crate::state",
    "crate::targets",
    "crate::trust",
    "crate::verify",
];

/// All modules that rules could depend on.
const ABOVE_RULES: &[&str] = &[
    "crate::cli",
    "crate::commands",
    "crate::cost",
    "crate::document",
    "crate::error",
    "crate::files",
    "crate::load",
    "crate::output",
    "crate::render",
    "crate::stack",
    "crate::state",
    "crate::targets",
    "crate::trust",
    "crate::verify",
    "appforge_service",
];

/// What the service and its runners agree on, as literals.
const CONTRACT: &[&str] = &[
    "x-appforge-probe",
    "\"MONGODB_",
    "\"REDIS_",
    "\"RATE_LIMIT_",
    "\"PROBE_SECRET",
    "\"TRUSTED_PROXIES",
    "\"ADMIN_",
    "\"/readyz",
    "\"/livez",
    "\"/statusz",
    "\"/replicas",
];
const CONTRACT_WHY: &str = "the contract with the service is in service/src/contract.rs";

const RULES: &[Rule] = &[
    Rule { within: "src/document/", except: &[], words: IMPURE, why: "document is pure" },
    Rule {
        within: "src/document/",
        except: &[],
        words: ABOVE_DOCUMENT,
        why: "document depends on nothing else",
    },
    Rule {
        within: "src/",
        except: &["src/document/"],
        words: &["granit_parser", "saphyr_parser"],
        why: "src/document/ is the one YAML parser",
    },
    Rule {
        within: "src/",
        except: &[],
        words: &["serde_yaml::from_", "serde_yaml::Deserializer", "serde_saphyr"],
        why: "src/document/ reads YAML; serde_yaml writes it",
    },
    Rule { within: "src/rules/", except: &[], words: IMPURE, why: "rules are pure" },
    Rule {
        within: "src/rules/",
        except: &[],
        words: ABOVE_RULES,
        why: "rules depend on plain facts, below the stack",
    },
    Rule { within: "src/stack/", except: &[], words: IMPURE, why: "stack is pure" },
    Rule { within: "src/render/", except: &[], words: IMPURE, why: "render is pure" },
    Rule { within: "src/cost/", except: &[], words: IMPURE, why: "cost is pure" },
    Rule {
        within: "src/stack/",
        except: &[],
        words: &[
            "crate::render",
            "crate::targets",
            "crate::commands",
            "crate::verify",
            "crate::load",
            "crate::monitoring",
        ],
        why: "stack depends on nothing above it",
    },
    Rule {
        within: "src/render/",
        except: &[],
        words: &["crate::targets", "crate::commands", "crate::verify", "crate::monitoring"],
        why: "render depends on stack only",
    },
    Rule {
        within: "src/targets/",
        except: &[],
        words: &["crate::commands", "crate::cli::", "crate::verify", "crate::load", "crate::monitoring"],
        why: "targets depend on nothing above them",
    },
    Rule {
        within: "src/",
        except: &["src/targets/"],
        words: &[
            "Target::Local",
            "Target::Compose",
            "Target::Kubernetes",
            "targets::local::Local",
            "targets::compose::Compose",
            "targets::kubernetes::Kubernetes",
        ],
        why: "commands see the façade, not the targets behind it",
    },
    Rule { within: "src/verify/", except: &[], words: &["crate::commands"], why: "checks know no verb" },
    Rule {
        within: "src/monitoring/",
        except: &[],
        words: &["crate::commands", "crate::cli::"],
        why: "monitoring depends on no verb",
    },
    Rule {
        within: "src/",
        except: &["src/targets/compose/"],
        words: &["bollard::"],
        why: "bollard is the compose target's",
    },
    Rule {
        within: "src/",
        except: &["src/targets/kubernetes/"],
        words: &["kube::"],
        why: "kube is the kubernetes target's",
    },
    Rule { within: "src/", except: &[], words: CONTRACT, why: CONTRACT_WHY },
    Rule { within: "service/src/", except: &["service/src/contract.rs"], words: CONTRACT, why: CONTRACT_WHY },
    Rule { within: "src/", except: &["src/prompt.rs"], words: &["dialoguer::"], why: "only prompt.rs asks" },
    Rule {
        within: "src/",
        except: &["src/files.rs", "src/files/"],
        words: &[
            "OpenOptions",
            "File::create",
            "File::options",
            "fs::write",
            "fs::create_dir",
            "fs::create_dir_all",
            "DirBuilder",
            "fs::rename",
            "fs::copy",
            "fs::hard_link",
            "fs::symlink",
            "fs::remove_file",
            "fs::remove_dir",
            "fs::remove_dir_all",
            "fs::set_permissions",
            "set_permissions",
            "OFlags::CREATE",
            "OFlags::WRONLY",
            "OFlags::RDWR",
        ],
        why: "only files.rs changes the disk",
    },
    Rule {
        within: "src/",
        except: &["src/output.rs"],
        words: &["anstream::stdout", "anstream::stderr"],
        why: "only output.rs writes to the terminal",
    },
];

/// Checks all tracked Rust files but those of others, below `vendor`, and the words of all texts; with `update_words` the latter's
/// numbers are rewritten.
pub(crate) fn tidy(root: &Path, update_words: bool) -> Result<()> {
    let mut breaches = words::check(root, update_words)?;
    let mut files = Vec::new();
    for file in tracked(root, &["*.rs", ":!vendor"])? {
        let text =
            std::fs::read_to_string(root.join(&file)).with_context(|| format!("cannot read {file}"))?;
        files.push((file, text));
    }
    if files.is_empty() {
        bail!("git lists no source file");
    }
    breaches.extend(files.iter().flat_map(|(file, text)| check(file, text)));
    breaches.extend(circles(files.iter().map(|(file, text)| (file.as_str(), without_tests(text)))));
    for breach in &breaches {
        say(breach);
    }
    if breaches.is_empty() { Ok(()) } else { bail!("{} breaches of the rules", breaches.len()) }
}

/// All that is wrong with one file.
fn check(file: &str, text: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    let code = without_tests(text);
    for rule in RULES {
        let exempt = rule.except.iter().any(|except| file.starts_with(except));
        if !file.starts_with(rule.within) || exempt || file.ends_with("tests.rs") {
            continue;
        }
        for (number, line) in
            code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            if let Some(word) = rule.words.iter().find(|word| names(line, word)) {
                breaches.push(format!("{file}:{}: `{word}`: {}", number + 1, rule.why));
            }
        }
    }
    let lines = text.lines().count();
    if lines > MOST_LINES {
        breaches.push(format!("{file}:{lines}: longer than {MOST_LINES} lines"));
    }
    let source =
        ["src/", "service/src/", "crates/", "xtask/src/"].iter().any(|folder| file.starts_with(folder));
    if source && !file.ends_with("tests.rs") && !text.starts_with("//!") {
        breaches.push(format!("{file}:1: no header that says its job"));
    }
    for name in EMPTY_NAMES {
        if file.split(['/', '.']).any(|part| part == name) {
            breaches.push(format!("{file}:1: `{name}` names no job"));
        }
    }
    breaches
}

/// The code of a file. Tests of a module stand at its end and may do what it may not.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default()
}

/// Whether a line names a path, not a longer one that ends alike.
fn names(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && c != '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_catches_a_planted_breach() {
        for (file, line) in [
            ("src/stack/x.rs", "use std::fs;"),
            ("src/render/x.rs", "let now = std::time::Instant::now();"),
            ("src/cost/x.rs", "tokio::spawn(x);"),
            ("src/stack/x.rs", "use crate::targets::plan::Plan;"),
            ("src/document/x.rs", "use crate::stack::Stack;"),
            ("src/rules/x.rs", "use crate::stack::Stack;"),
            ("src/rules/x.rs", "use std::fs;"),
            ("src/document/x.rs", "use std::fs;"),
            ("src/cost/x.rs", "use granit_parser::Parser;"),
            ("src/targets/x.rs", "let value = serde_yaml::from_str(text)?;"),
            ("src/targets/x.rs", "use crate::commands::Context;"),
            ("src/targets/x.rs", "use crate::verify::verify;"),
            ("src/targets/x.rs", "use crate::monitoring::Chronicle;"),
            ("src/monitoring/x.rs", "use crate::commands::Context;"),
            ("src/targets/local/x.rs", "use bollard::Docker;"),
            ("src/commands/x.rs", "Target::Local(local) => local.status().await,"),
            ("src/commands/x.rs", "dialoguer::Confirm::new();"),
            ("src/commands/x.rs", "anstream::stdout();"),
            ("src/targets/x.rs", "let file = std::fs::OpenOptions::new();"),
            ("src/commands/x.rs", "std::fs::write(path, text)?;"),
            ("src/render/x.rs", "variable(\"REDIS_URL\");"),
            ("service/src/x.rs", "route(\"/readyz\", get(ready));"),
            ("src/load/x.rs", "rustix::fs::open(path, OFlags::RDWR, mode)?;"),
        ] {
            let breaches = check(file, &format!("//! A header.\n{line}\n"));
            assert_eq!(breaches.len(), 1, "{file}: {line}: {breaches:?}");
            assert!(breaches[0].starts_with(&format!("{file}:2: ")), "{breaches:?}");
        }
        assert_eq!(check("src/utils.rs", "//! A header.\n").len(), 1);
        assert_eq!(check("src/x.rs", "use x;\n").len(), 1);
        assert_eq!(check("src/x.rs", &"//! line\n".repeat(MOST_LINES + 1)).len(), 1);
    }

    #[test]
    fn what_is_allowed_is_not_caught() {
        for (file, text) in [
            ("src/targets/compose/x.rs", "//! H\nuse bollard::Docker;\n"),
            ("src/stack/x.rs", "//! H\n// std::fs is not used here\n"),
            ("src/document/x.rs", "//! H\nuse granit_parser::Parser;\nuse crate::document::Node;\n"),
            ("src/commands/x.rs", "//! H\nserde_yaml::to_string(value)?;\n"),
            ("src/stack/x.rs", "//! H\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n"),
            ("src/commands/x.rs", "//! H\nuse crate::targets::kubernetes::kube_x;\n"),
        ] {
            assert_eq!(check(file, text), Vec::<String>::new());
        }
    }
}
