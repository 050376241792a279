//! The config is followed while the server runs.

use std::{fs, os::unix::fs::symlink, path::Path, sync::Arc, time::Duration};

use boskos_server::store::SqliteStore;
use serde_json::{Value, json};

use crate::{
    harness::{Server, eventually, for_each_store, with_server},
    store_support::options,
};

const CONFIG: &str = "resources: [{type: t, state: dirty, names: [a, b]}, {type: u, names: [z]}]";

/// Replaces the config as editors and deployments do: beside it, then renamed.
fn configure(server: &Server, config: &str) {
    let new = server.dir.path().join("config.new");
    fs::write(&new, config).unwrap();
    fs::rename(new, server.config_path()).unwrap();
}

/// Waits until a config with this marker resource, or a later one, is applied.
fn configure_and_await(server: &Server, config: &str, query: &str, names: &[&str]) {
    configure(server, config);
    server.await_names(query, names);
}

fn lifecycle(server: &Server, r#type: &str) -> Option<Value> {
    let all = server.get("/api/v1/lifecycles").expect_status(200).json();
    all.as_array().unwrap().iter().find(|shown| shown["type"] == r#type).cloned()
}

#[test]
fn renamed_rewritten_and_removed_files_are_followed() {
    with_server(CONFIG, |server| {
        configure_and_await(server, "resources: [{type: t, names: [a, b, c]}]", "", &["a", "b", "c"]);
        // In place.
        fs::write(server.config_path(), "resources: [{type: t, names: [a, c]}]").unwrap();
        server.await_names("", &["a", "c"]);
        // Gone for a while: the old one stays.
        fs::remove_file(server.config_path()).unwrap();
        fs::write(server.config_path(), "resources: [{type: t, names: [a, d]}]").unwrap();
        server.await_names("", &["a", "d"]);
        assert_eq!(server.standing("a").0, "dirty", "an existing resource keeps its state");
        assert_eq!(server.standing("d").0, "free");
    });
}

/// A folder as Kubernetes mounts a ConfigMap: `config.yaml` → `..data/config.yaml`, `..data` → a folder.
fn mount(dir: &Path, version: &str, config: &str) {
    let folder = dir.join(version);
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("config.yaml"), config).unwrap();
    let before = fs::read_link(dir.join("..data")).ok();
    symlink(version, dir.join("..data_tmp")).unwrap();
    fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
    if let Some(before) = before {
        fs::remove_dir_all(dir.join(before)).unwrap();
    }
}

#[test]
fn config_map_that_changes_by_a_swap_of_links_is_followed() {
    for_each_store(|store| {
        let mounted = tempfile::tempdir().unwrap();
        mount(mounted.path(), "..1", "resources: [{type: t, names: [a]}]");
        symlink("..data/config.yaml", mounted.path().join("config.yaml")).unwrap();
        let server = Server::start_with(store, "", |options| options.config = mounted.path().join("config.yaml"));
        server.await_names("", &["a"]);
        for (version, names) in [("..2", &["a", "b"][..]), ("..3", &["b"]), ("..4", &["b", "c", "d"])] {
            mount(mounted.path(), version, &format!("resources: [{{type: t, names: {names:?}}}]"));
            server.await_names("", names);
        }
    });
}

#[test]
fn period_and_word_of_the_operator_have_the_config_read_again() {
    for_each_store(|store| {
        // The file is outside of what is watched: a link to it does not change.
        let outside = tempfile::tempdir().unwrap();
        let inner = outside.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("config.yaml"), "resources: [{type: t, names: [a]}]").unwrap();
        symlink("inner", outside.path().join("link")).unwrap();
        let path = outside.path().join("link/config.yaml");
        let server = Server::start_with(store, "", |options| options.config = path.clone());
        let other = outside.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("config.yaml"), "resources: [{type: t, names: [a, b]}]").unwrap();
        fs::remove_file(outside.path().join("link")).unwrap();
        symlink("other", outside.path().join("link")).unwrap();
        server.reread_config();
        server.await_names("", &["a", "b"]);

        let period = Duration::from_millis(50);
        let server = Server::start_with(store, "", |options| (options.config, options.update_period) = (path, period));
        fs::remove_file(outside.path().join("link")).unwrap();
        symlink("inner", outside.path().join("link")).unwrap();
        server.await_names("", &["a"]);
    });
}

