//! The composition root: the only room that names concrete backends together, opens listeners and starts tasks.
//!
//! - [`build`]: settings to a gateway with its stores, snapshot and faces.
//! - [`doors`]: the ports; [`serve`]: listeners and connections.
//! - [`books`]: the ledger of either mode; [`answers`]: the response cache.
//! - [`storage`]: the store of either mode; [`follow`]: keeps the snapshot up with it.
//! - [`figures`]: what is read when somebody asks for metrics.
//! - [`shutdown`]: what makes the process stop, and in which order; [`switches`]: by what.
//! - [`telemetry`]: traces and metrics to a collector.
//! - [`tls`]: certificates of the listeners.
//! - [`tasks`]: the only home of spawn.

mod answers;
mod banner;
mod books;
mod build;
mod catalog_command;
mod doors;
mod figures;
mod follow;
pub mod io;
mod retention;
mod serve;
mod shutdown;
mod storage;
mod store_command;
mod sweep;
mod switches;
mod tasks;
mod telemetry;
mod tls;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

pub use build::{Running, Stage, start, start_on};

use crate::cli;
use crate::config::logging::Logging;
use crate::config::{self, Command, Config};
use crate::documents::worker;
use crate::fault::{Fault, Outcome};
use crate::telemetry::log;

/// Runs the command line to its end.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    // Before anything of this process is looked at: what follows is a stranger's.
    if args.get(1).is_some_and(|argument| argument == worker::ARGUMENT) {
        return worker::main();
    }
    match config::parse(args) {
        Ok(Command::Serve(config)) => serve_until_stopped(*config),
        Ok(Command::Migrate(config)) => with_runtime(&config.logging.clone(), store_command::migrate(*config)),
        Ok(Command::RotateEncryption(config)) => {
            with_runtime(&config.logging.clone(), store_command::rotate_encryption(*config))
        }
        Ok(Command::Admin(connection, verb)) => cli::administer(*connection, verb),
        Ok(Command::Config(connection, verb)) => cli::configure(*connection, verb),
        Ok(Command::Completion(script)) => print(&String::from_utf8_lossy(&script)),
        Ok(Command::CatalogList { provider, json }) => catalog_command::list(provider, json),
        Ok(Command::CatalogCounts) => catalog_command::counts(),
        Ok(Command::CatalogValidate) => catalog_command::validate(),
        Ok(Command::Version) => print(concat!("unified-gateway ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(stop) => stop.print(),
    }
}

fn serve_until_stopped(config: Config) -> ExitCode {
    with_runtime(&config.logging.clone(), async {
        let running = start(config).await?;
        banner::print(&running);
        shutdown::wait_and_stop(running).await;
        Ok(())
    })
}

fn with_runtime(logging: &Logging, work: impl Future<Output = Outcome<()>>) -> ExitCode {
    let format = match logging.format {
        config::logging::LogFormat::Json => log::Format::Json,
        config::logging::LogFormat::Pretty => log::Format::Pretty,
    };
    if let Err(error) = log::init(&logging.levels, format) {
        return fail(&error.to_string());
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("the runtime does not start: {error}")),
    };
    match runtime.block_on(work) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => fail(&describe(&fault)),
    }
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
