//! Who is cleaned, how, and in which order.

use boskos_client::frame::{Pass as _, Progress};
use boskos_testkit::{Logs, eventually};

use crate::scene::{Scene, Scripts, dirty, serve, stands};

#[tokio::test]
async fn the_command_gets_the_resource_and_the_arguments_and_what_it_cleaned_is_free() {
    let server = serve(&[dirty("gce-project", &["p1"]), dirty("thing", &["t1"]), dirty("other", &["o1"])]).await;
    let scripts = Scripts::new();
    let script = scripts.write("clean", "echo \"$@\" >> $D/calls\nreadlink /proc/self/fd/0 >> $D/stdin\n");
    let args = ["--pool-size=1", "--", "--hours=0", "two words"];
    let mut scene = Scene::new(&server, &["gce-project", "thing"], &script, &args);
    let mut before = Vec::new();
    while scene.begin().await == Progress::Did {
        let cleaning = async |name: &str| stands(&scene.frame.client, name).await == "cleaning Janitor";
        before.push((cleaning("p1").await, cleaning("t1").await));
        scene.pool.idle().await;
    }
    assert_eq!(scripts.lines("calls"), ["--project=p1 --hours=0 two words", "--thing=t1 --hours=0 two words"]);
    assert_eq!(scripts.lines("stdin"), ["/dev/null", "/dev/null"]);
    assert_eq!(before.len(), 2, "{before:?}");
    for name in ["p1", "t1"] {
        assert_eq!(stands(&scene.frame.client, name).await, "free");
    }
    assert_eq!(stands(&scene.frame.client, "o1").await, "dirty", "its type was not given");
    assert_eq!((scene.frame.work.done("gce-project"), scene.frame.work.done("other")), (1, 0));
}

#[tokio::test]
async fn types_take_turns() {
    let many: Vec<String> = (0..12).map(|number| format!("m{number:02}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let server = serve(&[dirty("a-many", &many), dirty("b-few", &["f1", "f2"]), dirty("c-one", &["c1"])]).await;
    let scripts = Scripts::new();
    let script = scripts.write("clean", "echo $N >> $D/calls\n");
    let mut scene = Scene::new(&server, &["a-many", "b-few", "c-one"], &script, &["--pool-size=1"]);
    scene.settle().await;
    let calls = scripts.lines("calls");
    assert_eq!(calls[..5], ["m00", "f1", "c1", "m01", "f2"], "{calls:?}");
    assert_eq!(calls.len(), 15);
}

#[tokio::test]
async fn no_more_than_the_pool_are_cleaned_at_a_time() {
    let names: Vec<String> = (0..9).map(|number| format!("t{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let server = serve(&[dirty("thing", &names)]).await;
    let scripts = Scripts::new();
    let script = scripts.write("clean", "echo $N >> $D/calls\nuntil test -e $D/go; do sleep 0.01; done\n");
    let mut scene = Scene::new(&server, &["thing"], &script, &["--pool-size=4"]);
    scene.begin().await;
    eventually("four", async || scripts.lines("calls").len() == 4).await;
    assert_eq!(scene.frame.client.held().len(), 4);
    scene.begin().await;
    assert_eq!(scene.pool.running(), 4);
    std::fs::write(scripts.path("go"), "").unwrap();
    // A pass that finds no room does nothing.
    scene.pool.idle().await;
    scene.settle().await;
    assert_eq!(scene.frame.work.done("thing"), 9);
}

#[tokio::test]
async fn types_have_commands_of_their_own() {
    let server = serve(&[dirty("a", &["a1"]), dirty("b", &["b1"])]).await;
    let scripts = Scripts::new();
    let script = scripts.write("clean", "echo default $N >> $D/calls\n");
    let own = format!("--janitor-path=b={}", scripts.write("own", "echo own $N >> $D/calls\n").display());
    let mut scene = Scene::new(&server, &["a", "b"], &script, &[&own]);
    scene.settle().await;
    let mut calls = scripts.lines("calls");
    calls.sort();
    assert_eq!(calls, ["default a1", "own b1"]);
}

#[tokio::test]
async fn output_is_logged_line_by_line_in_pieces_of_a_bounded_length() {
    let server = serve(&[dirty("thing", &["t1"])]).await;
    let scripts = Scripts::new();
    let script = scripts.write("clean", "echo one\necho two >&2\nhead -c 10000 /dev/zero | tr '\\0' x\nprintf end\n");
    let mut scene = Scene::new(&server, &["thing"], &script, &[]);
    let logs = Logs::capture();
    scene.pass().await;
    for word in ["output=\"one\"", "output=\"two\""] {
        assert_eq!(logs.with(word).len(), 1, "{word}");
    }
    let long = logs.with("xxx");
    assert_eq!(long.len(), 3);
    assert!(long.iter().all(|line| line.len() < 4300) && long[2].ends_with("xend\""), "{}", long[2]);
}

#[tokio::test]
async fn a_dry_run_says_what_it_would_do_and_does_nothing() {
    let server = serve(&[dirty("gce-project", &["p1"])]).await;
    let scripts = Scripts::new();
    let script = scripts.write("clean", "echo $N >> $D/calls\n");
    let mut scene = Scene::new(&server, &["gce-project"], &script, &["--dry-run", "--", "--hours=0"]);
    let before = scene.frame.client.resource("p1").await.unwrap();
    let logs = Logs::capture();
    scene.pass().await;
    scene.pass().await;
    let said = logs.with("dry run");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("--project=p1") && said[0].contains("--hours=0"), "{said:?}");
    assert_eq!(scene.frame.client.resource("p1").await.unwrap(), before);
    assert!(scripts.lines("calls").is_empty());
}

#[tokio::test]
async fn a_second_janitor_amid_work_disturbs_nothing() {
    let names: Vec<String> = (0..40).map(|number| format!("t{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let server = serve(&[dirty("thing", &names)]).await;
    let scripts = Scripts::new();
    // Fails if the same resource is being cleaned already.
    let script = scripts.write("clean", "echo $N >> $D/calls\nmkdir $D/$N || exit 1\nsleep 0.02\nrmdir $D/$N\n");
    let mut one = Scene::new(&server, &["thing"], &script, &["--pool-size=5"]);
    one.begin().await;
    let held: Vec<String> = one.frame.client.held().iter().map(|resource| resource.name.to_string()).collect();
    assert_eq!(held.len(), 5);
    let mut two = Scene::new(&server, &["thing"], &script, &["--pool-size=5"]);
    tokio::join!(one.settle(), two.settle());
    assert_eq!(one.frame.work.done("thing") + two.frame.work.done("thing"), 40);
    let mut calls = scripts.lines("calls");
    calls.sort();
    assert_eq!(calls, names, "each was cleaned once");
    assert!(two.janitor.wakes_on().is_some());
}
