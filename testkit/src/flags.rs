//! How manifests in the field spell flags.

/// How a flag with a value is spelt.
type Value = fn(&str, &str) -> Vec<String>;

/// How a flag without one is.
type Boolean = fn(&str) -> String;

/// `values` and `booleans` in every spelling, one command line each.
#[must_use]
pub fn spellings(values: &[(&str, &str)], booleans: &[&str]) -> Vec<Vec<String>> {
    let value: [Value; 4] = [
        |flag, value| vec![format!("-{flag}"), value.to_owned()],
        |flag, value| vec![format!("--{flag}"), value.to_owned()],
        |flag, value| vec![format!("-{flag}={value}")],
        |flag, value| vec![format!("--{flag}={value}")],
    ];
    let boolean: [Boolean; 4] = [
        |flag| format!("-{flag}"),
        |flag| format!("--{flag}"),
        |flag| format!("-{flag}=T"),
        |flag| format!("--{flag}=true"),
    ];
    let line = |(value, boolean): (Value, Boolean)| {
        let values = values.iter().flat_map(|(flag, text)| value(flag, text));
        values.chain(booleans.iter().map(|flag| boolean(flag))).collect()
    };
    value.into_iter().zip(boolean).map(line).collect()
}
