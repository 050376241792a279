//! Unquoted scalars where text or counts are due. The texts are what Go's YAML makes of them.

use boskos_core::Config;

fn state_of(scalar: &str) -> String {
    let text = format!("resources:\n- type: t\n  names: [n]\n  state: {scalar}\n");
    Config::parse(text.as_bytes()).expect("a config").0.statics[0].state.to_string()
}

const TEXTS: &[(&str, &str)] = &[
    // Booleans, and what only looks like them.
    ("yes", "true"),
    ("YES", "true"),
    ("yEs", "yEs"),
    ("on", "true"),
    ("y", "true"),
    ("Y", "true"),
    ("True", "true"),
    ("no", "false"),
    ("Off", "false"),
    ("n", "false"),
    ("tRue", "tRue"),
    // Null is the empty text, which as a state means free.
    ("null", "free"),
    ("~", "free"),
    ("", "free"),
    ("nULL", "nULL"),
    // Integers.
    ("123456789012", "123456789012"),
    ("+5", "5"),
    ("+123456789", "123456789"),
    ("+0x1F", "31"),
    ("+9223372036854775808", "9.223372e+18"),
    ("-0", "0"),
    ("0x1F", "31"),
    ("-0x1f", "-31"),
    ("010", "8"),
    ("-010", "-8"),
    ("0o17", "15"),
    ("08", "8"),
    ("0b101", "5"),
    ("0b12", "0b12"),
    ("1_000", "1000"),
    ("0x_ff", "255"),
    ("_1", "_1"),
    ("1_", "1"),
    ("9223372036854775807", "9223372036854775807"),
    ("9223372036854775808", "9223372036854775808"),
    ("18446744073709551615", "18446744073709551615"),
    ("18446744073709551616", "1.8446744e+19"),
    ("-9223372036854775808", "-9223372036854775808"),
    ("-9223372036854775809", "-9.223372e+18"),
    ("0xFFFFFFFFFFFFFFFF", "18446744073709551615"),
    // Numbers with a fraction or exponent.
    ("1.10", "1.1"),
    ("1.0", "1"),
    ("1.", "1"),
    (".5", "0.5"),
    ("-.5", "-0.5"),
    (".1_8", "0.18"),
    ("._5", "._5"),
    (".5_", ".5_"),
    (".5__5", ".5__5"),
    ("1e3", "1000"),
    ("1E+3", "1000"),
    ("1e6", "1e+06"),
    ("123456.5", "123456.5"),
    ("123456789.5", "1.2345679e+08"),
    ("2826508.218", "2.8265082e+06"),
    ("1.41317124e+05", "141317.12"),
    ("0.0001", "0.0001"),
    ("0.00001", "1e-05"),
    ("1e400", "1e400"),
    ("-0.0", "-0"),
    (".inf", "+Inf"),
    ("-.INF", "-Inf"),
    (".nan", "NaN"),
    ("inf", "inf"),
    ("+inf", "+inf"),
    ("-nan", "-nan"),
    ("+infinity", "+infinity"),
    ("--1.5", "--1.5"),
    ("1.5e", "1.5e"),
    ("+.", "+."),
    ("NaN", "NaN"),
    ("0x1p-2", "0x1p-2"),
    ("+-1", "+-1"),
    ("0x-1", "0x-1"),
    // Text that begins like a number.
    ("10.1.178.14", "10.1.178.14"),
    ("1:30", "1:30"),
    ("2001-01-01", "2001-01-01"),
    ("12abc", "12abc"),
    ("1 2", "1 2"),
    ("<<", "<<"),
    ("=", "="),
    // Quoted and tagged.
    ("\"yes\"", "yes"),
    ("'1.10'", "1.10"),
    ("\"0x10\"", "0x10"),
    ("!!str 1.10", "1.10"),
    ("!!str null", "null"),
    ("!!int \"010\"", "8"),
    ("!!float 0x10", "16"),
    ("!!bool \"yes\"", "true"),
    ("!own 0x10", "0x10"),
    ("|-\n    010", "010"),
    (">-\n    1.10", "1.10"),
];

