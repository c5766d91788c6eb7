//! Text from events made safe to read.
//!
//! Whoever sends a request writes parts of its audit event: the command, the user agent, names.
//! Printed as they are, they could forge a second line of a log, move a terminal's cursor, or
//! turn the reading direction. Here such characters become visible escapes and lengths become
//! bounded. Only text for people goes through this module; the exact values stay in their fields.

/// The text with everything invisible escaped, at most `max_chars` characters long; a longer one
/// ends in `…`.
///
/// Line breaks and tabs become `\n`, `\r`, `\t`; other invisible characters `\u{…}`.
/// A backslash stays as it is, so the result cannot be decoded back: it is for the eye.
pub fn visible(text: &str, max_chars: usize) -> String {
    escape(text, max_chars, false)
}

/// As [`visible`], between double quotes, with quotes and backslashes escaped: the text cannot
/// pretend to end before its closing quote. `max_chars` counts what is between the quotes.
pub fn quoted(text: &str, max_chars: usize) -> String {
    format!("\"{}\"", escape(text, max_chars, true))
}

/// The beginning of a long text and the surroundings of the byte range `focus`, so that a match
/// is not hidden behind padding, not even padding that grows when it is escaped. The result is
/// raw: pass it on to [`visible`] or [`quoted`] with the same bound.
pub fn excerpt(text: &str, focus: Option<std::ops::Range<usize>>, max_chars: usize) -> String {
    let short = text_that_fits(text.chars(), max_chars) == text.len();
    let Some(focus) = focus.filter(|_| !short) else { return text.to_owned() };
    let Some(before) = text.get(..focus.start) else { return text.to_owned() };
    let skipped_from = text_that_fits(text.chars(), max_chars / 4);
    // What stands before the match, found from its end.
    let window_from = before.len() - text_that_fits(before.chars().rev(), max_chars / 4);
    if window_from <= skipped_from {
        return text.to_owned();
    }
    format!("{} … {}", &text[..skipped_from], &text[window_from..])
}

/// How many bytes of raw text take up at most `max_chars` characters once they are escaped
/// between quotes.
fn text_that_fits(text: impl Iterator<Item = char>, max_chars: usize) -> usize {
    let mut shown = 0_usize;
    text.take_while(|c| {
        shown += match c {
            '\n' | '\r' | '\t' | '"' | '\\' => 2,
            c if is_invisible(*c) => "\\u{10ffff}".len(),
            _ => 1,
        };
        shown <= max_chars
    })
    .map(char::len_utf8)
    .sum()
}

fn escape(text: &str, max_chars: usize, quoted: bool) -> String {
    let mut out = String::with_capacity(text.len().min(max_chars.saturating_mul(2)));
    let mut chars = 0;
    // Where to cut if the text turns out too long: room for the ellipsis is left there.
    let mut cut = 0;
    for c in text.chars() {
        let start = out.len();
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '"' | '\\' if quoted => {
                out.push('\\');
                out.push(c);
            }
            c if is_invisible(c) => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => out.push(c),
        }
        chars += out[start..].chars().count();
        if chars > max_chars {
            out.truncate(cut);
            if max_chars > 0 {
                out.push('…');
            }
            return out;
        }
        if chars < max_chars {
            cut = out.len();
        }
    }
    out
}

/// Control characters, line and paragraph separators, and what Unicode calls default ignorable:
/// bidirectional overrides and isolates, zero-width characters, fillers, tags, variation
/// selectors. Source: Unicode's `DerivedCoreProperties`, `Default_Ignorable_Code_Point`.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_becomes_visible() {
        for (text, want) in [
            ("plain text — ä 漢 🙂", "plain text — ä 漢 🙂"),
            ("a\nb\r\tc", r"a\nb\r\tc"),
            ("\u{1b}[2Jx\u{7}\u{7f}", r"\u{1b}[2Jx\u{7}\u{7f}"),
            ("\u{9b}31m", r"\u{9b}31m"),
            ("user\u{202e}nimda", r"user\u{202e}nimda"),
            ("a\u{2028}b\u{2066}c\u{200b}d", r"a\u{2028}b\u{2066}c\u{200b}d"),
            ("\u{e0041}\u{0}", r"\u{e0041}\u{0}"),
            (r"sha\dow", r"sha\dow"),
        ] {
            assert_eq!(visible(text, 100), want);
        }
    }

    #[test]
    fn a_quoted_text_cannot_end_before_its_quote() {
        assert_eq!(quoted(r#"a" from 1.2.3.4"#, 100), r#""a\" from 1.2.3.4""#);
        assert_eq!(quoted(r#"a\"#, 100), r#""a\\""#);
    }

    #[test]
    fn long_text_is_cut_at_whole_escapes_and_says_so() {
        assert_eq!(visible("abcdef", 6), "abcdef");
        assert_eq!(visible("abcdefg", 6), "abcde…");
        assert_eq!(visible("ab\u{1b}cd", 6), "ab…");
        assert_eq!(quoted("ab\"\"\"\"", 5), "\"ab\\\"…\"");
        assert_eq!(visible("x", 0), "");
    }

    #[test]
    fn an_excerpt_shows_what_padding_would_hide() {
        let text = format!("sh -c {} cat /etc/shadow; done", "x".repeat(5_000));
        let start = text.find("/etc/shadow").unwrap();
        let got = visible(&excerpt(&text, Some(start..start + 11), 64), 64);
        assert!(got.starts_with("sh -c xxxx") && got.contains("cat /etc/shadow; done"), "{got}");
        assert!(got.chars().count() <= 64);

        assert_eq!(excerpt("cat /etc/shadow", Some(4..15), 64), "cat /etc/shadow");
        // Padding that becomes longer when it is escaped hides no more.
        for padding in ["\"", "\\", "\n", "\u{202e}", "\u{e0041}"] {
            let text = format!("{} cat /etc/shadow", padding.repeat(300));
            let start = text.find("/etc/shadow").unwrap();
            let got = quoted(&excerpt(&text, Some(start..start + 11), 100), 100);
            assert!(got.contains("cat /etc/shadow\""), "{got}");
        }
        // A span that is none of this text's is ignored.
        let wide = "ä".repeat(100);
        assert_eq!(excerpt(&wide, Some(3..900), 64), wide);
    }

    proptest::proptest! {
        #[test]
        fn nothing_invisible_remains_and_the_bound_holds(text in proptest::prelude::any::<String>(), max in 0usize..50) {
            let got = visible(&text, max);
            proptest::prop_assert!(!got.chars().any(is_invisible));
            proptest::prop_assert!(got.chars().count() <= max);
        }
    }
}
