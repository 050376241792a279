//! Commands that fail: backoff, quarantine, the breaker.

use std::{fs, time::Duration};

use boskos_client::frame::{Pass as _, Progress};
use boskos_testkit::Logs;

use crate::scene::{Scene, Scripts, dirty, serve, stands};

const BACKOFF: Duration = Duration::from_secs(30);

/// Whether the metric says that `thing` pauses.
fn is_paused(scene: &Scene) -> bool {
    let families = scene.frame.registry.gather();
    let gauge = families.iter().find(|family| family.name() == "boskos_janitor_paused");
    gauge.is_some_and(|family| family.get_metric().iter().any(|metric| metric.get_gauge().get_value() > 0.0))
}

#[tokio::test]
async fn three_failures_are_counted_and_backed_off_from_and_the_fourth_run_frees() {
    let server = serve(&[dirty("thing", &["t1"])]).await;
    let scripts = Scripts::new();
    let script = scripts.write("clean", "echo $N >> $D/calls\ntest $(wc -l < $D/calls) -ge 4\n");
    let mut scene = Scene::new(&server, &["thing"], &script, &[]);
    let mut backoff = BACKOFF;
    for failures in 1..=3 {
        assert_eq!(scene.pass().await, Progress::Did);
        assert_eq!(stands(&scene.frame.client, "t1").await, format!("dirty  janitor-failures={failures}"));
        scene.pass().await;
        scene.later(backoff - Duration::from_millis(1));
        assert_eq!(scene.pass().await, Progress::Idle, "left alone");
        assert_eq!(scripts.lines("calls").len(), failures);
        scene.later(Duration::from_millis(1));
        backoff *= 2;
    }
    scene.pass().await;
    assert_eq!(stands(&scene.frame.client, "t1").await, "free");
    assert_eq!(scripts.lines("calls").len(), 4);
}

#[tokio::test]
async fn another_janitor_leaves_alone_what_just_failed() {
    let server = serve(&[dirty("thing", &["t1"])]).await;
    let scripts = Scripts::new();
    let script = scripts.write("clean", "echo $N >> $D/calls\nexit 1\n");
    let mut scene = Scene::new(&server, &["thing"], &script, &[]);
    scene.pass().await;
    let mut other = Scene::new(&server, &["thing"], &script, &[]);
    assert_eq!(other.pass().await, Progress::Idle);
    assert_eq!(scripts.lines("calls").len(), 1);
    assert!(other.janitor.interval() <= BACKOFF);
    other.later(BACKOFF);
    assert_eq!(other.pass().await, Progress::Did);
}

#[tokio::test]
async fn a_resource_that_alone_fails_is_quarantined_with_a_reason_and_nobody_else() {
    let server = serve(&[dirty("thing", &["bad", "good"])]).await;
    let scripts = Scripts::new();
    let script = scripts.write("clean", "echo $N >> $D/calls\ntest $N = good || exit 7\n");
    let mut scene = Scene::new(&server, &["thing"], &script, &["--quarantine-after=3"]);
    for _ in 0..5 {
        scene.settle().await;
        scene.later(Duration::from_secs(3600));
    }
    let expected = "quarantined  janitor-failures=3 \
                    janitor-reason=failed 3 times in a row; last: the command ended with exit status: 7";
    assert_eq!(stands(&scene.frame.client, "bad").await, expected);
    assert_eq!(stands(&scene.frame.client, "good").await, "free");
    assert_eq!(scripts.lines("calls").iter().filter(|name| *name == "bad").count(), 3);
    assert!(!is_paused(&scene));
}

