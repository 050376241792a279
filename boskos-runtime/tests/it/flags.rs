//! Every spelling of a flag that manifests and scripts use.

use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};

use boskos_runtime::{
    flags::{FlagError, IgnoredFlags, ListenFlags, LogFlags, try_parse_from},
    listen::ListenAddress,
    log::LogLevel,
    version,
};
use clap::{Args, Parser, Subcommand};

#[derive(Parser, Debug)]
#[command(name = "server")]
struct Server {
    #[command(flatten)]
    log: LogFlags,
    #[command(flatten)]
    listen: ListenFlags,
    #[command(flatten)]
    ignored: IgnoredFlags,
    #[arg(long, default_value_t = 8080)]
    port: u16,
    #[arg(long = "in_memory")]
    in_memory: bool,
    #[arg(long)]
    enable_leader_election: bool,
    #[arg(long, default_value_t = true)]
    follow: bool,
    #[arg(long)]
    config: Option<OsString>,
    #[arg(long)]
    expire_type: Vec<String>,
    #[arg(last = true)]
    rest: Vec<OsString>,
}

#[derive(Parser, Debug)]
#[command(name = "ctl")]
struct Ctl {
    #[arg(long, global = true, default_value = "http://boskos")]
    server_url: String,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    Acquire(Acquire),
    Get {
        #[arg(long, short, value_parser = ["json", "table"], default_value = "table")]
        output: String,
        #[arg(long)]
        wide: bool,
        names: Vec<String>,
    },
    Run {
        #[arg(long)]
        keep: bool,
        #[arg(trailing_var_arg = true)]
        command: Vec<String>,
    },
}

#[derive(Args, Debug)]
struct Acquire {
    #[arg(long = "type")]
    kind: String,
    #[arg(long)]
    state: String,
    #[arg(long, num_args = 1.., allow_hyphen_values = true)]
    exec: Vec<String>,
}

fn parse<T: Parser>(line: &str) -> Result<T, FlagError> {
    try_parse_from(std::iter::once("prog").chain(line.split_whitespace()))
}

