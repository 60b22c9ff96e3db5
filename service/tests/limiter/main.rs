//! The rate limiter against a real Redis: exact over replicas, bounded in time, whole again after each outage.

mod exact;
mod outage;
mod relay;
mod support;
