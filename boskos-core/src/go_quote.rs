//! Quoted text as Go's `%q` writes it, which existing clients have always been sent.

use std::fmt::{self, Write as _};

/// Shows `text` in double quotes, all in one line.
pub(crate) fn quoted(text: &str) -> Quoted<'_> {
    Quoted(text)
}

/// See [`quoted`].
pub(crate) struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\u{7}' => f.write_str("\\a")?,
                '\u{8}' => f.write_str("\\b")?,
                '\u{c}' => f.write_str("\\f")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                '\u{b}' => f.write_str("\\v")?,
                '\0'..='\u{1f}' | '\u{7f}' => write!(f, "\\x{:02x}", u32::from(character))?,
                _ if is_printable(character) => f.write_char(character)?,
                '\u{80}'..='\u{ffff}' => write!(f, "\\u{:04x}", u32::from(character))?,
                _ => write!(f, "\\U{:08x}", u32::from(character))?,
            }
        }
        f.write_char('"')
    }
}

/// Whether both languages show a character as it is: letters, marks, numbers, punctuation, symbols, and the one space.
fn is_printable(character: char) -> bool {
    // Rust leaves alone what it takes to be printable; marks only behind something to stand on.
    let shown = String::from_iter(['a', character]);
    character.is_ascii() || shown.escape_debug().eq(shown.chars())
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn quotes_as_go_does() {
        for (text, expected) in [
            ("", r#""""#),
            ("gce-project", r#""gce-project""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("\u{7}\u{8}\u{c}\n\r\t\u{b}", r#""\a\b\f\n\r\t\v""#),
            ("\0\u{1b}\u{7f}", r#""\x00\x1b\x7f""#),
            ("ü日🦀e\u{301}\u{fffd}", "\"ü日🦀e\u{301}\u{fffd}\""),
            ("\u{301}", "\"\u{301}\""),
            ("\u{85}\u{a0}\u{ad}\u{200b}\u{2028}\u{3000}\u{feff}", r#""\u0085\u00a0\u00ad\u200b\u2028\u3000\ufeff""#),
            ("\u{e000}\u{10ffff}", r#""\ue000\U0010ffff""#),
            ("it's {} $x `y`", r#""it's {} $x `y`""#),
        ] {
            assert_eq!(quoted(text).to_string(), expected);
        }
    }
}
