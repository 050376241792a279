//! Known answers are those of Go's `time` package.

use std::time::Duration;

use proptest::prelude::*;

use super::GoDuration;

/// A text, its nanoseconds, and how Go writes them.
const READ: &[(&str, i64, &str)] = &[
    ("0", 0, "0s"),
    ("-0", 0, "0s"),
    ("+0", 0, "0s"),
    ("0s", 0, "0s"),
    ("48h", 172800000000000, "48h0m0s"),
    ("30s", 30000000000, "30s"),
    ("1h30m", 5400000000000, "1h30m0s"),
    ("1.5h", 5400000000000, "1h30m0s"),
    ("-1.5h", -5400000000000, "-1h30m0s"),
    ("+5s", 5000000000, "5s"),
    ("1h2m3s4ms5us6ns", 3723004005006, "1h2m3.004005006s"),
    ("1us", 1000, "1µs"),
    ("1µs", 1000, "1µs"),
    ("1μs", 1000, "1µs"),
    ("1ns", 1, "1ns"),
    (".5s", 500000000, "500ms"),
    ("1.s", 1000000000, "1s"),
    ("5.6s", 5600000000, "5.6s"),
    ("1.5ms", 1500000, "1.5ms"),
    ("100ms", 100000000, "100ms"),
    ("39h9m14.425s", 140954425000000, "39h9m14.425s"),
    ("9223372036854775807ns", 9223372036854775807, "2562047h47m16.854775807s"),
    ("-9223372036854775808ns", -9223372036854775808, "-2562047h47m16.854775808s"),
    ("9223372036.854775807s", 9223372036854775807, "2562047h47m16.854775807s"),
    ("-9223372036.854775808s", -9223372036854775808, "-2562047h47m16.854775808s"),
    ("-2562047h47m16.854775808s", -9223372036854775808, "-2562047h47m16.854775808s"),
    ("0.3333333333333333333h", 1200000000000, "20m0s"),
    ("9007199254740993ns", 9007199254740993, "2501h59m59.254740993s"),
    ("0.100000000000000000000h", 360000000000, "6m0s"),
    ("0.830103483285477580700h", 2988372539827, "49m48.372539827s"),
    ("1.00000000000000000000000000001s", 1000000000, "1s"),
    ("3m0.1s", 180100000000, "3m0.1s"),
    ("1h1h", 7200000000000, "2h0m0s"),
    ("-1ms", -1000000, "-1ms"),
    ("0.9223372036854775807h", 3320413933267, "55m20.413933267s"),
    ("-0.5ns", 0, "0s"),
    ("0.9ns", 0, "0s"),
    ("1.0000000009s", 1000000000, "1s"),
];

