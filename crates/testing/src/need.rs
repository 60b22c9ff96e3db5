//! What a test needs of the machine. Such a test carries `#[ignore = "needs valkey"]` (several: `needs mongodb and valkey`):
//! a plain `cargo test` reports it as ignored with that reason, `cargo xtask test` runs it where the need is met. Once it
//! runs, a missing need is a failure.

use std::path::PathBuf;

/// Fails where `CI` is set and this run leaves out the tests with needs. Each binary with such tests calls it in a test.
pub fn assert_included_on_ci() {
    let ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty() && ci != "false");
    let included = std::env::args().any(|argument| argument == "--include-ignored");
    assert!(!ci || included, "CI runs the tests with needs, too: cargo xtask test");
}

/// A program that `variable` names, else the first of `names` on `PATH`.
#[track_caller]
pub fn program(variable: &str, names: &[&str]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut on_path = names.iter().flat_map(|name| places.iter().map(move |place| place.join(name)));
    let named = std::env::var_os(variable).map(PathBuf::from);
    named
        .or_else(|| on_path.find(|file| file.is_file()))
        .unwrap_or_else(|| panic!("{variable} is not set and none of {names:?} is on PATH: cargo xtask test"))
}

/// The folder that `variable` names.
#[track_caller]
pub fn folder(variable: &str) -> PathBuf {
    program(variable, &[])
}

/// Whether these tests run as root, who can give files away and become another user.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
