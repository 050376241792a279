//! The contract's flags of the command lines in every spelling; each daemon and the server have tests of their own.

use boskos_testkit::{command, spellings};

use crate::fleet::{Fleet, becomes, binary, ended};

/// Flags of the past, on every binary.
const IGNORED: [(&str, &str); 2] = [("pprof-port", "6060"), ("memory-profile-interval", "30s")];
const IGNORED_BOOLEAN: [&str; 1] = ["profile-memory-usage"];

/// Command lines of `verb`, in each spelling: with the flags that all verbs have before it, and behind it.
fn lines(verb: &str, common: &[(&str, &str)], own: &[(&str, &str)]) -> Vec<Vec<String>> {
    let (common, own) = (spellings(common, &IGNORED_BOOLEAN), spellings(own, &[]));
    let pairs = common.into_iter().zip(own);
    pairs
        .flat_map(|(common, own)| {
            let verb = vec![verb.to_owned()];
            [[common.clone(), verb.clone(), own.clone()].concat(), [verb, own, common].concat()]
        })
        .collect()
}

/// Runs a binary: its output, and that all was well.
async fn run(name: &str, line: &[String]) -> String {
    let args: Vec<&str> = line.iter().map(String::as_str).collect();
    let (well, output, errors) = ended(command(&binary(name), &args).spawn().unwrap()).await;
    assert!(well && errors.is_empty(), "{line:?}: {errors}");
    output
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boskosctl_takes_every_flag_in_every_spelling_before_and_behind_its_verb() {
    let fleet = Fleet::start("- {type: thing, state: free, names: [t1]}").await;
    let (url, password, me) = (fleet.url(), fleet.path("password"), fleet.client("me"));
    std::fs::write(&password, "word").unwrap();
    let server = [("server-url", &*url), ("owner-name", "me"), ("username", "bob"), ("password-file", &*password)];
    let common = [&server[..], &[("log-level", "WARN")], &IGNORED].concat();

    let acquire = [("type", "thing"), ("state", "free"), ("target-state", "busy"), ("timeout", "10s")];
    for line in lines("acquire", &common, &acquire) {
        let output = run("boskosctl", &line).await;
        assert!(output.starts_with(r#"{"type":"thing","name":"t1","state":"busy","owner":"me""#), "{line:?}: {output}");
        me.release("t1", "free").await.unwrap();
    }
    for line in lines("release", &common, &[("name", "t1"), ("target-state", "done")]) {
        me.acquire("thing", "free", "busy").await.unwrap();
        assert_eq!(run("boskosctl", &line).await, "released resource \"t1\"\n", "{line:?}");
        me.acquire("thing", "done", "busy").await.unwrap();
        me.release("t1", "free").await.unwrap();
    }
    for line in lines("metrics", &common, &[("type", "thing")]) {
        assert!(run("boskosctl", &line).await.starts_with(r#"{"type":"thing","current":{"free":1}"#), "{line:?}");
    }
    let resource = me.acquire("thing", "free", "busy").await.unwrap().to_json();
    let beat = [("resource", &*resource), ("period", "20ms"), ("timeout", "500ms"), ("retries", "3")];
    for line in lines("heartbeat", &common, &beat) {
        let output = run("boskosctl", &line).await;
        assert!(output.starts_with("heartbeat sent for resource \"t1\"\n"), "{line:?}: {output}");
        assert!(output.ends_with("reached timeout, stopping heartbeats for resource \"t1\"\n"), "{line:?}: {output}");
    }
    me.release("t1", "free").await.unwrap();
    becomes(&me, "t1", "free").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkconfig_takes_every_flag_in_every_spelling() {
    let fleet = Fleet::prepare("- {type: thing, state: free, names: [t1]}");
    std::fs::write(fleet.path("bad.yaml"), "resources: [{type: t, names: [Foo]}]").unwrap();
    let (good, bad) = (fleet.path("config.yaml"), fleet.path("bad.yaml"));
    for line in spellings(&[&[("config", &*good), ("log-level", "Warning")], &IGNORED[..]].concat(), &IGNORED_BOOLEAN) {
        assert_eq!(run("checkconfig", &line).await, "", "{line:?}");
    }
    for line in spellings(&[("config", &bad)], &IGNORED_BOOLEAN) {
        let args: Vec<&str> = line.iter().map(String::as_str).collect();
        let (well, output, errors) = ended(command(&binary("checkconfig"), &args).spawn().unwrap()).await;
        assert!(!well && output.is_empty() && errors.contains("(Foo)"), "{line:?}: {errors}");
    }
}
