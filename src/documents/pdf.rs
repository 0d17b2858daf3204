//! PDF to text. Pure; bounded by its caller in memory and time.

use pdf_extract::{Document, PlainTextOutput, output_doc_page};

use super::{MAX_CHARS, MAX_PAGES, Unreadable};

/// The text of a document's pages, an empty line between them.
pub(super) fn text_of(bytes: &[u8]) -> Result<String, Unreadable> {
    let mut document = Document::load_mem(bytes).map_err(|_| Unreadable::Broken)?;
    // Many are encrypted against changes alone: the empty password opens them.
    if document.is_encrypted() && document.decrypt("").is_err() {
        return Err(Unreadable::Locked);
    }
    let pages = document.get_pages();
    if pages.len() > MAX_PAGES {
        return Err(Unreadable::TooManyPages);
    }
    let mut text = String::new();
    let mut chars = 0;
    for number in pages.keys() {
        let mut page = String::new();
        output_doc_page(&document, &mut PlainTextOutput::new(&mut page), *number).map_err(|_| Unreadable::Broken)?;
        let page = tidy(&page);
        if page.is_empty() {
            continue;
        }
        chars += page.chars().count() + 2;
        if chars > MAX_CHARS {
            return Err(Unreadable::TooMuchText);
        }
        if !text.is_empty() {
            text.push_str("\n\n");
        }
        text.push_str(&page);
    }
    if text.is_empty() { Err(Unreadable::NoText) } else { Ok(text) }
}

/// Lines without space at their ends, and at most one empty line in a row; no control characters.
fn tidy(page: &str) -> String {
    let mut tidied = String::with_capacity(page.len());
    let mut empty = 0;
    for line in page.lines() {
        let line: String = line.chars().filter(|c| !c.is_control() || *c == '\t').collect();
        let line = line.trim_end();
        if line.is_empty() {
            empty += 1;
            continue;
        }
        if !tidied.is_empty() {
            tidied.push_str(if empty > 0 { "\n\n" } else { "\n" });
        }
        empty = 0;
        tidied.push_str(line);
    }
    tidied
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_lose_the_space_around_their_lines() {
        for (page, tidied) in [
            ("\n\nHello  \n\n\n\nworld\u{0}\n", "Hello\n\nworld"),
            ("one\ntwo\tthree", "one\ntwo\tthree"),
            (" \n\n ", ""),
        ] {
            assert_eq!(tidy(page), tidied, "{page:?}");
        }
    }

    #[test]
    fn what_is_no_document_is_broken() {
        for bytes in [&b""[..], b"%PDF-1.7", b"%PDF-1.7\n%%EOF", b"hello"] {
            assert_eq!(text_of(bytes), Err(Unreadable::Broken), "{bytes:?}");
        }
    }
}
