//! Reads just enough Rust to tell which paths a source file uses: no macro expansion, no types, no dependencies.

use std::collections::BTreeSet;

/// Every path that the code reaches from the crate's root: its first two names at most. `path` is the file's own below
/// `src/`, which says where `super` leads.
pub(crate) fn paths_from_root(path: &str, code: &str) -> BTreeSet<Vec<String>> {
    let mut paths = BTreeSet::new();
    for root in ["crate", "unified_gateway"] {
        for (at, _) in code.match_indices(root) {
            if starts_word(code, at)
                && let Some(rest) = after_colons(&code[at + root.len()..])
            {
                collect_paths(rest, &[], &mut paths);
            }
        }
    }
    let depth = depth_of(path);
    for (at, _) in code.match_indices("super") {
        let before = code[..at].trim_end();
        let continues = before.ends_with("super::") || !starts_word(code, at);
        if !continues && let Some(rest) = after_supers(&code[at..], depth) {
            collect_paths(rest, &[], &mut paths);
        }
    }
    paths
}

/// How many `super::` lead from a file's module to the crate's root.
fn depth_of(path: &str) -> usize {
    path.trim_end_matches(".rs").split('/').filter(|part| *part != "mod").count()
}

/// What follows exactly `depth` times `super::`. `None` with another number.
fn after_supers(code: &str, depth: usize) -> Option<&str> {
    let mut rest = code;
    let mut count = 0;
    while let Some(next) = rest.strip_prefix("super").and_then(after_colons) {
        rest = next;
        count += 1;
    }
    (count == depth).then_some(rest)
}

fn after_colons(code: &str) -> Option<&str> {
    code.trim_start().strip_prefix("::").map(str::trim_start)
}

/// Reads `a::b`, `{a::b, c}` or `*` and notes each path, as far as two names go.
fn collect_paths(code: &str, before: &[&str], paths: &mut BTreeSet<Vec<String>>) {
    if let Some(group) = code.strip_prefix('{') {
        members(group).into_iter().for_each(|member| collect_paths(member.trim(), before, paths));
        return;
    }
    let end = code.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(code.len());
    let name = if code.starts_with('*') { "*" } else { &code[..end] };
    let mut parts = before.to_vec();
    parts.push(name);
    match after_colons(&code[end..]) {
        Some(rest) if parts.len() < 2 => collect_paths(rest, &parts, paths),
        Some(_) | None => {
            // `self` in a group is the name before it.
            parts.retain(|part| *part != "self" && !part.is_empty());
            if !parts.is_empty() {
                paths.insert(parts.into_iter().map(str::to_owned).collect());
            }
        }
    }
}

/// The members of a `{…}` group whose opening brace has been read.
fn members(group: &str) -> Vec<&str> {
    let (mut members, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                members.push(&group[start..at]);
                return members;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                members.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    members
}

/// Whether the code has `name` as whole words.
pub(crate) fn mentions(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let after = code[at + name.len()..].chars().next();
        let ends = name.ends_with(':') || !after.is_some_and(|c| c.is_alphanumeric() || c == '_');
        starts_word(code, at) && ends && !(name.ends_with(':') && code[..at].ends_with("::"))
    })
}

fn starts_word(code: &str, at: usize) -> bool {
    !code[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_')
}

/// Blanks comments and the contents of strings and characters.
pub(crate) fn without_comments_and_strings(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment_length(rest)
        } else if let Some(length) = raw_string_length(rest).filter(|_| starts_word(&code, code.len())) {
            length
        } else if first == '"' {
            string_length(rest)
        } else if first == '\'' {
            char_length(rest).unwrap_or(0)
        } else {
            0
        };
        if skipped == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.push(' ');
            rest = &rest[skipped..];
        }
    }
    code
}

fn block_comment_length(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while let Some(found) = text[at..].find(['/', '*']).map(|offset| at + offset) {
        let pair = text.get(found..found + 2).unwrap_or_default();
        match pair {
            "/*" => depth += 1,
            "*/" => depth -= 1,
            _ => {}
        }
        at = found + if matches!(pair, "/*" | "*/") { 2 } else { 1 };
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

fn raw_string_length(text: &str) -> Option<usize> {
    let inner = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = inner.len() - inner.trim_start_matches('#').len();
    let body = inner[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(text.len() - body.len() + length)
}

fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a character literal; `None` for a lifetime.
fn char_length(text: &str) -> Option<usize> {
    let inner = &text[1..];
    if let Some(escaped) = inner.strip_prefix('\\') {
        let skip = escaped.chars().next()?.len_utf8();
        return escaped[skip..].find('\'').map(|at| 2 + skip + at + 1);
    }
    let first = inner.chars().next()?;
    inner[first.len_utf8()..].starts_with('\'').then(|| 1 + first.len_utf8() + 1)
}

/// Strikes out every item under `#[cfg(test)]`.
pub(crate) fn without_tests(code: &str) -> String {
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some((before, after)) = rest.split_once("#[cfg(test)]") {
        kept.push_str(before);
        rest = &after[item_length(after)..];
    }
    kept + rest
}

/// The length of the item at the start: up to its `;`, or to the brace that closes its first one.
fn item_length(code: &str) -> usize {
    let is_use = code.trim_start().trim_start_matches("pub ").starts_with("use ");
    let mut depth = 0;
    for (at, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 && !is_use {
                    return at + 1;
                }
            }
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}
