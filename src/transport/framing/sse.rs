//! Server-sent events, cut out of a byte stream. Source: the WHATWG HTML standard, section 9.2.
//!
//! However the bytes are split (inside UTF-8, between CR and LF, mid-line), the frames are the same. Line ends may be LF,
//! CRLF or CR; a leading BOM is skipped. A frame is handed out as soon as its blank line is there. What is left at the end
//! of the stream without one is handed out too, since providers forget the last line end.

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

/// A frame grew beyond the cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is larger than {0} bytes")]
pub struct FrameTooLarge(pub usize);

/// One event, comment block or retry hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseFrame {
    /// The bytes as they came, blank line included.
    pub raw: Bytes,
    /// The `event` field, where there is one.
    pub event: Option<Bytes>,
    /// The `data` lines joined by LF. `None` when the frame has none (a comment).
    pub data: Option<Bytes>,
}

/// Cuts frames. Feed it with [`SseFramer::push`], then take frames until there is none.
#[derive(Debug)]
pub struct SseFramer {
    buffer: BytesMut,
    /// Where the line being read starts.
    line_start: usize,
    /// Up to where the buffer has been searched for a line end.
    searched: usize,
    /// The last line ended with CR at the end of the buffer: an LF that follows belongs to it.
    skip_lf: bool,
    /// Nothing was taken yet: a BOM may come.
    at_start: bool,
    cap: usize,
}

impl SseFramer {
    /// A framer that refuses frames above `cap` bytes.
    #[must_use]
    pub fn new(cap: usize) -> Self {
        Self { buffer: BytesMut::new(), line_start: 0, searched: 0, skip_lf: false, at_start: true, cap }
    }

    /// Adds what has arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame. `None`: more bytes are needed.
    ///
    /// # Errors
    /// [`FrameTooLarge`]; the framer is of no use afterwards.
    pub fn next_frame(&mut self) -> Result<Option<SseFrame>, FrameTooLarge> {
        if !self.skip_prefix() {
            return Ok(None);
        }
        while let Some(found) = self.buffer.get(self.searched..).and_then(|rest| memchr2(b'\n', b'\r', rest)) {
            let line_end = self.searched + found;
            let after = match (self.buffer.get(line_end), self.buffer.get(line_end + 1)) {
                (Some(b'\r'), Some(b'\n')) => line_end + 2,
                (Some(b'\r'), None) => {
                    self.skip_lf = true;
                    line_end + 1
                }
                _ => line_end + 1,
            };
            let is_blank = line_end == self.line_start;
            self.line_start = after;
            self.searched = after;
            if is_blank {
                let frame = self.take(after);
                if let Some(frame) = frame {
                    return Ok(Some(frame));
                }
            }
            if self.skip_lf && !self.skip_prefix() {
                return Ok(None);
            }
        }
        self.searched = self.buffer.len();
        if self.buffer.len() > self.cap {
            return Err(FrameTooLarge(self.cap));
        }
        Ok(None)
    }

    /// What is left when the stream has ended, if it has fields.
    pub fn finish(&mut self) -> Option<SseFrame> {
        if self.buffer.is_empty() {
            return None;
        }
        self.buffer.extend_from_slice(b"\n\n");
        let end = self.buffer.len();
        self.take(end)
    }

    /// Skips a BOM at the start and the LF of a split CRLF. `false`: more bytes are needed to tell.
    fn skip_prefix(&mut self) -> bool {
        if self.skip_lf {
            match self.buffer.get(self.searched) {
                None => return true,
                Some(b'\n') => {
                    // The LF ends the line that the CR ended; it starts no blank line.
                    if self.line_start == 0 {
                        _ = self.buffer.split_to(1);
                    } else {
                        self.line_start += 1;
                        self.searched += 1;
                    }
                }
                Some(_) => {}
            }
            self.skip_lf = false;
        }
        if self.at_start {
            const BOM: &[u8] = b"\xEF\xBB\xBF";
            if self.buffer.len() < BOM.len() && BOM.starts_with(&self.buffer) {
                return false;
            }
            if self.buffer.starts_with(BOM) {
                _ = self.buffer.split_to(BOM.len());
            }
            self.at_start = false;
        }
        true
    }

    /// Cuts the frame off the buffer. `None` when it is nothing but blank lines.
    fn take(&mut self, end: usize) -> Option<SseFrame> {
        let raw = self.buffer.split_to(end).freeze();
        self.line_start = 0;
        self.searched = 0;
        parse(raw)
    }
}

