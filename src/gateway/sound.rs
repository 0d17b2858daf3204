//! How long an uploaded sound is, by what its file says of itself. Whatever is wrong with a file, this tells nothing and
//! harms nobody: it runs aside, reads no tags and no pictures, and is given up after a moment.

use std::time::Duration;

use lofty::config::{ParseOptions, ParsingMode};
use lofty::file::AudioFile as _;
use lofty::probe::Probe;

use crate::transport::Upload;

const PATIENCE: Duration = Duration::from_secs(2);

/// Milliseconds of sound; `None` when the file does not say, as WebM does not.
pub(super) async fn length_ms(upload: &Upload) -> Option<u64> {
    let reader = upload.reader();
    let reading = tokio::task::spawn_blocking(move || {
        let options = ParseOptions::new().read_tags(false).read_cover_art(false).parsing_mode(ParsingMode::Relaxed);
        let probe = Probe::new(std::io::BufReader::new(reader)).options(options).guess_file_type().ok()?;
        let length = probe.read().ok()?.properties().duration();
        u64::try_from(length.as_millis()).ok().filter(|ms| *ms > 0)
    });
    // A panic of the parser ends its own thread's work alone.
    tokio::time::timeout(PATIENCE, reading).await.ok()?.ok()?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Uploads;

    async fn length(content: &[u8]) -> Option<u64> {
        let folder = tempfile::tempdir().unwrap();
        let uploads = Uploads::new(folder.path().to_owned(), 1 << 24);
        let mut writer = uploads.create().await.unwrap();
        uploads.write(&mut writer, content).await.unwrap();
        length_ms(&writer.finish().await.unwrap()).await
    }

    /// One channel of 16 bits, 8,000 samples a second.
    fn wav(samples: u32) -> Vec<u8> {
        let bytes = samples * 2;
        let mut file = b"RIFF".to_vec();
        file.extend((bytes + 36).to_le_bytes());
        file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
        file.extend(8_000_u32.to_le_bytes());
        file.extend(16_000_u32.to_le_bytes());
        file.extend(b"\x02\0\x10\0data");
        file.extend(bytes.to_le_bytes());
        file.resize(file.len() + bytes as usize, 0);
        file
    }

    #[tokio::test]
    async fn a_file_tells_its_length_and_garbage_tells_nothing() {
        assert_eq!(length(&wav(12_000)).await, Some(1_500));
        let whole = wav(8_000);
        for garbage in
            [&b""[..], b"RIFF", &whole[..40], b"ID3\x04\0\0\x7f\x7f\x7f\x7f", b"\xff\xfb\x90", b"OggS\0", b"fLaC"]
        {
            assert_eq!(length(garbage).await, None, "{garbage:?}");
        }
        // Every byte of a head turned around: nothing hangs and nothing panics through.
        for at in 0..44 {
            let mut bent = whole.clone();
            bent[at] ^= 0xff;
            length(&bent).await;
        }
    }
}