#[test]
fn unquoted_scalars_are_the_text_that_go_reads() {
    for &(scalar, text) in TEXTS {
        assert_eq!(state_of(scalar), text, "{scalar:?}");
    }
}

#[test]
fn keys_and_names_are_read_alike() {
    let text = "resources: [{type: 1.50, names: [123456789012, 1.10, yes, 0x1f]},
        {type: d, max-count: 1, needs: {1.5: 1}}]";
    let (config, _) = Config::parse(text.as_bytes()).unwrap();
    let names: Vec<_> = config.names().map(|(name, _, _)| name.as_str()).collect();
    assert_eq!(names, ["123456789012", "1.1", "true", "31"]);
    assert_eq!(config.statics[0].r#type.as_str(), "1.5");
    assert_eq!(config.lifecycles[0].needs["1.5"], 1);
}

fn max_count(scalar: &str) -> Result<u32, String> {
    let text = format!("resources: [{{type: t, max-count: {scalar}}}]");
    Config::parse(text.as_bytes()).map(|(config, _)| config.lifecycles[0].max_count).map_err(|error| error.to_string())
}

#[test]
fn counts_are_integers() {
    let counts = [("3", 3), ("1.0", 1), ("1e3", 1000), ("0x10", 16), ("010", 8), ("4294967295", u32::MAX)];
    for (scalar, count) in counts {
        assert_eq!(max_count(scalar), Ok(count), "{scalar}");
    }
    for (scalar, problem) in [
        ("\"3\"", "must be an integer, is text"),
        ("x", "must be an integer, is text"),
        ("true", "must be an integer, is a boolean"),
        ("[3]", "must be an integer, is a list"),
        ("{a: 3}", "must be an integer, is a mapping"),
        ("1.5", "must be a count from 0 to 4294967295, is 1.5"),
        ("-1", "must be a count from 0 to 4294967295, is -1"),
        ("4294967296", "must be a count from 0 to 4294967295, is 4294967296"),
        ("99999999999999999999", "must be a count from 0 to 4294967295, is 100000000000000000000"),
        ("null", "must be >0"),
    ] {
        assert_eq!(max_count(scalar), Err(format!(".0.max-count: {problem}")), "{scalar}");
    }
}

fn lifespan(scalar: &str) -> Result<Option<String>, String> {
    let text = format!("resources: [{{type: t, max-count: 1, lifespan: {scalar}}}]");
    let parsed = Config::parse(text.as_bytes()).map_err(|error| error.to_string())?;
    Ok(parsed.0.lifecycles[0].lifespan.map(|lifespan| lifespan.to_string()))
}

#[test]
fn lifespans_are_duration_text_or_nanoseconds() {
    for (scalar, text) in [
        ("48h", Some("48h0m0s")),
        ("\"1.5h\"", Some("1h30m0s")),
        ("3600", Some("3.6µs")),
        ("1e3", Some("1µs")),
        ("0", Some("0s")),
        ("null", None),
    ] {
        assert_eq!(lifespan(scalar), Ok(text.map(String::from)), "{scalar}");
    }
    for (scalar, problem) in [
        ("\"\"", "time: invalid duration \"\""),
        ("\"3600\"", "time: missing unit in duration \"3600\""),
        ("2d", "time: unknown unit \"d\" in duration \"2d\""),
        ("1.5", "must be a duration like 48h or an integer of nanoseconds, is 1.5"),
        ("9223372036854775808", "must be a duration like 48h or an integer of nanoseconds, is 9223372036854775808"),
        ("true", "must be a duration like 48h, is a boolean"),
        ("[1h]", "must be a duration like 48h, is a list"),
    ] {
        assert_eq!(lifespan(scalar), Err(format!(".0.lifespan: {problem}")), "{scalar}");
    }
}
