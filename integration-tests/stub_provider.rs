//! The stub provider as a program, for tests that are not written in Rust and for trying the gateway by hand.
//!
//! `cargo run --example stub-provider -- --port 4100`, then register deployments of the preset `openaicompatible` with
//! `baseUrl` `http://127.0.0.1:4100/v1`. `GET /__requests` lists what arrived, `DELETE /__requests` lists and forgets.

#[path = "support/stub_provider/mod.rs"]
#[cfg_attr(not(test), expect(dead_code, reason = "part of it is for tests in the same process"))]
mod stub_provider;

use clap::Parser;
use std::io::Write;
use std::net::SocketAddr;
use stub_provider::StubProvider;
use stub_provider::behaviour::MODELS;

/// An OpenAI-compatible provider that misbehaves on request: the model name chooses how.
#[derive(Debug, Parser)]
struct Options {
    /// The port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Lists the models and ends.
    #[arg(long)]
    list: bool,
}

fn main() -> std::io::Result<()> {
    let options = Options::parse();
    let mut out = std::io::stdout();
    if options.list {
        return writeln!(out, "{}", MODELS.join("\n"));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let stub = StubProvider::listen(SocketAddr::from(([127, 0, 0, 1], options.port))).await?;
        writeln!(out, "listening on http://{}", stub.address())?;
        out.flush()?;
        tokio::signal::ctrl_c().await
    })
}
