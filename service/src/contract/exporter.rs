//! The environment of the exporter, typed. What it has in common with a replica has the same names.

use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;

use super::environment::LogFormat;
use super::reader::{Given, Problem, Reader};
use super::{ADMIN_PORT, number, variable};

/// The variables of the exporter; what is `None` is not measured, or has the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExporterEnvironment {
    /// Address of the listener.
    pub bind: Option<IpAddr>,
    /// Port of the listener.
    pub port: Option<u16>,
    /// Format of a log line.
    pub log_format: Option<LogFormat>,
    /// Least severe level that is logged.
    pub log_level: Option<tracing::Level>,
    /// Address of MongoDB.
    pub mongodb_uri: Option<Given>,
    /// Database whose disk is measured; that of the address when unset.
    pub mongodb_database: Option<String>,
    /// Address of Redis.
    pub redis_url: Option<Given>,
    /// The URL that clients use.
    pub probe_url: Option<ProbeUrl>,
    /// Replicas that the stack asks for.
    pub replicas_desired: Option<u32>,
    /// Most replicas that the stack may have.
    pub replicas_max: Option<u32>,
}

/// A URL that is requested as a client would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeUrl {
    /// Whether it is HTTPS.
    pub https: bool,
    /// A name or an address; that of IPv6 without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Path and query.
    pub path: String,
}

impl FromStr for ProbeUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || "expected a URL without credentials, such as `https://shop.example.com/health`".to_owned();
        let uri: Uri = text.parse().map_err(|_| expected())?;
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(expected()),
        };
        let authority =
            uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(expected)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(expected());
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            https,
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(if https { 443 } else { 80 }),
            path: path.to_owned(),
        })
    }
}

impl ExporterEnvironment {
    /// The environment in these variables, or every invalid value.
    ///
    /// # Errors
    /// Every problem, among them that nothing is to be measured.
    pub fn parse(variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, Vec<Problem>> {
        let mut from = Reader::new(variables);
        let environment = Self {
            bind: from.address(variable::ADMIN_BIND),
            port: from.port(variable::ADMIN_PORT, ADMIN_PORT),
            log_format: from.choice(variable::LOG_FORMAT),
            log_level: from.value(variable::LOG_LEVEL, super::environment::LEVEL),
            mongodb_uri: from.given(variable::MONGODB_URI, variable::MONGODB_URI_FILE),
            mongodb_database: from.text(variable::MONGODB_DATABASE),
            redis_url: from.given(variable::REDIS_URL, variable::REDIS_URL_FILE),
            probe_url: from.choice(variable::PROBE_URL),
            replicas_desired: from.number(number::REPLICAS_DESIRED),
            replicas_max: from.number(number::REPLICAS_MAX),
        };
        let nothing = environment.mongodb_uri.is_none()
            && environment.redis_url.is_none()
            && environment.probe_url.is_none()
            && environment.replicas_desired.is_none();
        if nothing && from.problems.is_empty() {
            let others = [variable::MONGODB_URI, variable::PROBE_URL, variable::REPLICAS_DESIRED].join(", ");
            let message = format!("nothing to measure; set it, or one of {others}");
            from.problems.push(Problem::new(variable::REDIS_URL, message));
        }
        if from.problems.is_empty() { Ok(environment) } else { Err(from.problems) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<ExporterEnvironment, Vec<Problem>> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        ExporterEnvironment::parse(variables)
    }

    #[test]
    fn url_of_a_probe_is_split_and_has_no_credentials() {
        let url: ProbeUrl = "https://shop.test/health?x=1".parse().unwrap();
        assert_eq!(
            (url.https, url.host.as_str(), url.port, url.path.as_str()),
            (true, "shop.test", 443, "/health?x=1")
        );
        let url: ProbeUrl = "http://[::1]:8080".parse().unwrap();
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("::1", 8080, "/"));
        for text in ["shop.test", "ftp://a/", "http://u:p@a/", "http://", "/health"] {
            let error = text.parse::<ProbeUrl>().unwrap_err();
            assert!(!error.contains("u:p"), "{error}");
        }
    }

    #[test]
    fn exporter_refuses_to_measure_nothing() {
        let problems = of(&[]).unwrap_err();
        assert!(problems[0].to_string().starts_with("REDIS_URL: nothing to measure"), "{problems:?}");
        let problems = of(&[("PROBE_URL", "nonsense"), ("REPLICAS_MAX", "0")]).unwrap_err();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert_eq!(of(&[("REPLICAS_DESIRED", "3")]).unwrap().replicas_desired, Some(3));
    }
}
