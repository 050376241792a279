//! JSON text with the escapes of Go's encoder, which existing clients have always been sent.

use std::fmt::Write as _;

/// Bytes that begin a character which is escaped, or some others beside it.
const MAY_ESCAPE: [bool; 256] = {
    let mut may = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        may[byte] = true;
        byte += 1;
    }
    let mut rest: &[u8] = b"\"\\<>&\xe2";
    while let [byte, behind @ ..] = rest {
        may[*byte as usize] = true;
        rest = behind;
    }
    may
};

/// Appends `text` as a JSON string: beside what JSON demands, `<`, `>`, `&`, U+2028 and U+2029
/// are escaped too.
pub(crate) fn push_string(out: &mut String, text: &str) {
    out.push('"');
    if !text.bytes().any(|byte| MAY_ESCAPE[usize::from(byte)]) {
        out.push_str(text);
        return out.push('"');
    }
    let mut clean_from = 0;
    for (at, character) in text.char_indices() {
        let short = match character {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\u{8}' => "\\b",
            '\u{c}' => "\\f",
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => "",
            _ => continue,
        };
        out.push_str(&text[clean_from..at]);
        if short.is_empty() {
            write!(out, "\\u{:04x}", u32::from(character)).expect("a String takes all that is written");
        } else {
            out.push_str(short);
        }
        clean_from = at + character.len_utf8();
    }
    out.push_str(&text[clean_from..]);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::push_string;

    fn escaped(text: &str) -> String {
        let mut out = String::new();
        push_string(&mut out, text);
        out
    }

    #[test]
    fn escapes_what_go_escapes() {
        assert_eq!(escaped("plain-ü"), "\"plain-ü\"");
        assert_eq!(escaped("a\"b\\c\nd"), r#""a\"b\\c\nd""#);
        assert_eq!(escaped("<a>&\u{1}\u{2028}z"), r#""\u003ca\u003e\u0026\u0001\u2028z""#);
        assert_eq!(escaped("\u{8}\t\n\u{b}\u{c}\r\u{1f}\u{7f}"), "\"\\b\\t\\n\\u000b\\f\\r\\u001f\u{7f}\"");
    }

    #[test]
    fn each_is_escaped_by_itself() {
        let special = (0..0x20).chain(['"', '\\', '<', '>', '&', '\u{2028}', '\u{2029}'].map(u32::from));
        for character in special.filter_map(char::from_u32) {
            assert!(escaped(&character.to_string()).starts_with("\"\\"), "{character:?}");
        }
    }

    #[test]
    fn what_is_escaped_reads_back() {
        let text: String = (0..0x3000).filter_map(char::from_u32).collect();
        assert_eq!(serde_json::from_str::<String>(&escaped(&text)).unwrap(), text);
    }
}
