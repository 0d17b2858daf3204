//! The secrets of embedded mode: generated on first start, kept in `DATA_DIR`, read back ever after.
//!
//! A file that is there but cannot be used stops the start; it is never replaced, for with the encryption key all stored
//! credentials would be lost. The caller holds the folder's lock, so no second process is at work in it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use zeroize::Zeroizing;

use super::key_hex::{read_key, write_key};
use super::security::SINGLE_KEY_ID;
use crate::fault::{Fault, Kind, Outcome};
use crate::vault::{Entropy, KeyId, Keyring, random_base62};

const MASTER_KEY_FILE: &str = "master_key";
const MASTER_KEY_PREFIX: &str = "mk-";
const MASTER_KEY_RANDOM_CHARS: usize = 43;
const ENCRYPTION_KEY_FILE: &str = "credentials_encryption_key";
/// No secret is nearly as long; what is longer is not ours and is not read.
const MAX_FILE_BYTES: u64 = 4096;

/// Secrets that the settings gave. They win, and nothing is generated in their place.
#[derive(Debug, Default)]
pub struct GivenSecrets {
    /// `MASTER_KEY`.
    pub master_key: Option<SecretString>,
    /// `CREDENTIALS_ENCRYPTION_KEY` or `ENCRYPTION_KEYRING`.
    pub keyring: Option<Keyring>,
}

/// The secrets to run with.
#[derive(Debug)]
pub struct EmbeddedSecrets {
    /// The operator's key.
    pub master_key: SecretString,
    /// Whether it was generated just now, so that the operator must be told.
    pub master_key_is_new: bool,
    /// The file that has it; `None` when the settings gave it.
    pub master_key_path: Option<PathBuf>,
    /// The encryption keys.
    pub keyring: Keyring,
    /// What is unwise about the files, in sentences for the log.
    pub warnings: Vec<String>,
}

/// Takes the given secrets, reads the others from `dir`, and generates those that are not there yet (files of mode 0600
/// in a folder of mode 0700, each complete or absent). `database_exists` says whether `dir` already has a database: then
/// a missing encryption key is not generated, since what is stored could not be decrypted with a new one.
///
/// # Errors
/// `unavailable`, naming the file, when one cannot be read, written or understood, or when the encryption key of an
/// existing database is missing.
pub fn load_or_create(
    dir: &Path,
    given: GivenSecrets,
    database_exists: bool,
    entropy: &dyn Entropy,
) -> Outcome<EmbeddedSecrets> {
    let mut warnings = Vec::new();
    let keyring = match given.keyring {
        Some(keyring) => keyring,
        None => encryption_key(dir, database_exists, entropy, &mut warnings)?,
    };
    let (master_key, master_key_is_new, master_key_path) = match given.master_key {
        Some(key) => (key, false, None),
        None => {
            let path = dir.join(MASTER_KEY_FILE);
            let (key, is_new) = master_key(&path, entropy, &mut warnings)?;
            (key, is_new, Some(path))
        }
    };
    Ok(EmbeddedSecrets { master_key, master_key_is_new, master_key_path, keyring, warnings })
}

fn encryption_key(
    dir: &Path,
    database_exists: bool,
    entropy: &dyn Entropy,
    warnings: &mut Vec<String>,
) -> Outcome<Keyring> {
    let path = dir.join(ENCRYPTION_KEY_FILE);
    let key = match find(&path, warnings)? {
        Some(text) => read_key(&text)
            .ok_or_else(|| unusable(&path, "does not hold a key (64 hexadecimal digits are expected)"))?,
        None if database_exists => {
            return Err(unusable(
                &path,
                "is missing, but there is a database beside it, whose stored credentials only that key can decrypt. \
                 Restore the file or set CREDENTIALS_ENCRYPTION_KEY; to start over, move the database away",
            ));
        }
        None => {
            let mut key = Zeroizing::new([0; 32]);
            entropy.fill(&mut *key);
            create(&path, &write_key(&key))?;
            key
        }
    };
    let id = KeyId::parse(SINGLE_KEY_ID).ok_or(Kind::Internal)?;
    Ok(Keyring::single(id, &key))
}

fn master_key(path: &Path, entropy: &dyn Entropy, warnings: &mut Vec<String>) -> Outcome<(SecretString, bool)> {
    if let Some(text) = find(path, warnings)? {
        let sound = !text.is_empty() && !text.starts_with("unified-") && text.bytes().all(|b| b.is_ascii_graphic());
        return if sound {
            Ok((SecretString::from(text.as_str()), false))
        } else {
            Err(unusable(path, "does not hold a master key (one line of visible ASCII without spaces is expected)"))
        };
    }
    let text = Zeroizing::new([MASTER_KEY_PREFIX, &random_base62(MASTER_KEY_RANDOM_CHARS, entropy)].concat());
    create(path, &text)?;
    Ok((SecretString::from(text.as_str()), true))
}