#[test]
fn added_names_start_unowned_in_the_entrys_state() {
    with_server(CONFIG, |server| {
        let config = "resources: [{type: t, state: dirty, names: [a, b, c]}, {type: u, names: [z]}, \
                      {type: t, state: odd, names: [d]}, {type: new, names: [m]}]";
        configure_and_await(server, config, "", &["a", "b", "c", "d", "m", "z"]);
        let free = |state: &str| (state.to_owned(), String::new());
        assert_eq!(["c", "d", "m"].map(|name| server.standing(name)), [free("dirty"), free("odd"), free("free")]);
        server.post("/acquire?type=new&state=free&dest=busy&owner=me").expect_status(200);
    });
}

#[test]
fn removed_names_go_at_once_or_when_their_owner_lets_go() {
    with_server(CONFIG, |server| {
        assert_eq!(server.take("t", "dirty", "me"), "a");
        configure_and_await(server, "resources: [{type: u, names: [z]}]", "", &["a", "z"]);
        // Its owner goes on with it.
        server.post("/update?name=a&owner=me&state=busy").expect_empty();
        server.release("a", "free", "me");
        server.await_names("", &["z"]);
        server
            .post("/acquire?type=t&state=free&dest=busy&owner=me")
            .expect_error(404, "Acquire failed: resource type \"t\" does not exist");
        server.get("/metric?type=t").expect_error(404, "no available resource t, try again later.");
    });
}