#[tokio::test]
async fn expired_credentials_pause_the_type_and_count_against_nothing() {
    let names = ["t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8"];
    let server = serve(&[dirty("thing", &names), dirty("well", &["w1", "w2", "w3"])]).await;
    let scripts = Scripts::new();
    let script = scripts.write("clean", "echo $N >> $D/calls\ncase $N in w*) exit 0; esac\ntest -e $D/credentials\n");
    let mut scene = Scene::new(&server, &["thing", "well"], &script, &["--pool-size=2"]);
    let logs = Logs::capture();
    for _ in 0..200 {
        scene.settle().await;
        scene.later(Duration::from_secs(60));
    }
    assert!(is_paused(&scene));
    for name in names {
        assert_eq!(stands(&scene.frame.client, name).await, "dirty", "{name}: nothing was counted");
    }
    for name in ["w1", "w2", "w3"] {
        assert_eq!(stands(&scene.frame.client, name).await, "free", "its type goes on");
    }
    // Three hours: the first row, then one at a time, up to 15 min apart.
    let calls = scripts.lines("calls").iter().filter(|name| name.starts_with('t')).count();
    assert!((10..=40).contains(&calls), "{calls}");
    assert!(logs.with("quarantined").is_empty());
    let wakes = scene.janitor.wakes_on().map(|filter| filter.types);
    assert!(wakes.is_none_or(|types| types == ["well".into()]) || !is_paused(&scene));

    fs::write(scripts.path("credentials"), "").unwrap();
    scene.later(Duration::from_secs(15 * 60));
    scene.settle().await;
    assert!(!is_paused(&scene));
    for name in names {
        assert_eq!(stands(&scene.frame.client, name).await, "free");
    }
}

#[tokio::test]
async fn expired_credentials_quarantine_nobody_who_had_failed_before() {
    let fresh = ["t3", "t4", "t5", "t6"];
    let server = serve(&[dirty("thing", &["t1", "t2"]), dirty("thing", &fresh).replace("dirty", "free")]).await;
    let me = server.client("me");
    for name in ["t1", "t2"] {
        me.acquire_by_state("dirty", "x", &[name.into()]).await.unwrap();
        me.update(name, "x", &[("janitor-failures".to_owned(), Some("4".to_owned()))].into()).await.unwrap();
        me.release(name, "dirty").await.unwrap();
    }
    for pool in ["--pool-size=1", "--pool-size=6"] {
        let scripts = Scripts::new();
        let script = scripts.write("clean", "echo $N >> $D/calls\nexit 1\n");
        let mut scene = Scene::new(&server, &["thing"], &script, &[pool]);
        // First seen, they rest. Then they are due, and those that were dirty longest.
        scene.settle().await;
        scene.later(Duration::from_secs(3600));
        for name in fresh {
            if me.acquire_by_state("free", "x", &[name.into()]).await.is_ok() {
                me.release(name, "dirty").await.unwrap();
            }
        }
        scene.settle().await;
        assert!(is_paused(&scene));
        let calls = scripts.lines("calls");
        assert!(calls.contains(&"t1".to_owned()) && calls.contains(&"t2".to_owned()), "{calls:?}");
        for name in ["t1", "t2"] {
            assert_eq!(stands(&me, name).await, "dirty  janitor-failures=4", "{name}");
        }
        for name in fresh {
            assert_eq!(stands(&me, name).await, "dirty", "{name}");
        }
    }
}

#[tokio::test]
async fn a_command_that_went_missing_counts_against_nothing_and_is_found_again() {
    let server = serve(&[dirty("thing", &["t1", "t2"])]).await;
    let scripts = Scripts::new();
    let script = scripts.write("clean", "");
    let mut scene = Scene::new(&server, &["thing"], &script, &["--quarantine-after=1", "--breaker=100"]);
    fs::remove_file(&script).unwrap();
    let logs = Logs::capture();
    let missing = format!("--janitor-path: cannot run {}: No such file or directory (os error 2)", script.display());
    for _ in 0..20 {
        scene.settle().await;
        for name in ["t1", "t2"] {
            assert_eq!(stands(&scene.frame.client, name).await, "dirty");
        }
        scene.later(Duration::from_secs(15 * 60));
    }
    assert!(is_paused(&scene));
    // Both the line that it cannot be run and the one that the resource goes back say which, and why.
    for line in ["the command cannot be run", "not cleaned, and not counted"] {
        let lines = logs.with(line);
        assert!(!lines.is_empty() && lines.iter().all(|line| line.contains(&missing)), "{lines:?}");
    }
    // A file that is no program is no better.
    fs::write(&script, "no program").unwrap();
    scene.settle().await;
    assert_eq!(stands(&scene.frame.client, "t1").await, "dirty");
    let text = format!("--janitor-path: cannot run {}: not an executable file", script.display());
    assert!(!logs.with(&text).is_empty(), "{:?}", logs.with("cannot run"));
    scripts.write("clean", "exit 0");
    scene.later(Duration::from_secs(15 * 60));
    scene.settle().await;
    assert_eq!(stands(&scene.frame.client, "t1").await, "free");
    assert_eq!(stands(&scene.frame.client, "t2").await, "free");
}
