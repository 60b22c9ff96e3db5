//! Values about an app of the user's own: its command, its health, what it reaches and writes. Pure.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use appforge_service::network::Network;
use schemars::JsonSchema;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::stack::values::{ByteSize, scalar};

/// A command: words, or a text that is split as a shell does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum CommandLine {
    /// A text.
    Text(String),
    /// The program and its arguments.
    Words(Vec<String>),
}

/// What makes a text one for a shell.
const SHELL: &[char] = &['$', '|', '&', ';', '<', '>', '*', '~', '\'', '"', '`', '\\', '(', ')', '\n'];
/// What joins several commands, of which `exec` would run the first only.
const COMPOUND: &[char] = &['|', '&', ';', '\n', '(', ')'];

impl CommandLine {
    /// The texts that it is made of.
    pub(crate) fn texts(&self) -> &[String] {
        match self {
            Self::Text(text) => std::slice::from_ref(text),
            Self::Words(words) => words,
        }
    }

    /// The program and its arguments; `filled` are [`Self::texts`] with all references filled in.
    pub(crate) fn words(&self, filled: Vec<String>) -> Vec<String> {
        match self {
            Self::Words(_) => filled,
            Self::Text(_) => filled.iter().flat_map(|text| split(text.trim())).collect(),
        }
    }
}

/// The words of a text; one that needs a shell gets one, which the command replaces so that signals reach it.
fn split(text: &str) -> Vec<String> {
    let assigns = text.split_whitespace().next().is_some_and(is_assignment);
    if !assigns && !text.contains(SHELL) {
        return text.split_whitespace().map(str::to_owned).collect();
    }
    let script = match (text.contains(COMPOUND), assigns) {
        (true, _) => text.to_owned(),
        (false, true) => format!("exec env {text}"),
        (false, false) => format!("exec {text}"),
    };
    vec!["sh".to_owned(), "-c".to_owned(), script]
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

impl<'de> Deserialize<'de> for CommandLine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;

        impl<'de> Visitor<'de> for Words {
            type Value = CommandLine;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a command such as `node server.js`, or the list of its words")
            }

            fn visit_str<E>(self, text: &str) -> Result<CommandLine, E> {
                Ok(CommandLine::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, words: A) -> Result<CommandLine, A::Error> {
                Deserialize::deserialize(SeqAccessDeserializer::new(words)).map(CommandLine::Words)
            }
        }

        deserializer.deserialize_any(Words)
    }
}

/// What answers while an app works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(with = "HealthForm")]
pub struct Health {
    /// Asked with GET.
    pub path: String,
    /// Sent as `Host`.
    pub host: String,
}

/// How a stack file has it.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes the file")]
enum HealthForm {
    /// The path.
    Path(String),
    /// Both.
    Full(FullHealth),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FullHealth {
    /// Asked with GET.
    path: String,
    /// Sent as `Host`; `localhost` unless it is set.
    #[serde(default = "localhost")]
    host: String,
}

fn localhost() -> String {
    "localhost".to_owned()
}

impl<'de> Deserialize<'de> for Health {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;

        impl<'de> Visitor<'de> for Form {
            type Value = Health;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path such as `/healthz`, or `{path, host}`")
            }

            fn visit_str<E>(self, path: &str) -> Result<Health, E> {
                Ok(Health { path: path.to_owned(), host: localhost() })
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Health, A::Error> {
                let FullHealth { path, host } =
                    Deserialize::deserialize(MapAccessDeserializer::new(members))?;
                Ok(Health { path, host })
            }
        }

        deserializer.deserialize_any(Form)
    }
}

/// What the replicas may reach besides stores and DNS.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String")]
pub enum Egress {
    /// All public addresses.
    Internet,
    /// One port of a host: of an address, or of any address for a name, since a policy of Kubernetes takes no names.
    Host(String, u16),
    /// All ports of a network.
    Network(Network),
}

