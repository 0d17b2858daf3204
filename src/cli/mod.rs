//! The command line as a client of the administration: a thin layer over its gRPC contract.
//!
//! - [`call`]: one call by name, messages by reflection, so that a new field of the contract needs nothing here;
//! - [`json`]: messages in the shape of the REST API, both ways;
//! - [`fields`]: `name=value`, files, references to the environment;
//! - [`admin`], [`logs`] and [`mod@file`]: the commands; [`mod@print`]: tables and JSON.

mod admin;
mod call;
mod fields;
mod file;
mod json;
mod logs;
mod print;

use std::io::Write;
use std::process::ExitCode;

use crate::config::admin::{AdminVerb, ConfigVerb, Connection};
use call::Client;

/// What a person is told when a command fails: one sentence, and the fields it is about.
#[derive(Debug)]
struct Failure(String);

type Done<T = ()> = Result<T, Failure>;

impl Failure {
    fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

/// Runs one call of the administration.
#[must_use]
pub fn administer(connection: Connection, verb: AdminVerb) -> ExitCode {
    run(async move {
        let (client, output) = Client::connect(connection)?;
        admin::run(&client, output, verb).await.map(|()| ExitCode::SUCCESS)
    })
}

/// Runs one command on the configuration as a file.
#[must_use]
pub fn configure(connection: Connection, verb: ConfigVerb) -> ExitCode {
    run(async move {
        let (client, output) = Client::connect(connection)?;
        file::run(&client, output, verb).await
    })
}

fn run(work: impl Future<Output = Done<ExitCode>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("the runtime does not start: {error}")),
    };
    runtime.block_on(work).unwrap_or_else(|failure| fail(&failure.0))
}

fn fail(reason: &str) -> ExitCode {
    // With standard error closed there is no one left to tell.
    _ = writeln!(std::io::stderr(), "unified-gateway: {reason}");
    ExitCode::FAILURE
}
