//! The rate limiter against a real Redis: exact over replicas, bounded in time, whole again after each outage.

#[cfg(test)]
mod cluster;
#[cfg(test)]
mod exact;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod roster;
#[cfg(test)]
mod sentinel;
#[cfg(test)]
mod support;

#[test]
fn tests_with_needs_are_included_on_ci() {
    appforge_testing::need::assert_included_on_ci();
}
