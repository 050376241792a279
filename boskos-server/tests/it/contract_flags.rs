//! The command line that manifests in the field use.

use std::{net::TcpListener, time::Duration};

use boskos_runtime::{flags, log::LogLevel};
use boskos_server::args::Args;
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{
    client::Client,
    process::{self, Process, QUIET},
};

const CONFIG: &str = "resources:\n- {type: t, state: free, names: [a]}\n";

/// Every flag that takes a value, and one.
const VALUES: [(&str, &str); 18] = [
    ("config", "other.yaml"),
    ("port", "0"),
    ("health-port", "0"),
    ("metrics-port", "0"),
    ("namespace", "boskos"),
    ("log-level", "INFO"),
    ("request-ttl", "1m30s"),
    ("dynamic-resource-update-period", "1h"),
    ("kubeconfig", "/nowhere/kubeconfig"),
    ("projected-token-file", "/nowhere/token"),
    ("boskos-label-selector", "app=boskos"),
    ("pod-name", "boskos-0"),
    ("leader-label-key", "boskos-leader"),
    ("pprof-port", "6060"),
    ("memory-profile-interval", "30s"),
    ("listen-address", "127.0.0.1"),
    ("max-wait", "20s"),
    ("max-parked", "10"),
];

/// Every boolean flag.
const BOOLEANS: [&str; 3] = ["in_memory", "enable-leader-election", "profile-memory-usage"];

/// How flags that take a value are spelt.
const SPELLINGS: [fn(&str, &str) -> Vec<String>; 4] = [
    |flag, value| vec![format!("-{flag}"), value.to_owned()],
    |flag, value| vec![format!("--{flag}"), value.to_owned()],
    |flag, value| vec![format!("-{flag}={value}")],
    |flag, value| vec![format!("--{flag}={value}")],
];

fn parse(args: &[&str]) -> Result<Args, flags::FlagError> {
    flags::try_parse_from(["boskos-server"].iter().chain(args))
}

#[test]
fn every_flag_in_every_spelling_starts_a_server() {
    let booleans: [fn(&str) -> String; 6] = [
        |flag| format!("-{flag}"),
        |flag| format!("--{flag}"),
        |flag| format!("-{flag}=true"),
        |flag| format!("--{flag}=1"),
        |flag| format!("-{flag}=T"),
        |flag| format!("--{flag}=TRUE"),
    ];
    let dir = process::folder("not a config");
    std::fs::write(dir.path().join("other.yaml"), CONFIG).unwrap();
    for (n, boolean) in booleans.into_iter().enumerate() {
        let mut args: Vec<String> = BOOLEANS.into_iter().map(boolean).collect();
        for (flag, value) in VALUES {
            args.extend(SPELLINGS[n % SPELLINGS.len()](flag, value));
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let server = Process::start(&mut process::command(dir.path(), &args));
        Client::connect(server.http)
            .request("POST", "/acquire?type=t&state=free&dest=busy&owner=me")
            .expect_status(200);
        assert_eq!(Client::connect(server.health).request("GET", "/healthz/ready").text(), "OK");
        let info = Client::connect(server.http).request("GET", "/api/v1/info").json();
        assert_eq!(info["store"], "memory");
        assert_eq!((&info["limits"]["request_ttl"], &info["limits"]["max_wait"]), (&"1m30s".into(), &"20s".into()));
        server.signal(Signal::TERM);
        assert_eq!(server.wait().0, 0);
    }
}

#[test]
fn false_booleans_are_false() {
    for value in ["false", "0", "f", "F", "False", "FALSE"] {
        let args = parse(&[&format!("-in_memory={value}"), &format!("--enable-leader-election={value}")]).unwrap();
        assert!(!args.serve.in_memory && !args.serve.enable_leader_election, "{value}");
    }
    assert!(parse(&["--in_memory=yes"]).is_err());
}

#[test]
fn boolean_takes_no_separate_word() {
    let error = parse(&["--in_memory", "false"]).unwrap_err().to_string();
    assert!(error.contains("--in_memory=false"), "{error}");
}

#[test]
fn defaults_are_those_that_manifests_count_on() {
    let serve = parse(&[]).unwrap().serve;
    assert_eq!(serve.config.to_str(), Some("config.yaml"));
    assert_eq!((serve.port, serve.listen.health_port, serve.listen.metrics_port), (8080, 8081, 9090));
    assert_eq!((serve.namespace.as_str(), serve.log.log_level), ("default", LogLevel::Info));
    assert_eq!(serve.request_ttl.to_std_or_zero(), Duration::from_secs(30));
    assert_eq!(serve.dynamic_resource_update_period.to_std_or_zero(), Duration::from_secs(600));
    assert_eq!(serve.max_wait.to_std_or_zero(), Duration::from_secs(50));
    assert!(!serve.in_memory && !serve.enable_leader_election);
    assert_eq!((serve.kubeconfig, serve.projected_token_file), (None, None));
    assert_eq!(serve.leader_label_key, "boskos-leader");
}

#[test]
fn log_levels_are_read_in_any_case() {
    for level in ["panic", "fatal", "error", "warn", "warning", "info", "debug", "trace"] {
        for level in [level.to_owned(), level.to_uppercase(), format!("{}{}", level[..1].to_uppercase(), &level[1..])] {
            parse(&["--log-level", &level]).unwrap_or_else(|error| panic!("{error}"));
        }
    }
    assert!(parse(&["--log-level=loud"]).is_err());
}

#[test]
fn bad_flags_are_one_line_and_name_the_way_out() {
    let dir = process::folder(CONFIG);
    for (args, text) in [
        (&["--prot=80"][..], "unknown flag --prot; the nearest is --port"),
        (&["-in-memroy"], "unknown flag --in-memroy; the nearest is --in_memory"),
        (&["--request-tll", "1s"], "unknown flag --request-tll; the nearest is --request-ttl"),
        (&["--port"], "flag --port needs a value"),
    ] {
        assert_eq!(process::run(dir.path(), args), (1, String::new(), format!("{text}\n")), "{args:?}");
    }
    for args in
        [&["--port=99999"][..], &["--max-connections=0"], &["--request-ttl=30"], &["--log-level=loud"], &["word"]]
    {
        let (code, output, errors) = process::run(dir.path(), args);
        assert_eq!((code, output.as_str(), errors.matches('\n').count()), (1, "", 1), "{errors}");
    }
}

/// Runs it to its end, which must be a failure: the last line says why.
fn fatal(args: &[&str], config: &str) -> String {
    let dir = process::folder(config);
    let (code, output, errors) = process::run(dir.path(), args);
    assert_eq!((code, output.as_str()), (1, ""), "{errors}");
    let lines: Vec<Value> = errors.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let fatal: Vec<&Value> = lines.iter().filter(|line| line["level"] == "fatal").collect();
    assert!(fatal.len() == 1 && lines.last() == Some(fatal[0]), "{errors}");
    fatal[0]["msg"].as_str().unwrap().to_owned()
}

#[test]
fn port_in_use_is_named_with_its_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for flag in ["port", "health-port", "metrics-port"] {
        let own = format!("--{flag}={port}");
        let args: Vec<&str> = QUIET.into_iter().chain([own.as_str()]).collect();
        assert_eq!(
            fatal(&args, CONFIG),
            format!("port {port} is in use: cannot listen on 127.0.0.1:{port}; choose another with --{flag}")
        );
    }
}

