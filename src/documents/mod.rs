//! The text of PDFs, for models that read text only.
//!
//! A document comes from a stranger, and readers of PDF are large. So each is read by a process of its own: this program
//! again, with another task ([`worker`]), without environment, files or network connections of ours, and bounded in memory,
//! time, pages and characters. Whatever a document does to its reader, the gateway sees an exit code.

mod pdf;
pub mod worker;

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Largest document that is read.
pub const MAX_BYTES: usize = 20 * 1024 * 1024;
/// Most pages of a document.
pub const MAX_PAGES: usize = 200;
/// Most characters that are taken from a document.
pub const MAX_CHARS: usize = 2_000_000;
/// A character has four bytes at most.
const MAX_TEXT_BYTES: usize = 4 * MAX_CHARS;
/// The usual patience with a reader.
const WAIT: Duration = Duration::from_secs(10);
const MAX_READERS: usize = 4;

/// Why there is no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// Its pages are pictures, or empty.
    NoText,
    /// It is no PDF, or a broken one, or too much for its reader.
    Broken,
    /// It needs a password.
    Locked,
    /// It has more than [`MAX_PAGES`].
    TooManyPages,
    /// It has more than [`MAX_CHARS`].
    TooMuchText,
    /// It is larger than [`MAX_BYTES`].
    TooLarge,
    /// It could not be read in time.
    TooSlow,
    /// All readers were busy for long.
    Busy,
    /// No reader could be started.
    NoReader,
}

impl Unreadable {
    const ALL: [Self; 9] = [
        Self::NoText,
        Self::Broken,
        Self::Locked,
        Self::TooManyPages,
        Self::TooMuchText,
        Self::TooLarge,
        Self::TooSlow,
        Self::Busy,
        Self::NoReader,
    ];

    /// The code that a caller is told.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoText => "file_parser_no_text",
            Self::Broken | Self::Locked | Self::TooSlow => "file_parser_failed",
            Self::TooManyPages | Self::TooMuchText | Self::TooLarge => "file_too_large",
            Self::Busy | Self::NoReader => "file_parser_unavailable",
        }
    }

    /// Whether the document is not to blame.
    #[must_use]
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Busy | Self::NoReader)
    }

    /// What is wrong, in words for the caller.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NoText => "it has no text that can be extracted; scanned pages need a model that reads PDF",
            Self::Broken => "it cannot be read as PDF",
            Self::Locked => "it is encrypted with a password",
            Self::TooManyPages => "it has more than 200 pages",
            Self::TooMuchText => "it has more than 2,000,000 characters",
            Self::TooLarge => "it is larger than 20 MB",
            Self::TooSlow => "its text could not be extracted within 10 seconds",
            Self::Busy => "too many documents are being read at the moment; try again",
            Self::NoReader => "documents cannot be read at the moment",
        }
    }

    /// The exit code of a reader that found this.
    const fn exit_code(self) -> u8 {
        100 + self as u8
    }

    fn of_exit_code(code: Option<i32>) -> Self {
        Self::ALL.into_iter().find(|known| code == Some(i32::from(known.exit_code()))).unwrap_or(Self::Broken)
    }
}

/// Reads documents, a few at a time. Cloning shares the bound.
#[derive(Debug, Clone)]
pub struct Documents {
    program: PathBuf,
    readers: Arc<Semaphore>,
    /// How long a document waits for a reader, and then how long its reader may take.
    wait: Duration,
}

impl Documents {
    /// Reads with this program, or with another that has the same [`worker`].
    #[must_use]
    pub fn new(program: Option<PathBuf>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            program: program.unwrap_or_else(this_program),
            readers: Arc::new(Semaphore::new(cores.min(MAX_READERS))),
            wait: WAIT,
        }
    }

    /// The text of a PDF: its pages in order, an empty line between them.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn text_of(&self, pdf: &[u8]) -> Result<String, Unreadable> {
        if pdf.len() > MAX_BYTES {
            return Err(Unreadable::TooLarge);
        }
        let reader = timeout(self.wait, self.readers.acquire()).await.map_err(|_| Unreadable::Busy)?;
        let _reader = reader.map_err(|_| Unreadable::NoReader)?;
        // Dropping the attempt kills the process.
        timeout(self.wait, self.read(pdf)).await.map_err(|_| Unreadable::TooSlow)?
    }

    async fn read(&self, pdf: &[u8]) -> Result<String, Unreadable> {
        let mut command = Command::new(&self.program);
        command.arg(worker::ARGUMENT).env_clear().current_dir("/").kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| {
            tracing::error!(%error, "no process can be started to read a document");
            Unreadable::NoReader
        })?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Unreadable::NoReader);
        };
        let feed = async move {
            // A reader that has seen enough closes its end; its exit code says why.
            let _closed = stdin.write_all(pdf).await;
        };
        let mut text = Vec::new();
        let mut stdout = stdout.take(MAX_TEXT_BYTES as u64 + 1);
        let ((), taken) = tokio::join!(feed, stdout.read_to_end(&mut text));
        taken.map_err(|_| Unreadable::NoReader)?;
        if text.len() > MAX_TEXT_BYTES {
            return Err(Unreadable::TooMuchText);
        }
        let status = child.wait().await.map_err(|_| Unreadable::NoReader)?;
        if !status.success() {
            return Err(Unreadable::of_exit_code(status.code()));
        }
        String::from_utf8(text).map_err(|_| Unreadable::Broken)
    }
}

/// The running program, also when the file it was started from has been replaced.
fn this_program() -> PathBuf {
    let link = PathBuf::from("/proc/self/exe");
    if link.exists() { link } else { std::env::current_exe().unwrap_or_else(|_| PathBuf::from("unified-gateway")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_an_exit_code_of_its_own() {
        for reason in Unreadable::ALL {
            assert_eq!(Unreadable::of_exit_code(Some(i32::from(reason.exit_code()))), reason);
        }
        for other in [None, Some(1), Some(101), Some(134)] {
            let is_known = other == Some(i32::from(Unreadable::Broken.exit_code()));
            assert!(is_known || Unreadable::of_exit_code(other) == Unreadable::Broken);
        }
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_no_fault_of_the_document() {
        let documents = Documents::new(Some(PathBuf::from("/nowhere/reader")));
        assert_eq!(documents.text_of(b"%PDF-1.7").await, Err(Unreadable::NoReader));
        let large = vec![0; MAX_BYTES + 1];
        assert_eq!(documents.text_of(&large).await, Err(Unreadable::TooLarge));
    }

    #[tokio::test]
    async fn a_document_does_not_wait_for_ever_for_a_reader() {
        let wait = Duration::from_millis(5);
        let documents = Documents { program: PathBuf::from("/nowhere"), readers: Arc::new(Semaphore::new(0)), wait };
        assert_eq!(documents.text_of(b"%PDF-1.7").await, Err(Unreadable::Busy));
    }
}
