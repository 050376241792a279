//! Text from outside made fit for one line of a log or a terminal.

use std::{borrow::Cow, error::Error, fmt::Write as _, iter};

/// `error` and what caused it, joined by `: `. A cause that the error before it tells already is not told again.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut told = String::new();
    for cause in iter::successors(Some(error), |error| (*error).source()).map(ToString::to_string) {
        if told.is_empty() {
            told = cause;
        } else if !told.ends_with(&cause) {
            told.push_str(": ");
            told.push_str(&cause);
        }
    }
    told
}

/// Whether `c` would move a cursor, end a line or reorder what stands beside it.
#[must_use]
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` on one line: unprintable characters as `\n`, `\t`, `\u{1b}`.
#[must_use]
pub fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            c if !is_unprintable(c) => line.push(c),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            c => write!(line, "\\u{{{:x}}}", u32::from(c)).expect("a String takes what is written"),
        }
    }
    Cow::Owned(line)
}

/// Escapes what JSON allows raw and a terminal obeys (DEL, C1, line separators, direction marks).
///
/// Such characters stand inside JSON strings only, and all of them fit one `\uXXXX`.
#[must_use]
pub fn printable_json(json: &str) -> Cow<'_, str> {
    if !json.contains(is_unprintable) {
        return Cow::Borrowed(json);
    }
    let mut line = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_unprintable(c) {
            write!(line, "\\u{:04x}", u32::from(c)).expect("a String takes what is written");
        } else {
            line.push(c);
        }
    }
    Cow::Owned(line)
}

/// `text` with the user and password of every URL in it replaced by `***`.
///
/// Takes all up to the last `@` of a word: passwords that should have been encoded hold `/` and `@` too.
#[must_use]
pub fn without_userinfo(text: &str) -> Cow<'_, str> {
    if !(text.contains("://") && text.contains('@')) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        clean.push_str(head);
        let word = tail.find(char::is_whitespace).unwrap_or(tail.len());
        rest = tail;
        if let Some(end) = tail[..word].rfind('@') {
            clean.push_str("***");
            rest = &tail[end..];
        }
    }
    clean.push_str(rest);
    Cow::Owned(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_never_stay_raw() {
        assert_eq!(one_line("a\nb\r\tc\u{1b}[0m\u{7f}\u{9b}"), "a\\nb\\r\\tc\\u{1b}[0m\\u{7f}\\u{9b}");
        assert_eq!(one_line("grün ✓"), "grün ✓");
        assert_eq!(printable_json("\"\u{7f}\u{85}\u{2028}\u{202e}é\""), "\"\\u007f\\u0085\\u2028\\u202eé\"");
    }

    #[test]
    fn userinfo_of_urls_is_left_out() {
        assert_eq!(without_userinfo("at 'http://u:p@h/x' now"), "at 'http://***@h/x' now");
        assert_eq!(without_userinfo("http://u:p/w@d@h and https://v@i"), "http://***@h and https://***@i");
        assert_eq!(without_userinfo("http://h/x by a@b"), "http://h/x by a@b");
    }
}
