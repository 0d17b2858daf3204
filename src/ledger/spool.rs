//! Records on disk while the store is away: one line each, with a checksum, in order. What was stored and is stored again
//! does no harm, so nothing is noted of how far a replay has come.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::domain::record::OperationRecord;

/// Most bytes on disk.
pub const MOST_BYTES: u64 = 1 << 30;
/// Processes that may have the same folder.
const PLACES: u32 = 16;
/// Longest line that is read.
const LONGEST_LINE: u64 = 4 << 20;

/// A file of records that wait for the store.
#[derive(Debug)]
pub struct Spool {
    file: File,
    most_bytes: u64,
    /// Where what waits begins, and where it ends.
    start: u64,
    end: u64,
    /// Whether what is written is forced to the disk.
    syncs: bool,
}

impl Spool {
    /// Opens a file in `folder` that no other process has, and takes over what ended processes left there.
    ///
    /// # Errors
    /// When the folder cannot be made or written to, or all places in it are taken.
    pub fn open(folder: &Path, most_bytes: u64) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut own: Option<Self> = None;
        for place in 1..=PLACES {
            let path = folder.join(format!("records-{place}.spool"));
            if own.is_some() && !path.exists() {
                continue;
            }
            let file = private(&path)?;
            if file.try_lock().is_err() {
                continue;
            }
            match &mut own {
                None => own = Some(Self::of(file, most_bytes)?),
                Some(own) => own.take_over(file, &path)?,
            }
        }
        own.ok_or_else(|| io::Error::other("other processes have all places in it"))
    }

    fn of(mut file: File, most_bytes: u64) -> io::Result<Self> {
        let mut end = file.seek(SeekFrom::End(0))?;
        if end > 0 {
            let mut last = [0];
            file.seek(SeekFrom::Start(end - 1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                // The last line was cut off; the next one begins after it.
                file.seek(SeekFrom::Start(end))?;
                file.write_all(b"\n")?;
                end += 1;
            }
        }
        Ok(Self { file, most_bytes, start: 0, end, syncs: true })
    }

    fn take_over(&mut self, mut from: File, path: &PathBuf) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.end))?;
        from.seek(SeekFrom::Start(0))?;
        let copied = io::copy(&mut from, &mut self.file)?;
        self.file.write_all(b"\n")?;
        self.file.sync_data()?;
        self.end += copied + 1;
        std::fs::remove_file(path)
    }

    /// The same where the death of the process is survived, and a loss of power may take the last moments.
    #[must_use]
    pub fn without_sync(self) -> Self {
        Self { syncs: false, ..self }
    }

    /// Where what waits begins.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Where it ends.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    fn sync(&self) -> io::Result<()> {
        if self.syncs { self.file.sync_data() } else { Ok(()) }
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    /// Bytes that wait.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Adds [`lines`]; they are on the disk when this returns. `false`: there is no room, and nothing was added.
    ///
    /// # Errors
    /// The disk's; what was added in part does not count.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<bool> {
        let length = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        if self.end.saturating_add(length) > self.most_bytes {
            return Ok(false);
        }
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(lines)?;
        self.sync()?;
        self.end += length;
        Ok(true)
    }

    /// The oldest records, at most so many, and where what follows them begins. Lines that are damaged are passed over.
    ///
    /// # Errors
    /// The disk's.
    pub fn oldest(&mut self, most: usize) -> io::Result<(Vec<OperationRecord>, u64)> {
        let mut next = self.start;
        self.file.seek(SeekFrom::Start(next))?;
        let mut reader = BufReader::new((&mut self.file).take(self.end - self.start));
        let (mut records, mut line) = (Vec::new(), Vec::new());
        while records.len() < most {
            line.clear();
            let length = (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line)?;
            if length == 0 {
                break;
            }
            next += u64::try_from(length).unwrap_or_default();
            match read(&line) {
                Some(record) => records.push(record),
                None if line == b"\n" => {}
                None => tracing::error!(bytes = length, "a record on disk is damaged and is lost"),
            }
        }
        Ok((records, next))
    }

    /// What is before `next` is stored.
    ///
    /// # Errors
    /// The disk's.
    pub fn stored_up_to(&mut self, next: u64) -> io::Result<()> {
        self.start = next;
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
            self.file.set_len(0)?;
            self.sync()?;
        }
        Ok(())
    }
}

