//! Blanks what looks like a secret in text that others wrote, before it is shown or kept.
//!
//! The rules lean towards blanking: a lost word in a provider's message is cheaper than a leaked key. What they know:
//! keys by their prefix, long random-looking runs, values after a telling name (`api-key: …`, `?sig=…`), what follows
//! `Bearer` or `Basic`, and user info in URLs.

/// What stands in the place of a secret.
pub const BLANK: &str = "[redacted]";

/// How the keys of providers and services begin, and how many characters follow at least. Masked keys (`sk-…***…`) count.
const PREFIXES: [(&str, usize); 21] = [
    ("sk-", 8),
    ("sk_", 8),
    ("pk-", 16),
    ("mk-", 16),
    ("unified-", 20),
    ("AIza", 20),
    ("AKIA", 16),
    ("ASIA", 16),
    ("ya29.", 10),
    ("GOCSPX-", 10),
    ("gsk_", 8),
    ("xai-", 16),
    ("hf_", 16),
    ("r8_", 16),
    ("pplx-", 16),
    ("nvapi-", 16),
    ("tgp_", 16),
    ("fw_", 16),
    ("csk-", 16),
    ("ghp_", 16),
    ("eyJ", 20),
];
/// A run of letters and digits at least this long, mixed like dice throw them, is a key rather than a word.
const RANDOM_RUN: usize = 32;
/// Names whose value is a secret, after `:` and `=` alike. Compared in lower case with `_` as `-`.
const TELLING: [&str; 17] = [
    "api-key",
    "apikey",
    "x-api-key",
    "x-goog-api-key",
    "ocp-apim-subscription-key",
    "subscription-key",
    "authorization",
    "proxy-authorization",
    "access-token",
    "refresh-token",
    "id-token",
    "secret",
    "client-secret",
    "password",
    "passwd",
    "cookie",
    "set-cookie",
];
/// Headers whose value has spaces and semicolons in it (`Authorization: Scheme value`): blanked up to a quote or line end.
const TO_END_OF_LINE: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "set-cookie"];
/// Ends of longer names whose value is a secret: `x-amz-security-token`, `aws-secret-access-key`.
const TELLING_ENDS: [&str; 6] = ["-api-key", "-secret", "-secret-key", "-access-key", "-security-token", "-password"];
/// Names that are telling only as `name=value`, as in a query; with `:` they are prose ("unexpected token: …").
const TELLING_IN_QUERIES: [&str; 9] = [
    "key",
    "token",
    "sig",
    "signature",
    "code",
    "x-amz-signature",
    "x-amz-credential",
    "x-goog-signature",
    "x-goog-credential",
];
const SCHEMES: [&str; 2] = ["bearer", "basic"];
/// What follows `Bearer` or `Basic` in prose.
const PROSE: [&str; 8] = ["token", "tokens", "auth", "authentication", "authorization", "scheme", "header", "is"];

/// `text` with everything that looks like a secret replaced by [`BLANK`].
#[must_use]
pub fn redact(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if !is_word(first) {
            shown.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let word = prefix_of(rest, is_word);
        let (kept, blanked) = secret_at(rest, word).unwrap_or((word.len(), 0));
        shown.push_str(&rest[..kept]);
        if blanked > 0 {
            shown.push_str(BLANK);
        }
        rest = &rest[kept + blanked..];
    }
    shown
}

/// Where `text`, which begins with `word`, has a secret: bytes to keep, then bytes to blank.
fn secret_at(text: &str, word: &str) -> Option<(usize, usize)> {
    user_info(text, word)
        .or_else(|| named(text, word))
        .or_else(|| after_scheme(text, word))
        .or_else(|| shaped(text, word).map(|length| (0, length)))
}

