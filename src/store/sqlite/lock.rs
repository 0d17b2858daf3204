//! One process per data directory.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use crate::fault::{Fault, Kind, Outcome};

const LOCK_FILE: &str = "gateway.lock";

/// The exclusive right to a data directory, held until this is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct DataDirLock {
    _file: File,
}

/// Creates the directory (mode 0700) when there is none and takes the exclusive right to it.
///
/// # Errors
/// `Unavailable` when another process holds it (its process id is named) or the directory cannot be written.
pub fn lock_data_dir(dir: &Path) -> Outcome<DataDirLock> {
    let unusable = |error: std::io::Error| {
        Fault::new(Kind::Unavailable)
            .say(format!("DATA_DIR {} cannot be created or written.", dir.display()))
            .because(error)
    };
    create_private_dir(dir).map_err(unusable)?;
    let path = dir.join(LOCK_FILE);
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(taken(dir, &mut file)),
        Err(TryLockError::Error(error)) => return Err(unusable(error)),
    }
    sign(&mut file).map_err(unusable)?;
    Ok(DataDirLock { _file: file })
}

fn create_private_dir(dir: &Path) -> std::io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

fn sign(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "{}", std::process::id())?;
    file.flush()
}

fn taken(dir: &Path, file: &mut File) -> Fault {
    let mut owner = String::new();
    // The holder may not have signed yet, and on some systems a locked file cannot be read.
    let pid = match file.read_to_string(&mut owner) {
        Ok(_) => owner.trim().parse::<u32>().ok(),
        Err(_) => None,
    };
    let by = pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
    Fault::new(Kind::Unavailable).say(format!("DATA_DIR {} is in use by another gateway process{by}.", dir.display()))
}