#[test]
fn bad_config_ends_the_process_with_every_reason() {
    let why = fatal(&QUIET, "resources:\n- {type: t, names: [Not_ok, a, a]}\n- {names: [b]}\n");
    for reason in ["config.yaml", ".0.names.0(Not_ok)", ".0.names.2(a)", ".1"] {
        assert!(why.contains(reason), "{reason} is missing: {why}");
    }
    let missing: Vec<&str> = QUIET.into_iter().chain(["--config=nope.yaml"]).collect();
    let why = fatal(&missing, CONFIG);
    assert!(why.contains("nope.yaml") && why.contains("--config"), "{why}");
}

#[test]
fn flags_that_contradict_each_other_or_ask_for_what_is_not_there_are_fatal() {
    let with = |more: &[&str]| fatal(&[&QUIET[..4], more].concat(), CONFIG);
    assert!(with(&["--in_memory", "--storage=sqlite"]).contains("contradict"));
    assert!(with(&["--kubeconfig=/nowhere"]).contains("cannot use the kubeconfig /nowhere"));
    assert!(with(&["--in_memory", "--request-ttl=0s"]).contains("--request-ttl"));
    assert!(with(&["--in_memory", "--max-wait=-1s"]).contains("--max-wait must not be negative"));
}

#[test]
fn a_data_folder_that_is_not_used_is_warned_of() {
    let dir = process::folder(CONFIG);
    let args = [&QUIET[..], &["--data-dir=unused"]].concat();
    let running = Process::start(&mut process::command(dir.path(), &args));
    let warned = running.start_log.iter().find(|line| line["data_dir"] == "unused").unwrap();
    assert_eq!((&warned["level"], dir.path().join("unused").exists()), (&Value::from("warning"), false), "{warned}");
}

#[test]
fn version_and_help_are_output() {
    let dir = process::folder(CONFIG);
    let (code, version, errors) = process::run(dir.path(), &["--version"]);
    assert!(code == 0 && errors.is_empty() && version.starts_with("boskos-server "), "{version}{errors}");
    let (code, help, errors) = process::run(dir.path(), &["-help"]);
    assert!(code == 0 && errors.is_empty(), "{errors}");
    for (flag, _) in VALUES {
        assert!(help.contains(&format!("--{flag}")), "{flag} is not in the help");
    }
}
