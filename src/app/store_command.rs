//! `migrate` and `rotate-encryption`.

use std::io::Write;

use super::storage::{Secrets, Storage};
use crate::config::Config;
use crate::control::encryption::rotate;
use crate::fault::{Fault, Kind, Outcome};
use crate::vault::SystemEntropy;

/// Brings the schema up to date.
///
/// # Errors
/// `Unavailable`, with what is wrong.
pub(super) async fn migrate(config: Config) -> Outcome<()> {
    let (storage, _) = Storage::open_for_command(config).await?;
    let migrated = storage.migrate().await;
    storage.close().await;
    migrated?;
    say("The schema is up to date.\n")
}

/// Encrypts stored credentials and responses anew with the active key.
///
/// # Errors
/// `Unavailable` when the store is; `Internal` when rows are left that cannot be read: they are named.
pub(super) async fn rotate_encryption(config: Config) -> Outcome<()> {
    let (storage, Secrets { keyring, .. }) = Storage::open_for_command(config).await?;
    let rotated = rotate(&storage.stores(), &keyring, &SystemEntropy).await;
    storage.close().await;
    let rotation = rotated?;
    let mut text = format!(
        "Active key {:?}: {} envelopes encrypted anew, {} had it already, {} were written by others meanwhile.\n",
        keyring.active().as_str(),
        rotation.resealed,
        rotation.current,
        rotation.overtaken
    );
    for (id, reason) in &rotation.unreadable {
        text.push_str(&format!("left as it is: {id} {reason}\n"));
    }
    say(&text)?;
    if rotation.unreadable.is_empty() {
        return Ok(());
    }
    let count = rotation.unreadable.len();
    Err(Fault::new(Kind::Unavailable).say(format!("{count} envelopes could not be read; they are left as they are.")))
}

fn say(text: &str) -> Outcome<()> {
    std::io::stdout().write_all(text.as_bytes()).map_err(|error| Fault::new(Kind::Unavailable).because(error))
}
