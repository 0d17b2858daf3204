//! The `unified-gateway` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    unified_gateway::app::main(std::env::args_os())
}
