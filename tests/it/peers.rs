//! Real servers and programs as the projects of these tests use them.

use std::path::Path;

use appforge_testing::need;
use appforge_testing::peer::{DURABLE, Server};
use appforge_testing::wait::DEADLINE;

/// A MongoDB and a Valkey server, and the lines of a stack file that make a project use them.
pub(crate) fn external() -> (Server, Server, String) {
    let (mongodb, valkey) = (Server::mongodb().started(), Server::valkey(DURABLE).started());
    let lines = format!(
        "mongodb: {{mode: external, uri: \"mongodb://127.0.0.1:{}/\"}}\n\
         redis: {{mode: external, url: \"redis://127.0.0.1:{}/\"}}\n",
        mongodb.port, valkey.port
    );
    (mongodb, valkey, lines)
}

/// Runs a Python script of `fixtures/` against a server; it ends with a traceback when an expectation fails.
pub(crate) async fn script(name: &str, server: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures").join(name);
    let python = need::program("APPFORGE_PEER_PYTHON", &[]);
    let run = tokio::process::Command::new(python).arg(script).arg(server).kill_on_drop(true).output();
    let output = tokio::time::timeout(DEADLINE, run).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, b"done\n");
}

/// Longest run of Schemathesis.
const CONTRACT_LIMIT: &str = "240";

/// Checks a service against its OpenAPI document. What it finds fails the test, with a request to repeat each.
pub(crate) fn schemathesis(document: &str) {
    let folder = tempfile::tempdir().unwrap();
    // A precondition that fails says nothing of the data: 412 joins the statuses that valid data may have.
    let expected = r#"["2xx", "3xx", "401", "403", "404", "409", "412", "429", "5xx"]"#;
    let settings = format!("[checks]\npositive_data_acceptance.expected-statuses = {expected}\n");
    std::fs::write(folder.path().join("schemathesis.toml"), settings).unwrap();
    let python = need::program("APPFORGE_PEER_PYTHON", &[]);
    let mut command = std::process::Command::new("timeout");
    command.arg(CONTRACT_LIMIT).arg(python).args([
        "-m",
        "schemathesis.cli",
        "run",
        document,
        "--checks",
        "all",
    ]);
    command.args(["--max-examples", "30", "--seed", "1", "--no-color"]).current_dir(folder.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
