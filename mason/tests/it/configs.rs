//! Configs: read, judged, kept, followed.

use std::{fs, time::Duration};

use boskos_client::{Clock, Resource};
use boskos_core::WallTime;
use boskos_mason::{
    ConfigSource, MasonConfig, Storage,
    config::{ConfigFault, check_configs},
    parse_config,
    storage::StorageError,
    validate_config,
};

/// A config of older days.
const OLDER: &str = "configs:
- name: type2
  needs:
    type1: 1
  config:
    type: GCPResourceConfig
    content: |
      projectconfigs:
      - type: type1
        clusters:
        - machinetype: n1-standard-2
          numnodes: 4
          version: 1.7
";

fn config(name: &str, needs: &[(&str, u32)]) -> MasonConfig {
    MasonConfig {
        name: name.into(),
        needs: needs.iter().map(|(r#type, count)| ((*r#type).into(), *count)).collect(),
        config: boskos_core::LifecycleConfig { r#type: "Creator".to_owned(), content: String::new() },
    }
}

fn resource(name: &str, r#type: &str) -> Resource {
    Resource::new(name.into(), r#type.into(), "free".into(), WallTime::default())
}

#[test]
fn older_files_are_read() {
    let configs = parse_config(OLDER.as_bytes()).unwrap();
    assert_eq!(configs.len(), 1);
    assert_eq!(configs[0].name.as_str(), "type2");
    assert_eq!(configs[0].needs, [("type1".into(), 1)].into());
    assert_eq!(configs[0].config.r#type, "GCPResourceConfig");
    assert!(configs[0].config.content.starts_with("projectconfigs:\n- type: type1\n"));
    assert!(configs[0].config.content.contains("version: 1.7\n"));
}

#[test]
fn files_are_read_leniently_and_judged_by_their_shape() {
    for nothing in ["", "configs:", "configs: []", "other: 1", "{configs: null}"] {
        assert_eq!(parse_config(nothing.as_bytes()).unwrap(), [], "{nothing}");
    }
    let lenient = "x: &n {account: 2}\nCONFIGS: [{NAME: 12, needs: *n, config: {type: T, content: {}}}]";
    let wrong = parse_config(lenient.as_bytes()).unwrap_err().to_string();
    assert_eq!(wrong, ".0.config.content: must be text, is a mapping");
    assert_eq!(parse_config(b"{resources: [a], configs: []}").unwrap(), []);
    let configs = parse_config(lenient.replace("{}", "no").as_bytes()).unwrap();
    assert_eq!((configs[0].name.as_str(), configs[0].config.content.as_str()), ("12", "false"));
    assert_eq!(configs[0].needs, [("account".into(), 2)].into());
    for (text, said) in [
        ("[a]", "must be a mapping with the key configs, is a list"),
        ("configs: 1", ".configs: must be a list, is an integer"),
        (
            "configs: [1, {name: [a], needs: {b: -1}}]",
            ".0: must be a mapping, is an integer\n.1.name: must be text, is a list\n.1.needs.b: must be a count from 0 to 4294967295, is -1",
        ),
        ("configs: [", "line 1, column"),
        (
            "resources: [{type: t, names: [a]}]",
            "has the key resources, as a server's config has, and not the key configs",
        ),
    ] {
        let error = parse_config(text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(said), "{text}: {error}");
    }
}

#[test]
fn everything_wrong_is_told_at_once() {
    let good = [config("cluster", &[("account", 2)])];
    let there = [resource("c", "cluster"), resource("a", "account"), resource("b", "account")];
    validate_config(&good, &there).unwrap();
    assert_eq!(validate_config(&[], &there).unwrap_err().0, [ConfigFault::Empty]);
    let bad = [config("", &[]), config("cluster", &[]), MasonConfig { config: Default::default(), ..good[0].clone() }];
    let resources = [
        resource("c", "cluster"),
        resource("d", "cluster"),
        resource("a", "account"),
        resource("a", "x"),
        resource("", "x"),
    ];
    let faults = validate_config(&bad, &resources).unwrap_err();
    assert_eq!(
        faults.0,
        [
            ConfigFault::NoName { index: 0 },
            ConfigFault::Twice { index: 2, name: "cluster".into() },
            ConfigFault::NoConverter { index: 2 },
            ConfigFault::ResourceTwice("a".into()),
            ConfigFault::NamelessResource("x".into()),
            ConfigFault::TooFew { needed_type: "account".into(), needed: 4, available: 1 },
        ]
    );
    assert_eq!(faults.to_string().matches("; ").count(), 5);
    assert_eq!(check_configs(&bad).unwrap_err().0.len(), 3);
}

#[tokio::test]
async fn storage_keeps_configs_and_refuses_what_is_not_there() {
    let storage: Storage = Storage::default();
    let (one, two) = (config("one", &[]), config("two", &[("a", 1)]));
    storage.add(one.clone()).await.unwrap();
    assert_eq!(storage.add(one.clone()).await, Err(StorageError::Exists("one".into())));
    assert_eq!(storage.get(&"one".into()).await.unwrap(), one);
    assert_eq!(storage.get(&"two".into()).await, Err(StorageError::Missing("two".into())));
    assert_eq!(storage.update(two.clone()).await, Err(StorageError::Missing("two".into())));
    assert_eq!(storage.delete(&"two".into()).await, Err(StorageError::Missing("two".into())));
    let changed = config("one", &[("b", 3)]);
    storage.update(changed.clone()).await.unwrap();
    assert_eq!(storage.get(&"one".into()).await.unwrap(), changed);

    assert_eq!(storage.sync([changed.clone(), two.clone()]).await, Ok(1));
    assert_eq!(storage.sync([changed, two.clone()]).await, Ok(0));
    assert_eq!(storage.sync([one.clone(), config("three", &[])]).await, Ok(3));
    assert_eq!(storage.list().await.unwrap(), [one, config("three", &[])]);
    storage.delete(&"one".into()).await.unwrap();
    assert_eq!(storage.sync([]).await, Ok(1));
    assert_eq!(storage.list().await.unwrap(), []);
}

#[tokio::test]
async fn file_is_followed_and_read_again_every_ten_minutes_and_a_bad_one_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("configs.yaml");
    let (clock, hand) = Clock::manual();
    assert!(ConfigSource::file(&file, &clock).is_err());
    fs::write(&file, "configs: [{name: x}]").unwrap();
    let error = ConfigSource::file(&file, &clock).unwrap_err().to_string();
    assert!(error.ends_with("is not valid: .0.config.type: must be set"), "{error}");
    fs::write(&file, OLDER).unwrap();
    let mut source = ConfigSource::file(&file, &clock).unwrap();
    // No server is asked.
    let client = boskos_client::Client::builder("http://127.0.0.1:9", "mason").build().unwrap();
    let names = async |source: &mut ConfigSource| {
        let configs = source.current(&client).await.unwrap().configs;
        configs.into_iter().map(|config| config.name.as_str().to_owned()).collect::<Vec<_>>()
    };
    fs::write(&file, OLDER.replace("type2", "other")).unwrap();
    tokio::time::timeout(boskos_testkit::PATIENCE, source.changed()).await.unwrap();
    assert_eq!(names(&mut source).await, ["other"]);
    for bad in ["configs: [", "", "configs: [{name: x}]"] {
        fs::write(&file, bad).unwrap();
        hand.advance(Duration::from_secs(600));
        assert_eq!(names(&mut source).await, ["other"], "{bad:?}");
    }
    fs::remove_file(&file).unwrap();
    hand.advance(Duration::from_secs(600));
    assert_eq!(names(&mut source).await, ["other"]);
}