/// `scheme://user:password@host`: everything between the slashes and the `@`.
fn user_info(text: &str, scheme: &str) -> Option<(usize, usize)> {
    let after = text[scheme.len()..].strip_prefix("://")?;
    let authority = prefix_of(after, |c| !matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>') && !c.is_whitespace());
    let end = authority.rfind('@')?;
    (end > 0).then_some((scheme.len() + "://".len(), end))
}

/// `name: value`, `"name": "value"`, `name=value`.
fn named(text: &str, word: &str) -> Option<(usize, usize)> {
    let name = word.to_ascii_lowercase().replace('_', "-");
    let telling = TELLING.contains(&name.as_str()) || TELLING_ENDS.iter().any(|end| name.ends_with(end));
    let in_queries = telling || TELLING_IN_QUERIES.contains(&name.as_str());
    let mut at = word.len();
    at += prefix_of(&text[at..], |c| matches!(c, '"' | '\'' | '\\' | ' ')).len();
    match text[at..].chars().next()? {
        '=' if in_queries => at += 1,
        ':' if telling => at += 1,
        _ => return None,
    }
    at += prefix_of(&text[at..], |c| matches!(c, '"' | '\'' | '\\' | ' ')).len();
    let value = &text[at..];
    if value.starts_with(BLANK) {
        return None;
    }
    let first = prefix_of(value, is_word);
    if is_scheme(first) && value[first.len()..].starts_with(' ') {
        return after_scheme(value, first).map(|(kept, blanked)| (at + kept, blanked));
    }
    let length = if TO_END_OF_LINE.contains(&name.as_str()) {
        prefix_of(value, |c| !matches!(c, '"' | '\'' | '\\' | '\r' | '\n')).len()
    } else {
        prefix_of(value, is_value).len()
    };
    (length > 0).then_some((at, length))
}

/// `Bearer value`, `Basic value`.
fn after_scheme(text: &str, word: &str) -> Option<(usize, usize)> {
    if !is_scheme(word) {
        return None;
    }
    let gap = prefix_of(&text[word.len()..], |c| c == ' ').len();
    let at = word.len() + gap;
    if text[at..].starts_with(BLANK) {
        return None;
    }
    let value = prefix_of(&text[at..], is_value);
    let bare = value.trim_end_matches(['.', ':', '!', '?']);
    let is_prose = PROSE.iter().any(|word| word.eq_ignore_ascii_case(bare));
    // "Basic" is also an everyday word; its values are base64 and hardly ever all lower case.
    let is_everyday = word.eq_ignore_ascii_case("basic") && bare.bytes().all(|byte| byte.is_ascii_lowercase());
    (gap > 0 && !value.is_empty() && !is_prose && !is_everyday).then_some((at, value.len()))
}

fn is_scheme(word: &str) -> bool {
    SCHEMES.iter().any(|scheme| scheme.eq_ignore_ascii_case(word))
}

/// The length of a key that is known by its looks at the start of `text`, which begins with `word`. Looks further than
/// the word only to blank, or where a known prefix says so: hostile text is not read again from every word.
fn shaped(text: &str, word: &str) -> Option<usize> {
    let run = || {
        let belongs = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*' | '…');
        prefix_of(text, belongs).trim_end_matches('.')
    };
    let by_prefix = PREFIXES.iter().any(|(prefix, more)| {
        text.starts_with(prefix) && {
            let rest = run().get(prefix.len()..).unwrap_or_default();
            rest.len() >= *more && !is_plain_name(rest)
        }
    });
    let random = || word.split(['-', '_']).any(looks_random);
    (by_prefix || random()).then(|| run().len())
}

/// Words joined by dashes, such as the rest of `pk-something-readable`: letters only, none of the pieces long.
fn is_plain_name(text: &str) -> bool {
    text.split('-').all(|piece| piece.len() < 12 && !piece.is_empty() && piece.bytes().all(|b| b.is_ascii_lowercase()))
}

fn looks_random(run: &str) -> bool {
    let has = |wanted: fn(&u8) -> bool| run.as_bytes().iter().any(wanted);
    let mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    let hex = run.bytes().all(|byte| byte.is_ascii_hexdigit());
    run.len() >= RANDOM_RUN && has(u8::is_ascii_digit) && (mixed || hex)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}

fn is_value(c: char) -> bool {
    !c.is_whitespace()
        && !matches!(c, '"' | '\'' | '\\' | ',' | ';' | '&' | '#' | '<' | '>' | '(' | ')' | '{' | '}' | ']')
}

/// The longest beginning of `text` of such characters.
fn prefix_of(text: &str, belongs: impl Fn(char) -> bool) -> &str {
    let end = text.find(|c: char| !belongs(c)).unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_are_blanked_and_the_words_around_them_kept() {
        for (text, shown) in [
            (
                "Incorrect API key provided: sk-proj-abcd1234efgh. See docs.",
                "Incorrect API key provided: [redacted]. See docs.",
            ),
            ("Incorrect API key provided: sk-abcd*****wxyz.", "Incorrect API key provided: [redacted]."),
            ("invalid x-api-key: sk-ant-api03-AbCdEf, sorry", "invalid x-api-key: [redacted], sorry"),
            ("Authorization: Bearer abc.def-ghi rejected", "Authorization: Bearer [redacted] rejected"),
            ("authorization: Basic dXNlcjpwYXNz", "authorization: Basic [redacted]"),
            ("Authorization: ApiKey hunter2\nnext line", "Authorization: [redacted]\nnext line"),
            ("{'cookie': 'a=hunter2; b=3'}", "{'cookie': '[redacted]'}"),
            ("sent 'Bearer opaque'", "sent 'Bearer [redacted]'"),
            (r#"{"api_key":"hunter2","model":"m"}"#, r#"{"api_key":"[redacted]","model":"m"}"#),
            (r#"{\"password\": \"hunter2\"}"#, r#"{\"password\": \"[redacted]\"}"#),
            ("api-key = hunter2", "api-key = [redacted]"),
            ("key unified-0123456789abcdefghijKLMNOP is unknown", "key [redacted] is unknown"),
            ("master mk-0123456789abcdefghijKLMNOP", "master [redacted]"),
            ("AKIAIOSFODNN7EXAMPLE is not authorized", "[redacted] is not authorized"),
            ("key AIzaSyA1234567890abcdefghijklmnopqrstuv!", "key [redacted]!"),
            ("token ya29.a0AfH6SMBxyz_12", "token [redacted]"),
            ("aws_secret_access_key=wJalr/K7MDENG+b", "aws_secret_access_key=[redacted]"),
            ("https://user:pass@host.example/v1?a=b", "https://[redacted]@host.example/v1?a=b"),
            ("redis://:hunter2@cache:6379", "redis://[redacted]@cache:6379"),
            ("GET https://h/v1?key=abc&alt=sse failed", "GET https://h/v1?key=[redacted]&alt=sse failed"),
            ("https://h/b?sv=1&sig=a%2Fb%3D&se=2", "https://h/b?sv=1&sig=[redacted]&se=2"),
            (
                "?X-Amz-Signature=deadbeef&X-Amz-Security-Token=tok",
                "?X-Amz-Signature=[redacted]&X-Amz-Security-Token=[redacted]",
            ),
            ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln end", "jwt [redacted] end"),
            ("the key 0123456789abcdef0123456789abcdef is wrong", "the key [redacted] is wrong"),
            ("clé: sk-0123456789 – non", "clé: [redacted] – non"),
        ] {
            assert_eq!(redact(text), shown);
            assert_eq!(redact(shown), shown, "a second pass changes nothing");
        }
    }

    #[test]
    fn a_long_hostile_text_is_read_in_linear_time_and_a_long_key_blanked_whole() {
        let hostile = "a.".repeat(500_000);
        assert_eq!(redact(&hostile), hostile);
        let key = format!("sk-{}", "a1B2".repeat(1_000));
        assert_eq!(redact(&format!("<{key}>")), "<[redacted]>");
    }

    #[test]
    fn ordinary_words_are_left_alone() {
        for text in [
            "",
            "Unified Gateway, unified-gateway and unified-gateway-production-cluster",
            "Invalid schema for function 'get_weather': 'type' must be 'object'.",
            "max_tokens: 4096 is above the limit",
            "Unexpected token: } at line 1",
            "Bearer token is missing. Basic tier, basic authentication.",
            "The model `meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8` does not exist",
            "ask-me-anything risk-assessment",
            "id 0192f0c1-7b3a-7c3e-9d8e-1f2a3b4c5d6e, chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG",
            "see https://example.com/docs?page=2#key-concepts or mail me@example.com",
            "messages.0.content: Input should be a valid string",
            "größer als erlaubt: 12 → 10",
        ] {
            assert_eq!(redact(text), text);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived_and_a_second_pass_changes_nothing(text in "\\PC{0,80}") {
            let once = redact(&text);
            prop_assert_eq!(redact(&once), once);
        }

        #[test]
        fn a_key_is_found_wherever_it_stands(
            before in "[ -~]{0,20}[ \"'=:(]",
            key in "sk-[a-zA-Z]{3}[0-9]{5}[a-zA-Z0-9]{12,40}",
            after in "[ \"'),][ -~]{0,20}",
        ) {
            let shown = redact(&format!("{before}{key}{after}"));
            prop_assert!(!shown.contains(&key), "{}", shown);
        }
    }
}