fn parse(raw: Bytes) -> Option<SseFrame> {
    let mut event = None;
    let mut data: Option<Bytes> = None;
    let mut joined: Option<BytesMut> = None;
    let mut is_blank = true;
    for line in lines(&raw) {
        if line.is_empty() {
            continue;
        }
        is_blank = false;
        let (name, value) = field(line);
        match name {
            b"data" => match (&data, &mut joined) {
                (None, _) => data = Some(raw.slice_ref(value)),
                (Some(first), None) => {
                    let mut lines = BytesMut::from(first.as_ref());
                    lines.extend_from_slice(b"\n");
                    lines.extend_from_slice(value);
                    joined = Some(lines);
                }
                (Some(_), Some(lines)) => {
                    lines.extend_from_slice(b"\n");
                    lines.extend_from_slice(value);
                }
            },
            b"event" => event = Some(raw.slice_ref(value)),
            // `id`, `retry` and comments mean nothing here; unknown fields are ignored by the standard.
            _ => {}
        }
    }
    if is_blank {
        return None;
    }
    let data = joined.map(BytesMut::freeze).or(data);
    Some(SseFrame { raw, event, data })
}

fn lines(raw: &[u8]) -> impl Iterator<Item = &[u8]> {
    raw.split(|byte| *byte == b'\n' || *byte == b'\r')
}

fn field(line: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b':', line) {
        None => (line, &[]),
        Some(colon) => {
            let (name, rest) = line.split_at(colon);
            let value = rest.get(1..).unwrap_or_default();
            (name, value.strip_prefix(b" ").unwrap_or(value))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Event = (Option<String>, Option<String>);

    fn text(bytes: &Bytes) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    fn read_in(pieces: &[&[u8]]) -> Vec<Event> {
        let mut framer = SseFramer::new(1 << 20);
        let mut events = Vec::new();
        let mut keep = |frame: SseFrame| events.push((frame.event.as_ref().map(text), frame.data.as_ref().map(text)));
        for piece in pieces {
            framer.push(piece);
            while let Some(frame) = framer.next_frame().unwrap() {
                keep(frame);
            }
        }
        if let Some(frame) = framer.finish() {
            keep(frame);
        }
        events
    }

    const STREAM: &str = "\u{feff}: hello\r\n\r\ndata: {\"a\":\"é\"}\n\nevent: x\rdata:two\rdata: lines\r\rdata\n\n\n\nid: 1\ndata: [DONE]";

    fn expected() -> Vec<Event> {
        let some = |text: &str| Some(text.to_owned());
        vec![
            (None, None),
            (None, some("{\"a\":\"é\"}")),
            (some("x"), some("two\nlines")),
            (None, some("")),
            (None, some("[DONE]")),
        ]
    }

    #[test]
    fn frames_are_the_same_wherever_the_stream_is_cut() {
        let bytes = STREAM.as_bytes();
        assert_eq!(read_in(&[bytes]), expected());
        for cut in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(cut);
            assert_eq!(read_in(&[head, tail]), expected(), "cut at {cut}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read_in(&single), expected());
    }

    #[test]
    fn a_frame_comes_out_as_soon_as_it_is_complete_even_after_a_lone_cr() {
        let mut framer = SseFramer::new(1024);
        framer.push(b"data: a\r\n\r");
        assert_eq!(framer.next_frame().unwrap().unwrap().data.unwrap(), "a");
        framer.push(b"\ndata: b\n\n");
        assert_eq!(framer.next_frame().unwrap().unwrap().data.unwrap(), "b");
        assert_eq!(framer.next_frame().unwrap(), None);
    }

    #[test]
    fn a_frame_beyond_the_cap_is_refused() {
        let mut framer = SseFramer::new(8);
        framer.push(b"data: 0123456789");
        assert_eq!(framer.next_frame(), Err(FrameTooLarge(8)));
    }

    proptest! {
        #[test]
        fn any_bytes_cut_anywhere_give_the_same_frames(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), Just(b'd'), any::<u8>()], 0..200),
            cuts in proptest::collection::vec(0_usize..200, 0..6),
        ) {
            let whole = read_in(&[&bytes]);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(&bytes[from..cut]);
                from = cut;
            }
            pieces.push(&bytes[from..]);
            prop_assert_eq!(read_in(&pieces), whole);
        }
    }
}
