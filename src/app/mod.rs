//! The composition root: the only room that names concrete backends together, opens listeners and starts tasks.
//!
//! - [`build`]: settings to a gateway with its stores, snapshot and faces.
//! - [`serve`]: listeners and connections.
//! - [`shutdown`]: what makes the process stop, and in which order.
//! - [`tasks`]: the only home of spawn.

mod banner;
mod build;
mod catalog_command;
pub mod io;
mod serve;
mod shutdown;
mod tasks;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

pub use build::{Running, start};

use crate::config::{self, Command, Config};
use crate::fault::Fault;
use crate::telemetry::log;

/// Runs the command line to its end.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    match config::parse(args) {
        Ok(Command::Serve(config)) => serve_until_stopped(*config),
        Ok(Command::CatalogList { provider, json }) => catalog_command::list(provider, json),
        Ok(Command::CatalogValidate) => catalog_command::validate(),
        Ok(Command::Version) => print(concat!("unified-gateway ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(stop) => stop.print(),
    }
}

fn serve_until_stopped(config: Config) -> ExitCode {
    let format = match config.logging.format {
        config::logging::LogFormat::Json => log::Format::Json,
        config::logging::LogFormat::Pretty => log::Format::Pretty,
    };
    if let Err(error) = log::init(&config.logging.levels, format) {
        return fail(&error.to_string());
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("the runtime does not start: {error}")),
    };
    runtime.block_on(async {
        match start(config).await {
            Ok(running) => {
                banner::print(&running);
                shutdown::wait_and_stop(running).await;
                ExitCode::SUCCESS
            }
            Err(fault) => fail(&describe(&fault)),
        }
    })
}

fn describe(fault: &Fault) -> String {
    match fault.cause() {
        Some(cause) => format!("{} ({cause})", fault.message()),
        None => fault.message().to_owned(),
    }
}

fn fail(reason: &str) -> ExitCode {
    // With standard error closed there is no one left to tell.
    _ = writeln!(std::io::stderr(), "unified-gateway: {reason}");
    ExitCode::FAILURE
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        // Such as a closed pipe: what was asked for was not delivered.
        Err(_) => ExitCode::FAILURE,
    }
}
