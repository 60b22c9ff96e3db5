//! What one scrape found, as metrics.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;

/// The labels of a series.
pub(super) type Labels = Vec<(&'static str, String)>;

/// A metric with its series.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    /// Without `_total`, which a counter gets when it is written.
    name: &'static str,
    help: &'static str,
    is_counter: bool,
    series: Vec<(Labels, f64)>,
}

/// What one scrape found. What a server did not report is absent, never 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Samples(Vec<Sample>);

impl Samples {
    /// A value that rises and falls.
    pub(super) fn gauge(&mut self, name: &'static str, help: &'static str, value: Option<f64>) {
        self.add(name, help, false, value.map(|value| (Vec::new(), value)));
    }

    /// A value that only rises; the name is without `_total`.
    pub(super) fn counter(&mut self, name: &'static str, help: &'static str, value: Option<f64>) {
        self.add(name, help, true, value.map(|value| (Vec::new(), value)));
    }

    /// A value for each of some labels.
    pub(super) fn gauges(
        &mut self,
        name: &'static str,
        help: &'static str,
        series: impl IntoIterator<Item = (Labels, f64)>,
    ) {
        self.add(name, help, false, series);
    }

    /// The same, of a value that only rises.
    pub(super) fn counters(
        &mut self,
        name: &'static str,
        help: &'static str,
        series: impl IntoIterator<Item = (Labels, f64)>,
    ) {
        self.add(name, help, true, series);
    }

    /// Adds what another source found.
    pub(super) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    fn add(
        &mut self,
        name: &'static str,
        help: &'static str,
        is_counter: bool,
        series: impl IntoIterator<Item = (Labels, f64)>,
    ) {
        let series: Vec<_> = series.into_iter().collect();
        if !series.is_empty() {
            self.0.push(Sample { name, help, is_counter, series });
        }
    }
}

impl Collector for Samples {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Sample { name, help, is_counter, series } in &self.0 {
            let kind = if *is_counter { MetricType::Counter } else { MetricType::Gauge };
            let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
            for (labels, value) in series {
                let mut one = metric.encode_family(labels)?;
                if *is_counter {
                    one.encode_counter(value, None::<&Exemplar<Labels, f64>>)?;
                } else {
                    one.encode_gauge(value)?;
                }
            }
        }
        Ok(())
    }
}