/// Records as they are on disk.
///
/// # Errors
/// When one has no JSON form.
pub fn lines<'a>(records: impl IntoIterator<Item = &'a OperationRecord>) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for record in records {
        let json = serde_json::to_string(record).map_err(io::Error::other)?;
        writeln!(lines, "{:08x} {json}", crc32fast::hash(json.as_bytes()))?;
    }
    Ok(lines)
}

/// A file that only its owner reads.
fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn read(line: &[u8]) -> Option<OperationRecord> {
    let text = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (sum, json) = text.split_once(' ')?;
    let sum = u32::from_str_radix(sum, 16).ok()?;
    (crc32fast::hash(json.as_bytes()) == sum).then(|| serde_json::from_str(json).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str) -> OperationRecord {
        OperationRecord { id: id.to_owned(), ..OperationRecord::default() }
    }

    fn all(spool: &mut Spool) -> Vec<String> {
        let mut ids = Vec::new();
        while !spool.is_empty() {
            let (records, next) = spool.oldest(2).unwrap();
            ids.extend(records.into_iter().map(|record| record.id));
            spool.stored_up_to(next).unwrap();
        }
        ids
    }

    #[test]
    fn what_waits_comes_back_in_order_and_survives_the_process() {
        let folder = tempfile::TempDir::new().unwrap();
        let mut spool = Spool::open(folder.path(), MOST_BYTES).unwrap();
        assert!(spool.append(&lines(&["a", "b", "c"].map(record)).unwrap()).unwrap());
        assert!(spool.append(&lines(&[record("d")]).unwrap()).unwrap());
        drop(spool);
        let mut spool = Spool::open(folder.path(), MOST_BYTES).unwrap();
        assert_eq!(all(&mut spool), ["a", "b", "c", "d"]);
        assert_eq!(spool.bytes(), 0);
        assert!(spool.append(&lines(&[record("e")]).unwrap()).unwrap());
        assert_eq!(all(&mut spool), ["e"]);
    }

    #[test]
    fn a_damaged_line_costs_only_itself() {
        let folder = tempfile::TempDir::new().unwrap();
        let mut spool = Spool::open(folder.path(), MOST_BYTES).unwrap();
        assert!(spool.append(&lines(&["a", "b", "c"].map(record)).unwrap()).unwrap());
        drop(spool);
        let path = folder.path().join("records-1.spool");
        let text = std::fs::read_to_string(&path).unwrap().replace("\"id\":\"b\"", "\"id\":\"x\"");
        // The last line was cut off, as by a loss of power.
        std::fs::write(&path, &text[..text.len() - 5]).unwrap();
        let mut spool = Spool::open(folder.path(), MOST_BYTES).unwrap();
        assert!(spool.append(&lines(&[record("d")]).unwrap()).unwrap());
        assert_eq!(all(&mut spool), ["a", "d"]);
    }

    #[test]
    fn two_processes_have_a_file_each_and_the_living_inherits_from_the_dead() {
        let folder = tempfile::TempDir::new().unwrap();
        let mut first = Spool::open(folder.path(), MOST_BYTES).unwrap();
        let mut second = Spool::open(folder.path(), MOST_BYTES).unwrap();
        assert!(
            first.append(&lines(&[record("a")]).unwrap()).unwrap()
                && second.append(&lines(&[record("b")]).unwrap()).unwrap()
        );
        drop((first, second));
        let mut third = Spool::open(folder.path(), MOST_BYTES).unwrap();
        assert_eq!(all(&mut third), ["a", "b"]);
    }

    #[test]
    fn a_full_spool_takes_nothing_more() {
        let folder = tempfile::TempDir::new().unwrap();
        let mut spool = Spool::open(folder.path(), 2_000).unwrap();
        let mut count = 0;
        while spool.append(&lines(&[record("a")]).unwrap()).unwrap() {
            count += 1;
        }
        assert!(count > 0 && spool.bytes() <= 2_000);
        assert_eq!(all(&mut spool).len(), count);
    }
}
