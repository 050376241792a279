//! Escapes of JSON that stand for half a character.

/// `\ufffd` for each escaped surrogate without its other half, as Go's decoder takes it; `None` if there is none.
///
/// No place in the text moves.
pub(super) fn without_lone_surrogates(text: &str) -> Option<String> {
    const LENGTH: usize = r"\uXXXX".len();
    let mut mended: Option<String> = None;
    let mut at = 0;
    while let Some(found) = text[at..].find('\\') {
        at += found;
        let next = match surrogate(&text[at..]) {
            Some(0xd800..0xdc00) if matches!(surrogate(&text[at + LENGTH..]), Some(0xdc00..0xe000)) => 2 * LENGTH,
            Some(_) => {
                mended.get_or_insert_with(|| text.to_owned()).replace_range(at..at + LENGTH, r"\ufffd");
                LENGTH
            }
            // What follows is no escape of its own.
            None => 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
        };
        at += next;
    }
    mended
}

/// The surrogate that an escape at the beginning of `text` stands for.
fn surrogate(text: &str) -> Option<u16> {
    let digits =
        text.strip_prefix(r"\u")?.get(..4).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    u16::from_str_radix(digits, 16).ok().filter(|code| (0xd800..0xe000).contains(code))
}

#[cfg(test)]
mod tests {
    use super::without_lone_surrogates;

    #[test]
    fn halves_are_replaced_and_pairs_are_not() {
        for (text, mended) in [
            (r"\ud800", r"\ufffd"),
            (r"a\uDFFFb", r"a\ufffdb"),
            (r"\udc00\ud800", r"\ufffd\ufffd"),
            (r"\ud83d\ud83d\ude00", r"\ufffd\ud83d\ude00"),
            (r"\ud800\u0041", r"\ufffd\u0041"),
            (r"\\\ud800", r"\\\ufffd"),
            (r"\ud800\\udc00", r"\ufffd\\udc00"),
        ] {
            assert_eq!(without_lone_surrogates(text).as_deref(), Some(mended), "{text}");
        }
        for text in ["", "plain", r"\ud83d\ude00", r"\\ud800", r"\ué800", r"\ud80", r"\u+d80", r"\", r"\é", r"\ue000"]
        {
            assert_eq!(without_lone_surrogates(text), None, "{text}");
        }
    }
}
