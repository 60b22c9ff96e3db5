//! `serve` and `healthcheck`: the bundled service or the front of an app, and the question whether it is ready.

use std::net::Ipv4Addr;

use anyhow::Result;
use appforge_service::listen::HandOver;

use crate::cli::serve::ServeArgs;
use crate::error::{ExitStatus, Failure};
use crate::targets::admin;

/// Asks the replica on this host whether it is ready.
pub(crate) async fn healthcheck(port: u16) -> Result<ExitStatus> {
    let address = format!("{}:{port}", Ipv4Addr::LOCALHOST);
    let ready = admin::ready(admin::connect(format!("http://{address}")));
    ready.await.map_err(|error| {
        Failure::new(ExitStatus::Failed, format!("the replica on {address} is not ready")).caused_by(error)
    })?;
    Ok(ExitStatus::Done)
}

/// Lines of the embedded stores: the supervisor, which writes the log file, adds the time.
pub(crate) fn log_to_stderr() {
    let format = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).without_time();
    // Set once a process.
    let _ = format.with_target(false).try_init();
}

/// Lines of the supervisor, whose stderr is its log file: with the time.
pub(crate) fn log_to_file() {
    let format = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false);
    // Set once a process.
    let _ = format.with_target(false).try_init();
}

/// Runs the bundled service, or the front of an app, until SIGTERM.
pub(crate) async fn serve(args: ServeArgs) -> Result<ExitStatus> {
    let settings = appforge_service::run::settings(args.upstream).map_err(|problems| {
        Failure::new(ExitStatus::Config, appforge_service::settings::report(&problems))
    })?;
    let sockets = args.admin.map(|admin| HandOver { public: args.public, admin });
    appforge_service::serve(settings, sockets).await?;
    Ok(ExitStatus::Done)
}