fn server(line: &str) -> Server {
    parse(line).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn refused<T: Parser + std::fmt::Debug>(line: &str) -> String {
    let error = parse::<T>(line).expect_err(line);
    assert!(!matches!(error, FlagError::Asked(_)), "{line}: {error}");
    let text = error.to_string();
    assert!(!text.contains('\n') && !text.is_empty(), "one line: {text:?}");
    text
}

#[test]
fn values_come_behind_an_equals_sign_or_as_the_next_word_with_one_dash_or_two() {
    for line in ["-port=1", "--port=1", "-port 1", "--port 1", "--port=2 -port 1", "-port 2 --port=1"] {
        assert_eq!(server(line).port, 1, "{line}");
    }
    assert_eq!(server("").port, 8080);
}

#[test]
fn booleans_take_every_spelling_of_go_and_never_the_next_word() {
    for (value, expected) in [
        ("", true),
        ("=1", true),
        ("=t", true),
        ("=T", true),
        ("=true", true),
        ("=TRUE", true),
        ("=True", true),
        ("=0", false),
        ("=f", false),
        ("=F", false),
        ("=false", false),
        ("=FALSE", false),
        ("=False", false),
    ] {
        for flag in ["-in_memory", "--in_memory"] {
            let line = format!("{flag}{value} --port 1");
            let flags = server(&line);
            assert_eq!((flags.in_memory, flags.port), (expected, 1), "{line}");
        }
    }
    assert!(!server("").in_memory);
    assert!(server("--in_memory=false --in_memory").in_memory);
    assert!(!server("--in_memory --in_memory=false").in_memory);
    assert!(server("--enable-leader-election=true").enable_leader_election);
    assert!(server("").follow && !server("-follow=0").follow && server("-follow=0 -follow").follow);
    for value in ["=yes", "=", "=2", "=truex"] {
        let text = refused::<Server>(&format!("--in_memory{value}"));
        assert!(text.contains("in_memory"), "{text}");
    }
    assert_eq!(
        refused::<Server>("--in_memory false"),
        "flag --in_memory takes its value as --in_memory=false, not as a word of its own"
    );
}

#[test]
fn value_may_be_empty_or_start_with_dashes_or_hold_an_equals_sign() {
    let config = |line: &str| server(line).config.unwrap().into_string().unwrap();
    for (line, value) in [
        ("--config=", ""),
        ("--config -x", "-x"),
        ("--config --port=1", "--port=1"),
        ("-config -- --port=1", "--"),
        ("--config=a=b", "a=b"),
        ("--config =", "="),
        ("--config -", "-"),
    ] {
        assert_eq!(config(line), value, "{line}");
    }
    let empty: Server = try_parse_from(["prog", "--config", ""]).unwrap();
    assert_eq!(empty.config.unwrap(), "");
    let raw = OsString::from_vec(vec![b'-', 0xff, b'=']);
    let kept: Server = try_parse_from(["prog".into(), "--config".into(), raw.clone()]).unwrap();
    assert_eq!(kept.config.unwrap(), raw);
}

#[test]
fn list_flags_keep_every_occurrence() {
    assert_eq!(server("-expire-type a=1h --expire-type=b=2h").expire_type, ["a=1h", "b=2h"]);
}

#[test]
fn nothing_behind_two_dashes_is_touched() {
    let flags = server("-port 1 -- -port --in_memory=false --x=1 -- -- y");
    assert_eq!((flags.port, flags.in_memory), (1, false));
    assert_eq!(flags.rest, ["-port", "--in_memory=false", "--x=1", "--", "--", "y"]);
}

#[test]
fn unknown_flag_names_the_nearest() {
    for (line, text) in [
        ("--prot=1", "unknown flag --prot; the nearest is --port"),
        ("-in-memory", "unknown flag --in-memory; the nearest is --in_memory"),
        ("--log_level debug", "unknown flag --log_level; the nearest is --log-level"),
        ("--port 1 --metrics=1", "unknown flag --metrics; the nearest is --metrics-port"),
        ("-5", "unknown flag --5; the nearest is --port"),
        ("--password-file=secret", "unknown flag --password-file; the nearest is --pprof-port"),
    ] {
        let FlagError::Unknown { .. } = parse::<Server>(line).expect_err(line) else { panic!("{line}") };
        let said = refused::<Server>(line);
        assert!(!said.contains("secret"));
        let (unknown, _) = text.split_once(';').unwrap();
        assert!(said.starts_with(unknown) && said.contains("; the nearest is --"), "{said}");
        if !line.starts_with("-5") && !line.starts_with("--pass") {
            assert_eq!(said, text);
        }
    }
}

#[test]
fn other_mistakes_are_one_line_that_names_them() {
    for (line, part) in [
        ("--port", "flag --port needs a value"),
        ("---port=1", "not a flag: ---port"),
        ("--=1", "not a flag: --"),
        ("-=1", "not a flag: -"),
        ("--port=x", "invalid value 'x' for '--port <PORT>'"),
        ("--port=70000", "'70000'"),
        ("--log-level=loud", "[possible values: panic, fatal, error, warn, warning, info, debug, trace]"),
        ("--listen-address=localhost", "not an IP address"),
        ("stray", "unexpected argument 'stray'"),
    ] {
        let text = refused::<Server>(line);
        assert!(text.contains(part) && !text.contains("Usage"), "{line}: {text}");
    }
    let nasty = try_parse_from::<Server, _>(["prog", "--po\u{1b}[2Jrt\n"]).unwrap_err().to_string();
    assert!(nasty.starts_with("unknown flag --po\\u{1b}[2Jrt\\n;"), "{nasty}");
    let url = refused::<Server>("--port=http://me:secret@host/");
    assert!(!url.contains("secret"), "{url}");
}

#[test]
fn shared_flags_have_the_defaults_of_the_field() {
    let flags = server("");
    assert_eq!((flags.log.log_level, flags.listen.listen_address), (LogLevel::Info, ListenAddress::All));
    assert_eq!((flags.listen.health_port, flags.listen.metrics_port), (8081, 9090));
    for level in ["WARNING", "Warning", "warning"] {
        assert_eq!(server(&format!("-log-level {level}")).log.log_level, LogLevel::Warning);
    }
    for name in ["panic", "fatal", "error", "warn", "warning", "info", "debug", "trace"] {
        assert_eq!(server(&format!("--log-level={name}")).log.log_level.to_string(), name);
    }
    assert_eq!(server("--listen-address=").listen.listen_address, ListenAddress::All);
    let one = server("--listen-address [::1]").listen.listen_address;
    assert_eq!(one, ListenAddress::One("::1".parse().unwrap()));
    let ignored = server("--pprof-port=6060 -profile-memory-usage --memory-profile-interval 30s").ignored;
    assert_eq!(ignored.pprof_port.as_deref(), Some("6060"));
    assert!(ignored.profile_memory_usage && ignored.memory_profile_interval.is_some());
}

#[test]
fn help_and_version_are_asked_for_in_every_spelling() {
    let asked = |line: &str| match parse::<Server>(line) {
        Err(FlagError::Asked(text)) => text,
        other => panic!("{line}: {other:?}"),
    };
    for line in ["-h", "--help", "-help"] {
        let text = asked(line);
        assert!(text.contains("--port <PORT>") && text.contains("--in_memory[=<BOOL>]"), "{text}");
        assert!(!text.contains('\u{1b}'));
        assert_eq!(text.contains("--pprof-port"), line != "-h", "{line}");
    }
    for line in ["--version", "-version", "-V"] {
        assert_eq!(asked(line), format!("server {} ({})\n", version::VERSION, version::COMMIT));
    }
}

#[test]
fn flags_of_verbs_and_global_ones_stand_behind_the_verb() {
    let ctl = |line: &str| parse::<Ctl>(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    for line in ["-server-url u acquire -type t --state=s", "acquire --state s -server-url=u -type=t"] {
        let flags = ctl(line);
        assert_eq!(flags.server_url, "u");
        let Verb::Acquire(acquire) = flags.verb else { panic!("{line}") };
        assert_eq!((acquire.kind, acquire.state), ("t".into(), "s".into()));
    }
    assert_eq!(ctl("-server-url a get -server-url b").server_url, "b");
    assert_eq!(refused::<Ctl>("--type t acquire"), "flag --type belongs behind its command: acquire");
    assert_eq!(refused::<Ctl>("acquire --tpye t"), "unknown flag --tpye; the nearest is --type");
    assert_eq!(refused::<Ctl>(""), "a command is missing, one of: acquire, get, run, help");
    assert_eq!(refused::<Ctl>("--server-url=u"), "a command is missing, one of: acquire, get, run, help");
    let text = refused::<Ctl>("acqire");
    assert!(text.contains("'acqire'") && text.contains("'acquire'"), "{text}");
    let text = refused::<Ctl>("acquire");
    assert!(text.contains("--type <KIND>") && text.contains("--state <STATE>"), "{text}");
}

#[test]
fn single_letters_and_positionals_go_clap_s_way() {
    let get = |line: &str| match parse::<Ctl>(line).unwrap_or_else(|error| panic!("{line}: {error}")).verb {
        Verb::Get { output, wide, names } => (output, wide, names),
        other @ (Verb::Acquire(_) | Verb::Run { .. }) => panic!("{other:?}"),
    };
    for line in ["get -o json", "get -o=json", "get -ojson", "get -output json"] {
        assert_eq!(get(line).0, "json", "{line}");
    }
    assert_eq!(refused::<Ctl>("get -outptu json"), "unknown flag --outptu; the nearest is --output");
    assert_eq!(get("get a -wide true b -").2, ["a", "true", "b", "-"], "a name may be called so");
}

#[test]
fn command_lines_of_others_are_not_touched() {
    let Verb::Acquire(acquire) = parse::<Ctl>("acquire -type t -state s -exec make -j4 --type=x -- y").unwrap().verb
    else {
        panic!("not acquire")
    };
    assert_eq!((acquire.kind.as_str(), acquire.exec.join(" ").as_str()), ("t", "make -j4 --type=x -- y"));
    let Verb::Run { keep, command } = parse::<Ctl>("run -keep sh -c -keep=false").unwrap().verb else {
        panic!("not run")
    };
    assert_eq!((keep, command.join(" ").as_str()), (true, "sh -c -keep=false"));
}
