//! The name of an image in a registry, read as Docker reads it.

use std::net::IpAddr;
use std::str::FromStr;

/// Where Docker Hub takes images.
const HUB: &str = "registry-1.docker.io";
/// What `docker login` calls it.
const HUB_LOGIN: &str = "https://index.docker.io/v1/";

/// `registry.example.com/team/service:1.0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteName {
    /// The host, with its port if it has one.
    pub registry: String,
    /// The path of the repository.
    pub repository: String,
    /// The tag.
    pub tag: Option<String>,
}

impl FromStr for RemoteName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected an image name such as `registry.example.com/team/service:1.0`".to_owned();
        let (first, rest) = text.split_once('/').ok_or_else(wrong)?;
        let (registry, path) = if first.contains(['.', ':']) || first == "localhost" {
            (first.to_owned(), rest)
        } else {
            (HUB.to_owned(), text)
        };
        let (repository, tag) = match path.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (path, None),
        };
        let host = registry.chars().all(|c| c.is_ascii_alphanumeric() || ".:-[]".contains(c));
        let part = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
                && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c))
        };
        let label = |tag: &str| {
            (1..=128).contains(&tag.len())
                && !tag.starts_with(['.', '-'])
                && tag.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        };
        if !host || !repository.split('/').all(part) || !tag.is_none_or(label) {
            return Err(wrong());
        }
        Ok(Self { registry, repository: repository.to_owned(), tag: tag.map(str::to_owned) })
    }
}

impl RemoteName {
    /// What `docker login` keeps its credentials under.
    pub fn login(&self) -> &str {
        if self.registry == HUB { HUB_LOGIN } else { &self.registry }
    }

    /// The repository, as users write it.
    pub fn shown(&self) -> String {
        let host = if self.registry == HUB { "docker.io" } else { &self.registry };
        format!("{host}/{}", self.repository)
    }

    /// Whether the registry is on this machine, which requires no TLS.
    pub fn is_loopback(&self) -> bool {
        let host = match self.registry.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => host,
            _ => &self.registry,
        };
        let host = host.trim_matches(['[', ']']);
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_docker_reads_them() {
        let name = |text: &str| text.parse::<RemoteName>();
        let read = name("registry.example.com:5000/team/service:1.0").unwrap();
        assert_eq!(
            (read.registry.as_str(), read.repository.as_str(), read.tag.as_deref()),
            ("registry.example.com:5000", "team/service", Some("1.0"))
        );
        let hub = name("team/service").unwrap();
        assert_eq!((hub.registry.as_str(), hub.login(), hub.tag.clone()), (HUB, HUB_LOGIN, None));
        assert_eq!(hub.shown(), "docker.io/team/service");
        assert!(name("localhost/a").unwrap().is_loopback());
        assert!(name("127.0.0.1:5000/a").unwrap().is_loopback());
        assert!(name("[::1]:5000/a").unwrap().is_loopback());
        assert!(!hub.is_loopback());
        for wrong in ["service", "", "/a", "a.b/", "a.b/C", "a.b/c@sha256:1", "a.b/c:", "a.b/c:d:e", "a b/c"]
        {
            name(wrong).unwrap_err();
        }
    }
}
