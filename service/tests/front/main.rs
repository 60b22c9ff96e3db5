//! The front before apps of the tests' own, over real sockets.

#[cfg(test)]
mod apps;
#[cfg(test)]
mod heads;
#[cfg(test)]
mod keeping;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod support;

#[test]
fn tests_with_needs_are_included_on_ci() {
    appforge_testing::need::assert_included_on_ci();
}