/// A text and what is wrong with it.
const REFUSED: &[(&str, &str)] = &[
    (r#""#, r#"time: invalid duration """#),
    (r#"3"#, r#"time: missing unit in duration "3""#),
    (r#"-"#, r#"time: invalid duration "-""#),
    (r#"s"#, r#"time: invalid duration "s""#),
    (r#"."#, r#"time: invalid duration ".""#),
    (r#"-."#, r#"time: invalid duration "-.""#),
    (r#".s"#, r#"time: invalid duration ".s""#),
    (r#"+.s"#, r#"time: invalid duration "+.s""#),
    (r#"1d"#, r#"time: unknown unit "d" in duration "1d""#),
    (r#"1h 5m"#, r#"time: unknown unit "h " in duration "1h 5m""#),
    (r#"1h5"#, r#"time: missing unit in duration "1h5""#),
    (r#"-1x5s"#, r#"time: unknown unit "x" in duration "-1x5s""#),
    (r#"x"#, r#"time: invalid duration "x""#),
    (r#"1 s"#, r#"time: unknown unit " s" in duration "1 s""#),
    (r#"3000000h"#, r#"time: invalid duration "3000000h""#),
    (r#"9223372036854775808ns"#, r#"time: invalid duration "9223372036854775808ns""#),
    (r#"9223372036.854775808s"#, r#"time: invalid duration "9223372036.854775808s""#),
    (r#"-9223372036854775809ns"#, r#"time: invalid duration "-9223372036854775809ns""#),
    (r#"99999999999999999999ns"#, r#"time: invalid duration "99999999999999999999ns""#),
    (r#"1e3s"#, r#"time: unknown unit "e" in duration "1e3s""#),
    (r#"--1s"#, r#"time: invalid duration "--1s""#),
    (r#""1s""#, r#"time: invalid duration "\"1s\"""#),
    (r#"a\b"#, r#"time: invalid duration "a\\b""#),
    (r#"1日"#, r#"time: unknown unit "\xe6\x97\xa5" in duration "1\xe6\x97\xa5""#),
    (r#"日本"#, r#"time: invalid duration "\xe6\x97\xa5\xe6\x9c\xac""#),
    (r#"1.2.3s"#, r#"time: missing unit in duration "1.2.3s""#),
    (r#"1s-1s"#, r#"time: unknown unit "s-" in duration "1s-1s""#),
    ("1s\u{1}é", r#"time: unknown unit "s\x01\xc3\xa9" in duration "1s\x01\xc3\xa9""#),
    ("1\u{7f}s", "time: unknown unit \"\u{7f}s\" in duration \"1\u{7f}s\""),
];

#[test]
fn reads_and_writes_as_go_does() {
    for &(text, nanos, written) in READ {
        let duration = GoDuration::parse(text).unwrap();
        assert_eq!((duration.as_nanos(), duration.to_string().as_str()), (nanos, written), "{text}");
    }
}

#[test]
fn refuses_in_gos_words() {
    for &(text, reason) in REFUSED {
        assert_eq!(GoDuration::parse(text).unwrap_err().to_string(), reason);
    }
}

#[test]
fn ends_of_the_span_survive() {
    for end in [GoDuration::MIN, GoDuration::MAX] {
        assert_eq!(end.to_string().parse(), Ok(end));
    }
}

#[test]
fn negative_is_no_unsigned_duration() {
    assert_eq!(GoDuration::from_nanos(-1).to_std(), None);
    assert_eq!(GoDuration::from_nanos(-1).to_std_or_zero(), Duration::ZERO);
    assert_eq!(GoDuration::from_nanos(1_500_000_000).to_std(), Some(Duration::from_millis(1500)));
    assert_eq!(GoDuration::from_nanos(1_500_000_000).to_std_or_zero(), Duration::from_millis(1500));
    assert_eq!(GoDuration::from_std(Duration::MAX), GoDuration::MAX);
    assert_eq!(GoDuration::from_std(Duration::from_secs(2)).to_string(), "2s");
}

#[test]
fn json_is_nanoseconds_and_text_is_read_too() {
    assert_eq!(serde_json::to_string(&GoDuration::from_nanos(1500)).unwrap(), "1500");
    for json in ["172800000000000", "\"48h\""] {
        assert_eq!(serde_json::from_str::<GoDuration>(json).unwrap().to_string(), "48h0m0s");
    }
    assert_eq!(serde_json::from_str::<GoDuration>("-1500").unwrap(), GoDuration::from_nanos(-1500));
    let other = serde_json::from_str::<GoDuration>("true").unwrap_err().to_string();
    assert!(other.contains("duration"), "{other}");
    assert!(serde_json::from_str::<GoDuration>("9223372036854775808").is_err());
    assert!(serde_json::from_str::<GoDuration>("\"48\"").is_err());
}

proptest! {
    #[test]
    fn what_is_written_reads_back(nanos in any::<i64>(), shift in 0_u32..64) {
        let duration = GoDuration::from_nanos(nanos >> shift);
        prop_assert_eq!(duration.to_string().parse(), Ok(duration));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[-+]?([0-9.]{0,25}(ns|us|µs|ms|s|m|h|.)){0,4}") {
        if let Ok(duration) = GoDuration::parse(&text) {
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }
    }
}
