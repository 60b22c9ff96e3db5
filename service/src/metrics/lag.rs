//! How late the runtime's one thread is: a request waits as long, whatever the stores do.

use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

/// How often it is measured.
const EVERY: Duration = Duration::from_millis(100);
/// Upper bounds, in seconds. The timer itself has a resolution of a millisecond.
const BOUNDS: [f64; 8] = [0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0];

/// Measures until the handle is dropped. Must be called on a tokio runtime.
pub(crate) fn measure(registry: &mut Registry) -> AbortOnDropHandle<()> {
    let lag = Histogram::new(BOUNDS);
    let help = "How late a timer of the runtime fired";
    registry.register_with_unit("runtime_loop_lag", help, Unit::Seconds, lag.clone());
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            let began = Instant::now();
            sleep(EVERY).await;
            lag.observe(began.elapsed().saturating_sub(EVERY).as_secs_f64());
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lag_is_what_a_busy_thread_costs() {
        let mut registry = Registry::default();
        let _measured = measure(&mut registry);
        tokio::task::yield_now().await;
        // The thread does something else for 700 ms; the timer of 100 ms fires after it.
        tokio::time::advance(Duration::from_millis(700)).await;
        tokio::task::yield_now().await;
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains("runtime_loop_lag_seconds_bucket{le=\"0.25\"} 0\n"), "{text}");
        assert!(text.contains("runtime_loop_lag_seconds_bucket{le=\"1.0\"} 1\n"), "{text}");
    }
}
