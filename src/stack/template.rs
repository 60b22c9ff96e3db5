//! A text of the stack file with references that each target fills in, such as `${mongodb.uri}`. `$$` is a dollar. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::document::nearest;

/// What a text may refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reference {
    /// Where the app listens.
    Port,
    /// The address of MongoDB, with its credentials.
    MongodbUri,
    /// The address of Redis, with its credentials.
    RedisUrl,
}

impl Reference {
    const ALL: [Self; 3] = [Self::Port, Self::MongodbUri, Self::RedisUrl];

    /// As the stack file writes it, between the braces.
    pub fn name(self) -> &'static str {
        match self {
            Self::Port => "port",
            Self::MongodbUri => "mongodb.uri",
            Self::RedisUrl => "redis.url",
        }
    }

    /// Whether its value may hold a password.
    pub fn is_secret(self) -> bool {
        self != Self::Port
    }
}

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// As it is.
    Text(String),
    /// To be filled in.
    Reference(Reference),
}

/// A text, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template(Vec<Part>);

impl Template {
    /// Takes a text apart.
    ///
    /// # Errors
    /// A reference that has another name, or does not end.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut plain) = (Vec::new(), String::new());
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            plain.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                plain.push('$');
                rest = after;
            } else if let Some(after) = rest.strip_prefix('{') {
                let Some((name, after)) = after.split_once('}') else {
                    return Err("`${` has no `}`; `$$` is a dollar".into());
                };
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(Part::Reference(reference(name)?));
                rest = after;
            } else {
                plain.push('$');
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self(parts))
    }

    /// One that is this text.
    pub fn plain(text: impl Into<String>) -> Self {
        Self(vec![Part::Text(text.into())])
    }

    /// One that is the value of a reference.
    pub fn of(reference: Reference) -> Self {
        Self(vec![Part::Reference(reference)])
    }

    /// The pieces, in order.
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// Whether its value may hold a password.
    pub fn is_secret(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Reference(reference) if reference.is_secret()))
    }

    /// The text with its references filled in.
    pub fn fill(&self, value: impl Fn(Reference) -> String) -> String {
        let text = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Reference(reference) => value(*reference),
        };
        self.0.iter().map(text).collect()
    }
}

/// As the stack file has it.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(&text.replace('$', "$$")),
            Part::Reference(reference) => write!(f, "${{{}}}", reference.name()),
        })
    }
}

fn reference(name: &str) -> Result<Reference, String> {
    if let Some(reference) = Reference::ALL.into_iter().find(|reference| reference.name() == name) {
        return Ok(reference);
    }
    let known = Reference::ALL.map(Reference::name);
    let near = nearest(name, known.into_iter());
    let hint = near.map_or_else(String::new, |near| format!("; did you mean `${{{near}}}`"));
    Err(format!("unknown reference `${{{name}}}`{hint}; write `$${{{name}}}` for the text itself"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> String {
        Template::parse(text).unwrap().fill(|reference| format!("<{}>", reference.name()))
    }

    #[test]
    fn references_are_filled_in_and_a_double_dollar_is_one() {
        assert_eq!(filled("a ${port} b ${mongodb.uri}${redis.url}"), "a <port> b <mongodb.uri><redis.url>");
        assert_eq!(filled("$HOME costs 5$"), "$HOME costs 5$");
        assert_eq!(filled("$${port} $$$${x}"), "${port} $${x}");
        assert_eq!(filled(""), "");
        assert_eq!(Template::parse("$x ${port}").unwrap().to_string(), "$$x ${port}");
    }

    #[test]
    fn unknown_reference_names_the_nearest() {
        let refused = |text: &str| Template::parse(text).unwrap_err();
        assert!(
            refused("${mongo.uri}").contains("did you mean `${mongodb.uri}`;"),
            "{}",
            refused("${mongo.uri}")
        );
        assert!(refused("${HOME}").contains("write `$${HOME}` for the text itself"));
        assert!(refused("${port").contains("no `}`"));
    }

    #[test]
    fn only_addresses_of_stores_are_secret() {
        assert!(!Template::parse("x${port}").unwrap().is_secret());
        assert!(Template::parse("x${redis.url}/1").unwrap().is_secret());
    }
}
