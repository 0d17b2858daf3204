//! The process that reads one document: PDF on standard input, its text on standard output, and an exit code.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::{MAX_BYTES, Unreadable, WAIT, pdf};

/// The argument that makes this program a reader.
pub const ARGUMENT: &str = "read-pdf";

/// Memory that a reader may have, its program included.
const MAX_MEMORY: u64 = 512 << 20;
/// Files that a reader may have open: the standard streams.
const MAX_FILES: u64 = 3;

/// Reads one document under limits that the process sets itself before it sees the first byte.
#[must_use]
pub fn main() -> ExitCode {
    match confine().and_then(|()| read()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => ExitCode::from(reason.exit_code()),
    }
}

fn confine() -> Result<(), Unreadable> {
    for (resource, most) in [
        (Resource::As, MAX_MEMORY),
        (Resource::Cpu, WAIT.as_secs() + 1),
        (Resource::Nofile, MAX_FILES),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
    ] {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        setrlimit(resource, limit).map_err(|_| Unreadable::NoReader)?;
    }
    Ok(())
}

fn read() -> Result<(), Unreadable> {
    let mut document = Vec::new();
    let mut input = std::io::stdin().lock().take(MAX_BYTES as u64 + 1);
    input.read_to_end(&mut document).map_err(|_| Unreadable::NoReader)?;
    if document.len() > MAX_BYTES {
        return Err(Unreadable::TooLarge);
    }
    let text = pdf::text_of(&document)?;
    let mut output = std::io::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(|_| Unreadable::NoReader)
}