#[test]
fn removed_name_is_deleted_by_a_reset_too_and_spared_if_it_returns() {
    with_server(CONFIG, |server| {
        assert_eq!(server.take("t", "dirty", "me"), "a");
        assert_eq!(server.take("t", "dirty", "me"), "b");
        configure_and_await(server, "resources: [{type: u, names: [z, w]}]", "type=u", &["w", "z"]);
        let back = "resources: [{type: u, names: [z, v, w]}, {type: t, names: [b]}]";
        configure_and_await(server, back, "type=u", &["v", "w", "z"]);
        server.post("/reset?type=t&state=busy&expire=0s&dest=dirty").expect_text(r#"{"a":"me","b":"me"}"#);
        server.await_names("type=t", &["b"]);
    });
}

#[test]
fn name_that_moves_to_another_type_is_made_anew() {
    with_server(CONFIG, |server| {
        assert_eq!(server.take("t", "dirty", "me"), "a");
        server.post_body("/update?name=a&owner=me&state=busy", r#"{"k":"v"}"#).expect_empty();
        configure_and_await(server, "resources: [{type: u, state: clean, names: [a, b, z]}]", "type=u", &["b", "z"]);
        assert_eq!(server.standing("b").0, "clean");
        assert_eq!(server.standing("z").0, "free");
        // What is owned follows when it is let go.
        assert_eq!(server.resource("a").unwrap()["type"], "t");
        server.release("a", "dirty", "me");
        server.await_names("type=u", &["a", "b", "z"]);
        let made = server.resource("a").unwrap();
        assert_eq!((&made["state"], &made["userdata"]), (&json!("clean"), &json!({})));
    });
}

#[test]
fn one_that_cannot_change_yet_holds_up_no_other() {
    with_server(CONFIG, |server| {
        assert_eq!(server.take("t", "dirty", "me"), "a");
        let config = "resources: [{type: u, names: [a, c]}, {type: v, names: [z]}]";
        configure_and_await(server, config, "", &["a", "c", "z"]);
        server.await_names("type=v", &["z"]);
        assert_eq!(server.standing("a"), ("busy".to_owned(), "me".to_owned()));
    });
}

#[test]
fn static_type_that_turns_dynamic_is_adopted_and_back() {
    with_server(CONFIG, |server| {
        assert_eq!(server.take("t", "dirty", "me"), "a");
        configure(server, "resources: [{type: t, state: free, min-count: 3, max-count: 4}, {type: u, names: [z]}]");
        eventually("a third one is made", || (server.names("type=t").len() == 3).then_some(()));
        assert!(server.resource("a").is_some() && server.resource("b").is_some(), "adopted, not deleted");
        server.release("a", "free", "me");
        assert_eq!(server.names("type=t").len(), 3);
        assert_eq!(lifecycle(server, "t").unwrap()["draining"], false);
        // Back: the listed names stay, the one that was made drains away.
        let made = server.names("type=t").into_iter().find(|name| name.len() == 36).unwrap();
        configure(server, CONFIG);
        eventually("given up", || (server.standing(&made).0 == "toBeDeleted").then_some(()));
        clean(server, "t", &made);
        server.await_names("type=t", &["a", "b"]);
        eventually("no lifecycle", || lifecycle(server, "t").is_none().then_some(()));
        assert_eq!(server.standing("a"), ("free".to_owned(), String::new()));
    });
}

/// What the cleaner does with a resource that is to be deleted.
fn clean(server: &Server, r#type: &str, name: &str) {
    let target = format!("/acquire?type={type}&state=toBeDeleted&dest=cleaning&owner=cleaner");
    assert_eq!(server.post(&target).expect_status(200).json()["name"], name);
    server.release(name, "tombstone", "cleaner");
}

#[test]
fn removed_dynamic_type_drains_to_its_last_resource() {
    let config = "resources: [{type: d, state: free, min-count: 2, max-count: 2}, {type: u, names: [z]}]";
    with_server(config, |server| {
        let held = server.take("d", "free", "me");
        configure(server, "resources: [{type: u, names: [z]}]");
        server.await_names("type=d&state=free", &[]);
        let draining = lifecycle(server, "d").unwrap();
        assert_eq!(
            (&draining["draining"], &draining["min-count"], &draining["max-count"]),
            (&json!(true), &json!(0), &json!(0))
        );
        let given_up = server.names("type=d&state=toBeDeleted");
        assert_eq!(given_up.len(), 1);
        clean(server, "d", &given_up[0]);
        server.await_names("type=d", &[&held]);
        // Owned ones are never touched; the type exists as long as they do.
        server.post(&format!("/update?name={held}&owner=me&state=busy")).expect_empty();
        assert!(lifecycle(server, "d").is_some());
        server.release(&held, "dirty", "me");
        server.await_names("type=d&state=toBeDeleted", &[&held]);
        clean(server, "d", &held);
        server.await_names("type=d", &[]);
        eventually("no lifecycle", || lifecycle(server, "d").is_none().then_some(()));
        server
            .post("/acquire?type=d&state=free&dest=busy&owner=me&request_id=1")
            .expect_error(404, "Acquire failed: resource type \"d\" does not exist");
    });
}

#[test]
fn static_names_that_leave_a_draining_type_are_deleted() {
    let rest = "{type: u, names: [z]}";
    let config = format!(
        "resources: [{{type: d, state: free, names: [a, b]}}, {{type: d, state: free, min-count: 1, max-count: 1}}, {rest}]"
    );
    with_server(&config, |server| {
        eventually("one is made", || (server.names("type=d").len() == 3).then_some(()));
        assert_eq!(server.take("d", "free", "me"), "a");
        // All of it goes at once.
        configure(server, &format!("resources: [{rest}]"));
        eventually("the name that nobody holds is gone", || server.resource("b").is_none().then_some(()));
        let made = server.names("type=d").into_iter().find(|name| name.len() == 36).unwrap();
        eventually("given up", || (server.standing(&made).0 == "toBeDeleted").then_some(()));
        assert_eq!(lifecycle(server, "d").unwrap()["draining"], true);
        assert_eq!(server.standing("a"), ("busy".to_owned(), "me".to_owned()));
        server.release("a", "dirty", "me");
        server.await_names("type=d", &[&made]);
        clean(server, "d", &made);
        eventually("no lifecycle", || lifecycle(server, "d").is_none().then_some(()));
    });
}

#[test]
fn min_and_max_follow_the_config() {
    let config = |min: u32, max: u32| {
        format!("resources: [{{type: d, state: free, min-count: {min}, max-count: {max}}}, {{type: u, names: [z]}}]")
    };
    with_server(&config(1, 2), |server| {
        let free = || server.names("type=d&state=free");
        assert_eq!(free().len(), 1);
        configure(server, &config(4, 5));
        eventually("min is made", || (free().len() == 4).then_some(()));
        let held = server.take("d", "free", "me");
        configure(server, &config(1, 2));
        eventually("max is held", || (server.names("type=d&state=toBeDeleted").len() == 2).then_some(()));
        // The highest names of those that nobody owns went.
        let (mut stay, gone) = (free(), server.names("type=d&state=toBeDeleted"));
        assert_eq!(stay.len(), 1);
        assert!(gone.iter().all(|name| *name > stay[0]), "{gone:?} are behind {stay:?}");
        assert_eq!(server.standing(&held), ("busy".to_owned(), "me".to_owned()));
        // On their way out they do not count, though they are cleaned.
        let cleaned = server.post("/acquire?type=d&state=toBeDeleted&dest=cleaning&owner=cleaner").json();
        stay.push(held.clone());
        server.release(cleaned["name"].as_str().unwrap(), "tombstone", "cleaner");
        eventually("one is deleted", || (server.names("type=d").len() == 3).then_some(()));
        assert!(stay.iter().all(|name| server.resource(name).is_some()));
    });
}

#[test]
fn expired_resources_are_given_up_and_replaced() {
    let config = "resources: [{type: d, state: free, min-count: 1, max-count: 2, lifespan: 1ms}]";
    with_server(config, |server| {
        let held = server.take("d", "free", "me");
        server.release(&held, "free", "me");
        // The wait ends with the first match.
        server.get("/api/v1/resources?type=d&state=toBeDeleted&wait=50s").expect_status(200);
        server.await_names("state=toBeDeleted", &[&held]);
        clean(server, "d", &held);
        eventually("replaced", || {
            let names = server.names("type=d");
            (names.len() == 1 && names[0] != held).then_some(())
        });
    });
}

#[test]
fn lifespan_that_is_taken_away_keeps_dates_and_a_static_type_clears_them() {
    let config = |entry: &str| format!("resources: [{{type: d, state: free, {entry}}}, {{type: u, names: [z]}}]");
    with_server(&config("min-count: 1, max-count: 1, lifespan: 48h"), |server| {
        let date = |name: &str| server.resource(name).unwrap()["expiration-date"].as_str().map(str::to_owned);
        let name = server.take("d", "free", "me");
        server.release(&name, "free", "me");
        let dated = date(&name).unwrap();
        configure(server, &config("min-count: 1, max-count: 1"));
        eventually("no lifespan", || lifecycle(server, "d").unwrap().get("lifespan").is_none().then_some(()));
        server.take("d", "free", "me");
        server.release(&name, "free", "me");
        assert_eq!(date(&name), Some(dated));
        configure(server, &config(&format!("names: [{name}]")));
        eventually("no lifecycle", || lifecycle(server, "d").is_none().then_some(()));
        server.take("d", "free", "me");
        server.release(&name, "free", "me");
        assert_eq!(date(&name), None);
    });
}

#[test]
fn type_both_static_and_dynamic_spares_the_listed_names() {
    let config =
        "resources: [{type: d, names: [a, b]}, {type: d, state: free, min-count: 1, max-count: 1, lifespan: 1ms}]";
    with_server(config, |server| {
        assert_eq!(server.names("type=d").len(), 3);
        for name in ["a", "b"] {
            server.post(&format!("/acquirebystate?names={name}&state=free&dest=busy&owner=me")).expect_status(200);
            server.release(name, "free", "me");
        }
        // The made one expires; the listed ones do not.
        let made = server.names("type=d").into_iter().find(|name| name.len() == 36).unwrap();
        server.post(&format!("/acquirebystate?names={made}&state=free&dest=busy&owner=me")).expect_status(200);
        server.release(&made, "free", "me");
        server.await_names("state=toBeDeleted", &[&made]);
        assert_eq!(server.standing("a").0, "free");
        assert_eq!(server.standing("b").0, "free");
    });
}

#[test]
fn bad_config_is_refused_and_the_old_one_stays() {
    with_server(CONFIG, |server| {
        for bad in
            ["resources: [", "resources: []", "", "resources: [{type: t, names: [a, a]}]", "resources: [{names: [q]}]"]
        {
            configure(server, bad);
            server.reread_config();
        }
        // A good one after it is taken; a, b and z were there all the time.
        let before = server.resource("a").unwrap();
        configure_and_await(server, &CONFIG.replace("[z]", "[z, w]"), "", &["a", "b", "w", "z"]);
        assert_eq!(server.resource("a").unwrap(), before);
    });
}

#[test]
fn names_that_turned_dynamic_while_no_server_ran_are_adopted_before_any_is_too_many() {
    let dir = tempfile::tempdir().unwrap();
    let start = |config: &str| {
        let store = SqliteStore::open(options(dir.path())).unwrap().store;
        Server::start_on(Arc::new(store), config)
    };
    let dynamic = |max: u32| format!("{{type: t, state: free, min-count: 1, max-count: {max}}}");
    let server = start(&format!("resources: [{{type: t, names: [a, b, c]}}, {}]", dynamic(1)));
    assert_eq!(server.names("state=free").len(), 4);
    server.stop();
    let server = start(&format!("resources: [{}]", dynamic(4)));
    assert_eq!((server.names("state=free").len(), server.names("").len()), (4, 4));
    server.stop();
}
