//! Which of the two text formats a scraper gets, by its `Accept` (RFC 9110, 12.5.1). Pure.

use http::HeaderMap;
use http::header::ACCEPT;
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::registry::Registry;

/// A text format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// The Prometheus text format 0.0.4, which every scraper reads.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Exposition {
    /// What a client with these headers prefers; OpenMetrics only for one that names it.
    pub fn preferred(headers: &HeaderMap) -> Self {
        let ranges = || headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let quality = |name: &str, version: &str| {
            let ranges = ranges().flat_map(|value| value.split(','));
            ranges.filter_map(|range| quality(range, name, version)).fold(0.0, f32::max)
        };
        let open = quality("application/openmetrics-text", "1.0.0");
        if open > 0.0 && open >= quality("text/plain", "0.0.4") {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// The media type of the text.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// All metrics of `registry` as text.
    pub fn encode(self, registry: &Registry) -> String {
        self.encode_all(&[registry])
    }

    /// All metrics of these registries as one text.
    pub fn encode_all(self, registries: &[&Registry]) -> String {
        let mut written = String::new();
        // Writing to a String cannot fail.
        for registry in registries {
            let _ = match self {
                Self::Prometheus => prometheus_text::encode(&mut written, registry),
                Self::OpenMetrics => text::encode_registry(&mut written, registry),
            };
        }
        if self == Self::OpenMetrics {
            let _ = text::encode_eof(&mut written);
        }
        written
    }
}

/// The weight of a media range, when it names this type in this version or in none.
fn quality(range: &str, name: &str, version: &str) -> Option<f32> {
    let mut parts = range.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(name) {
        return None;
    }
    let mut weight = 1.0;
    for part in parts {
        match part.split_once('=') {
            Some(("q", q)) => weight = q.parse().ok()?,
            Some(("version", other)) if other != version => return None,
            _ => {}
        }
    }
    Some(weight)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn open_metrics_is_chosen_only_when_it_is_preferred() {
        use Exposition::{OpenMetrics, Prometheus};
        let of_prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                               text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let of_prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                               application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;q=0.3,\
                               text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        for (accept, format) in [
            (None, Prometheus),
            (Some("*/*"), Prometheus),
            (Some("text/html, */*;q=0.8"), Prometheus),
            (Some("text/plain;version=0.0.4"), Prometheus),
            (Some("application/openmetrics-text"), OpenMetrics),
            (Some("application/openmetrics-text; version=0.0.1"), Prometheus),
            (Some("application/openmetrics-text;q=0"), Prometheus),
            (Some("application/openmetrics-text;q=0.2, text/plain;q=0.9"), Prometheus),
            (Some(of_prometheus_2), OpenMetrics),
            (Some(of_prometheus_3), OpenMetrics),
        ] {
            let mut headers = HeaderMap::new();
            headers.extend(accept.map(|accept| (ACCEPT, HeaderValue::from_static(accept))));
            assert_eq!(Exposition::preferred(&headers), format, "{accept:?}");
        }
    }
}