impl FromStr for Egress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "internet" {
            return Ok(Self::Internet);
        }
        if let Ok(network) = text.parse() {
            return Ok(Self::Network(network));
        }
        let host = text.rsplit_once(':').and_then(|(host, port)| {
            let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            let label = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
            let fits = bare.parse::<IpAddr>().is_ok() || (!bare.is_empty() && bare.chars().all(label));
            let port = port.parse::<u16>().ok().filter(|port| fits && *port > 0)?;
            Some(Self::Host(bare.to_owned(), port))
        });
        host.ok_or_else(|| {
            "expected `internet`, a network such as `10.0.0.0/8`, or `HOST:PORT` such as `api.stripe.com:443`"
                .into()
        })
    }
}

impl fmt::Display for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Internet => f.write_str("internet"),
            Self::Host(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Host(host, port) => write!(f, "{host}:{port}"),
            Self::Network(network) => write!(f, "{network}"),
        }
    }
}

/// A folder that an app may write to in a container, with its size.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String")]
pub struct Writable {
    /// Absolute; `/` is all of the container's own files.
    pub path: String,
    /// The most that it holds, in memory on compose.
    pub size: ByteSize,
}

impl Writable {
    /// What a folder holds unless its size is written.
    const SIZE: ByteSize = ByteSize(64 << 20);
}

impl FromStr for Writable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected an absolute path with or without a size, such as `/tmp:64Mi`".to_owned();
        let (path, size) = match text.split_once(':') {
            Some((path, size)) => (path, size.parse().map_err(|_| expected())?),
            None => (text, Self::SIZE),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
        let fits = path.starts_with('/')
            && path.chars().all(plain)
            && !path.split('/').any(|step| step == ".." || step == ".");
        let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
        if fits && !path.is_empty() && size.0 > 0 {
            Ok(Self { path: path.to_owned(), size })
        } else {
            Err(expected())
        }
    }
}

impl fmt::Display for Writable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path, self.size)
    }
}

scalar!(Egress, Writable);

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        CommandLine::Text(text.to_owned()).words(vec![text.to_owned()])
    }

    #[test]
    fn text_is_split_and_gets_a_shell_only_where_it_needs_one() {
        assert_eq!(words("node  server.js --port 3000"), ["node", "server.js", "--port", "3000"]);
        assert_eq!(words("node 'my server.js'"), ["sh", "-c", "exec node 'my server.js'"]);
        assert_eq!(words("serve >log"), ["sh", "-c", "exec serve >log"]);
        assert_eq!(words("NODE_ENV=test node a.js"), ["sh", "-c", "exec env NODE_ENV=test node a.js"]);
        // `exec` would replace the shell by the first command only.
        assert_eq!(words("npm run build && npm start"), ["sh", "-c", "npm run build && npm start"]);
        assert_eq!(words("a | b"), ["sh", "-c", "a | b"]);
    }

    #[test]
    fn what_may_be_reached_is_a_network_a_port_or_the_internet() {
        for good in
            ["internet", "10.0.0.0/8", "api.stripe.com:443", "10.1.2.3:25", "[fd00::1]:25", "fd00::/8"]
        {
            assert_eq!(good.parse::<Egress>().unwrap().to_string(), good);
        }
        for bad in ["", "intranet", "api.stripe.com", "a:0", ":443", "a b:1", "a:70000", "https://a:1"] {
            bad.parse::<Egress>().expect_err(bad);
        }
    }

    #[test]
    fn folders_to_write_to_have_a_size() {
        assert_eq!("/var/cache".parse::<Writable>().unwrap().to_string(), "/var/cache:64MiB");
        assert_eq!("/tmp/:1Gi".parse::<Writable>().unwrap().to_string(), "/tmp:1GiB");
        assert_eq!("/".parse::<Writable>().unwrap().path, "/");
        for bad in ["", "tmp", "/a/../b", "/a:", "/a:0", "/a:x", "/a b", "/a:1Mi:ro"] {
            bad.parse::<Writable>().expect_err(bad);
        }
    }
}