/// The text of a secret's file without the line break at its end; `None` when there is no file.
fn find(path: &Path, warnings: &mut Vec<String>) -> Outcome<Option<Zeroizing<String>>> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(path, "cannot be read").because(error)),
    };
    if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
        return Err(unusable(path, "is not a file of the gateway's making"));
    }
    if is_open_to_others(&metadata) {
        warnings.push(format!("{} can be read by other users of this machine: run chmod 600 on it", path.display()));
    }
    let text = fs::read_to_string(path).map_err(|error| unusable(path, "cannot be read").because(error))?;
    let text = Zeroizing::new(text);
    Ok(Some(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())))
}

/// Writes a new file that is complete once it has its name: a crash leaves the temporary file or the whole one.
fn create(path: &Path, text: &str) -> Outcome<()> {
    write_new(path, text).map_err(|error| unusable(path, &format!("cannot be created: {error}")).because(error))
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    create_dir(dir)?;
    let temporary = path.with_extension("new");
    match fs::remove_file(&temporary) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut file = private_file(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(dir)?.sync_all()
}

#[cfg(unix)]
fn create_dir(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(unix)]
fn private_file(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(unix)]
fn is_open_to_others(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o077 != 0
}

fn unusable(path: &Path, complaint: &str) -> Fault {
    Fault::new(Kind::Unavailable).say(format!("{} {complaint}.", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret;

    use super::*;
    use crate::vault::{Purpose, SystemEntropy};

    fn load(dir: &Path, database_exists: bool) -> Outcome<EmbeddedSecrets> {
        load_or_create(dir, GivenSecrets::default(), database_exists, &SystemEntropy)
    }

    #[test]
    fn secrets_are_generated_once_for_their_owner_alone_and_read_back() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("data");
        let first = load(&dir, false).unwrap();
        assert!(first.master_key_is_new);
        let key = first.master_key.expose_secret();
        assert!(key.starts_with("mk-") && key.len() == 46 && key[3..].bytes().all(|b| b.is_ascii_alphanumeric()));
        for name in [MASTER_KEY_FILE, ENCRYPTION_KEY_FILE] {
            let mode = fs::metadata(dir.join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 2, "nothing temporary is left");

        let sealed = first.keyring.seal(Purpose::DeploymentCredentials, b"row", b"text", &SystemEntropy).unwrap();
        let second = load(&dir, true).unwrap();
        assert!(!second.master_key_is_new && second.warnings.is_empty());
        assert_eq!(second.master_key.expose_secret(), key);
        assert_eq!(second.master_key_path, Some(dir.join(MASTER_KEY_FILE)));
        assert_eq!(second.keyring.open(Purpose::DeploymentCredentials, b"row", &sealed).unwrap().as_slice(), b"text");
    }

    #[test]
    fn given_secrets_win_and_nothing_is_generated() {
        let dir = tempfile::tempdir().unwrap();
        let keyring = Keyring::single(KeyId::parse("k1").unwrap(), &Zeroizing::new([7; 32]));
        let given = GivenSecrets { master_key: Some("given".into()), keyring: Some(keyring) };
        let secrets = load_or_create(dir.path(), given, true, &SystemEntropy).unwrap();
        assert_eq!(secrets.master_key.expose_secret(), "given");
        assert!(!secrets.master_key_is_new && secrets.master_key_path.is_none());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_database_without_its_encryption_key_stops_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let fault = load(dir.path(), true).unwrap_err();
        assert!(fault.message().contains(ENCRYPTION_KEY_FILE) && fault.message().contains("is missing"), "{fault}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "no key was made in its place");
    }

    #[test]
    fn a_garbled_file_is_named_and_left_as_it_is() {
        let half_a_key = "0123456789abcdef";
        for (name, text) in [
            (ENCRYPTION_KEY_FILE, ""),
            (ENCRYPTION_KEY_FILE, half_a_key),
            (MASTER_KEY_FILE, ""),
            (MASTER_KEY_FILE, "two words"),
            (MASTER_KEY_FILE, "unified-abc"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            let fault = load(dir.path(), false).unwrap_err();
            assert!(fault.message().contains(name), "{fault}");
            assert!(text.is_empty() || !format!("{fault:?}").contains(text), "the text is not echoed");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn what_is_not_a_readable_file_is_a_fault() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(MASTER_KEY_FILE)).unwrap();
        assert!(load(dir.path(), false).unwrap_err().message().contains("is not a file"));
        let file = tempfile::NamedTempFile::new().unwrap();
        let fault = load(&file.path().join("below-a-file"), false).unwrap_err();
        assert!(fault.message().contains(ENCRYPTION_KEY_FILE), "{fault}");
    }

    #[test]
    fn a_half_written_file_of_a_crashed_start_is_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("master_key.new"), "mk-ha").unwrap();
        assert_eq!(load(dir.path(), false).unwrap().master_key.expose_secret().len(), 46);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_file_that_others_can_read_is_warned_of() {
        let dir = tempfile::tempdir().unwrap();
        load(dir.path(), false).unwrap();
        let path = dir.path().join(MASTER_KEY_FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let warnings = load(dir.path(), true).unwrap().warnings;
        assert!(matches!(warnings.as_slice(), [one] if one.contains(MASTER_KEY_FILE)), "{warnings:?}");
    }
}
