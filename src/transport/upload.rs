//! What clients upload, on disk: files without a name, which the system removes when the last handle closes. So nothing of
//! them is left whatever ends the request, be it a refusal, a panic, a client that leaves, or a process that is killed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWriteExt;

use crate::fault::{Fault, Kind, Outcome};

/// So much of a file's beginning is kept in memory, for those who look what it is.
pub const HEAD_BYTES: usize = 4 * 1024;

/// Takes uploads. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Uploads {
    folder: PathBuf,
    max_bytes: u64,
    bytes: Arc<AtomicU64>,
}

/// A file under way.
#[derive(Debug)]
pub struct UploadWriter {
    file: tokio::fs::File,
    head: BytesMut,
    share: Share,
}

/// An uploaded file. Cloning shares it; the last clone removes it.
#[derive(Debug, Clone)]
pub struct Upload(Arc<Stored>);

#[derive(Debug)]
struct Stored {
    file: File,
    head: Bytes,
    share: Share,
}

/// Its part of the bytes on disk.
#[derive(Debug)]
struct Share {
    bytes: u64,
    all: Arc<AtomicU64>,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Uploads {
    /// Files in `folder`, which have at most `max_bytes` bytes together.
    #[must_use]
    pub fn new(folder: PathBuf, max_bytes: u64) -> Self {
        Self { folder, max_bytes, bytes: Arc::new(AtomicU64::new(0)) }
    }

    /// Bytes on disk now.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Begins a file.
    ///
    /// # Errors
    /// `Unavailable` when the folder takes no file.
    pub async fn create(&self) -> Outcome<UploadWriter> {
        let folder = self.folder.clone();
        let made = tokio::task::spawn_blocking(move || tempfile::tempfile_in(folder)).await;
        let file = made.map_err(io::Error::other).and_then(|made| made).map_err(no_room)?;
        let share = Share { bytes: 0, all: Arc::clone(&self.bytes) };
        Ok(UploadWriter { file: tokio::fs::File::from_std(file), head: BytesMut::new(), share })
    }

    /// Adds to a file.
    ///
    /// # Errors
    /// `Unavailable` when there is no room.
    pub async fn write(&self, writer: &mut UploadWriter, bytes: &[u8]) -> Outcome<()> {
        let added = bytes.len() as u64;
        let all = self.bytes.fetch_add(added, Ordering::Relaxed).saturating_add(added);
        writer.share.bytes += added;
        if all > self.max_bytes {
            let sentence = "The gateway is taking too many large files at the moment; try again shortly.";
            return Err(Fault::new(Kind::Unavailable).say(sentence).retry_after(Duration::from_secs(1)));
        }
        let missing = HEAD_BYTES.saturating_sub(writer.head.len()).min(bytes.len());
        writer.head.extend_from_slice(bytes.get(..missing).unwrap_or_default());
        writer.file.write_all(bytes).await.map_err(no_room)
    }
}

impl UploadWriter {
    /// Bytes so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.share.bytes
    }

    /// Ends the file.
    ///
    /// # Errors
    /// `Unavailable` when there is no room for the rest.
    pub async fn finish(mut self) -> Outcome<Upload> {
        self.file.flush().await.map_err(no_room)?;
        let file = self.file.into_std().await;
        Ok(Upload(Arc::new(Stored { file, head: self.head.freeze(), share: self.share })))
    }
}

fn no_room(error: io::Error) -> Fault {
    let sentence = "The gateway cannot keep the uploaded file at the moment; try again shortly.";
    Fault::new(Kind::Unavailable).say(sentence).retry_after(Duration::from_secs(1)).because(error)
}

impl Upload {
    /// Its size.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.share.bytes
    }

    /// What it begins with: [`HEAD_BYTES`] at most.
    #[must_use]
    pub fn head(&self) -> &Bytes {
        &self.0.head
    }

    /// A reader with a place of its own. It blocks.
    #[must_use]
    pub fn reader(&self) -> UploadReader {
        UploadReader { upload: self.clone(), at: 0 }
    }

    /// At most `most` bytes from `at`; fewer only at the end. It blocks.
    pub(super) fn read_at(&self, at: u64, most: usize) -> io::Result<Bytes> {
        let left = usize::try_from(self.bytes().saturating_sub(at)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; most.min(left)];
        read_exact_at(&self.0.file, &mut bytes, at)?;
        Ok(bytes.into())
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut bytes: &mut [u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let read = std::os::windows::fs::FileExt::seek_read(file, bytes, at)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes = &mut bytes[read..];
        at += read as u64;
    }
    Ok(())
}

/// Reads an upload from where it likes.
#[derive(Debug)]
pub struct UploadReader {
    upload: Upload,
    at: u64,
}

impl Read for UploadReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.upload.read_at(self.at, into.len())?;
        into.get_mut(..bytes.len()).unwrap_or_default().copy_from_slice(&bytes);
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }
}

impl Seek for UploadReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.upload.bytes().checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn kept(uploads: &Uploads, text: &[u8]) -> Upload {
        let mut writer = uploads.create().await.unwrap();
        for piece in text.chunks(3) {
            uploads.write(&mut writer, piece).await.unwrap();
        }
        writer.finish().await.unwrap()
    }

    #[tokio::test]
    async fn a_file_has_no_name_and_gives_its_room_back() {
        let folder = tempfile::tempdir().unwrap();
        let uploads = Uploads::new(folder.path().to_owned(), 100);
        let upload = kept(&uploads, b"hello world").await;
        assert_eq!((upload.bytes(), uploads.bytes(), &upload.head()[..]), (11, 11, &b"hello world"[..]));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a file can be seen");
        let again = upload.clone();
        drop(upload);
        let mut text = String::new();
        let mut reader = again.reader();
        reader.seek(SeekFrom::End(-5)).unwrap();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "world");
        drop((again, reader));
        assert_eq!(uploads.bytes(), 0);
    }

    #[tokio::test]
    async fn files_share_a_cap_and_a_folder_that_is_gone_is_said_so() {
        let folder = tempfile::tempdir().unwrap();
        let uploads = Uploads::new(folder.path().to_owned(), 10);
        let mut writer = uploads.create().await.unwrap();
        uploads.write(&mut writer, b"0123456789").await.unwrap();
        let refused = uploads.write(&mut writer, b"!").await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Unavailable);
        drop(writer);
        assert_eq!(uploads.bytes(), 0);
        let nowhere = Uploads::new(folder.path().join("nowhere"), 10);
        assert_eq!(nowhere.create().await.unwrap_err().kind(), Kind::Unavailable);
    }
}
