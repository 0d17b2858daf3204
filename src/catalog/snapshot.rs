//! Dated snapshots: `gpt-5.4-2026-03-05` is `gpt-5.4` as it was on a day.

/// The id without its date, if it ends in one: `-YYYY-MM-DD`, `-YYYYMMDD`, or either after `@`.
///
/// Shorter marks (`-0613`, `-05-2026`) are left alone: they are also sizes, versions and names of their own.
pub(super) fn base(id: &str) -> Option<&str> {
    [10, 8].into_iter().find_map(|length| {
        let at = id.len().checked_sub(length)?;
        let (head, date) = (id.get(..at)?, id.get(at..)?);
        let head = head.strip_suffix(['-', '@'])?;
        (is_date(date) && !head.is_empty()).then_some(head)
    })
}

fn is_date(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let dashes: Vec<usize> = text.bytes().enumerate().filter(|(_, b)| *b == b'-').map(|(at, _)| at).collect();
    let well_formed = match text.len() {
        8 => dashes.is_empty(),
        10 => dashes == [4, 7],
        _ => false,
    };
    let &[y1, y2, _, _, m1, m2, d1, d2] = digits.as_slice() else {
        return false;
    };
    well_formed && (y1, y2) == (2, 0) && (1..=12).contains(&(m1 * 10 + m2)) && (1..=31).contains(&(d1 * 10 + d2))
}

#[cfg(test)]
mod tests {
    use super::base;

    #[test]
    fn a_date_at_the_end_is_cut_off_and_nothing_else_is() {
        let cases = [
            ("gpt-5.4-2026-03-05", Some("gpt-5.4")),
            ("claude-sonnet-5-20260203", Some("claude-sonnet-5")),
            ("claude-opus-4-5@20251101", Some("claude-opus-4-5")),
            ("model@2025-01-01", Some("model")),
            ("gpt-5.4", None),
            ("gpt-4-0613", None),
            ("preview-04-2026", None),
            ("model-2026-13-05", None),
            ("model-20260232", None),
            ("model-12345678", None),
            ("model-2026-0305", None),
            ("model20260305", None),
            ("-20260305", None),
            ("20260305", None),
            ("modèle-2026030é", None),
            ("é", None),
            ("", None),
        ];
        for (id, expected) in cases {
            assert_eq!(base(id), expected, "{id:?}");
        }
    }
}
