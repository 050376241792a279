//! The pass of the reaper.

use std::time::Duration;

use boskos_client::{
    Client, Clock,
    frame::{Frame, Pass as _, Pool},
    types::TypeSelection,
};
use boskos_reaper::{Flags, OWNER, Reaper};
use boskos_runtime::{flags, signal::Shutdown};
use boskos_testkit::{Logs, OlderServer, Server, look};

const CONFIG: &str = "resources:
- {type: thing, state: free, names: [busy, cleaning, leased, used, unowned]}
- {type: other, state: free, names: [other]}
";

fn reaper(client: &Client, types: TypeSelection, args: &[&str]) -> (Reaper, Frame) {
    let frame = Frame::assemble("boskos-reaper", client.clone(), Shutdown::new()).unwrap();
    let flags: Flags = flags::try_parse_from(["boskos-reaper"].iter().chain(args)).unwrap();
    let reaper = Reaper::new(client.clone(), frame.work.clone(), &frame.registry, types, &flags).unwrap();
    (reaper, frame)
}

async fn pass(reaper: &mut Reaper) {
    reaper.pass(&mut Pool::new(1, Shutdown::new())).await.unwrap();
}

/// Each is in the state that it is called after, owned by `me`; `unowned` is busy and nobody's.
async fn scene() -> (Server, Client) {
    let server = Server::start(CONFIG).await;
    let me = server.client("me");
    for name in ["busy", "cleaning", "leased", "used"] {
        me.acquire_by_state("free", name, &[name.into()]).await.unwrap();
    }
    me.acquire_by_state("free", "busy", &["other".into()]).await.unwrap();
    me.acquire_by_state("free", "busy", &["unowned".into()]).await.unwrap();
    me.release("unowned", "busy").await.unwrap();
    (server, me)
}

async fn stands(client: &Client) -> Vec<String> {
    let mut all = Vec::new();
    for name in ["busy", "cleaning", "leased", "used", "unowned", "other"] {
        let (state, owner) = look(client, name).await;
        all.push(format!("{name}: {state} {owner}"));
    }
    all
}

#[tokio::test]
async fn stale_owned_resources_in_the_three_states_are_taken_back_and_no_others() {
    let (server, me) = scene().await;
    let (mut reaper, frame) = reaper(&server.client(OWNER), TypeSelection::fixed(["thing".into()]), &["--expire=0s"]);
    pass(&mut reaper).await;
    let expected =
        ["busy: dirty ", "cleaning: dirty ", "leased: dirty ", "used: used me", "unowned: busy ", "other: busy me"];
    assert_eq!(stands(&me).await, expected);
    assert_eq!((frame.work.done("thing"), frame.work.done("other")), (3, 0));
    assert!(frame.client.held().is_empty());
}

#[tokio::test]
async fn extra_states_target_state_and_all_types_are_as_the_flags_say() {
    let (server, me) = scene().await;
    let args = ["--expire", "0s", "--extra-source-states=used,,busy", "--target-state=clean"];
    let (mut reaper, _frame) = reaper(&server.client(OWNER), TypeSelection::all(), &args);
    pass(&mut reaper).await;
    let expected =
        ["busy: clean ", "cleaning: clean ", "leased: clean ", "used: clean ", "unowned: busy ", "other: clean "];
    assert_eq!(stands(&me).await, expected);
}

#[tokio::test]
async fn types_expire_after_times_of_their_own_and_what_is_fresh_stays() {
    let (server, me) = scene().await;
    let args = ["-expire=0s", "-expire-type", "thing=1h"];
    let (mut reaper, _frame) = reaper(&server.client(OWNER), TypeSelection::all(), &args);
    pass(&mut reaper).await;
    assert_eq!(look(&me, "busy").await, ("busy".into(), "me".into()));
    assert_eq!(look(&me, "other").await, ("dirty".into(), String::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_reaper_amid_work_takes_nothing_that_is_alive_and_nothing_twice() {
    let names: Vec<String> = (0..50).map(|number| format!("stale{number:02}")).collect();
    let server =
        Server::start(&format!("resources: [{{type: thing, state: free, names: [alive, {}]}}]", names.join(", ")))
            .await;
    let (dead, living) = (server.client("dead"), server.client("living"));
    living.acquire_by_state("free", "busy", &["alive".into()]).await.unwrap();
    for name in &names {
        dead.acquire_by_state("free", "busy", &[name.as_str().into()]).await.unwrap();
    }
    let holder = living.clone();
    let beating = tokio::spawn(async move {
        loop {
            holder.sync_all().await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    tokio::time::sleep(Duration::from_secs(4)).await;
    let (mut one, frame_one) = reaper(&server.client(OWNER), TypeSelection::all(), &["--expire=4s"]);
    let (mut two, frame_two) = reaper(&server.client(OWNER), TypeSelection::all(), &["--expire=4s"]);
    for _ in 0..3 {
        tokio::join!(pass(&mut one), pass(&mut two));
    }
    assert_eq!(frame_one.work.done("thing") + frame_two.work.done("thing"), 50);
    assert_eq!(look(&living, "alive").await, ("busy".into(), "living".into()));
    for name in &names {
        assert_eq!(look(&living, name).await, ("dirty".into(), String::new()), "{name}");
    }
    beating.abort();
}

#[tokio::test]
async fn an_older_server_is_asked_once_a_pass_for_each_type_and_state() {
    let server = OlderServer::start(|line| match line.contains("state=leased") {
        true => (200, r#"{"t1":"me"}"#.to_owned()),
        false => (200, "{}".to_owned()),
    })
    .await;
    let client = Client::builder(server.url(), OWNER).without_proxies().build().unwrap();
    let (mut reaper, frame) = reaper(&client, TypeSelection::fixed(["a".into(), "b".into()]), &["--expire=5m"]);
    pass(&mut reaper).await;
    pass(&mut reaper).await;
    assert_eq!((frame.work.done("a"), frame.work.done("b")), (2, 2));
    assert_eq!(server.with("POST /reset?").len(), 2 * 2 * 3);
    assert_eq!(server.with("expire=5m").len(), 2 * 2 * 3);
}

#[tokio::test]
async fn a_state_that_nobody_takes_from_for_a_day_is_reported_once() {
    let server = Server::start(
        "resources:
- {type: thing, state: misspelt, names: [a, b]}
- {type: quick, state: waiting, names: [c]}
- {type: idle, state: free, names: [d]}
- {type: part, state: a, names: [e]}
",
    )
    .await;
    let (clock, hand) = Clock::manual();
    let client = server.builder(OWNER).clock(clock).build().unwrap();
    let (mut reaper, frame) = reaper(&client, TypeSelection::all(), &[]);
    let logs = Logs::capture();
    pass(&mut reaper).await;
    for _ in 0..23 {
        hand.advance(Duration::from_secs(3600));
        pass(&mut reaper).await;
    }
    assert_eq!(logs.with("nobody takes"), Vec::<String>::new());
    let me = server.client("me");
    me.acquire("quick", "waiting", "waiting").await.unwrap();
    me.release("c", "waiting").await.unwrap();
    for _ in 0..5 {
        hand.advance(Duration::from_secs(3600));
        pass(&mut reaper).await;
    }
    let said = logs.with("nobody takes");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("type=thing") && said[0].contains("state=misspelt"), "{said:?}");
    let shown = frame.registry.gather().into_iter().find(|family| family.name() == "boskos_reaper_untaken_states");
    assert_eq!(shown.unwrap().get_metric().len(), 1);

    // Taken from, then left alone again: that is news.
    for name in ["a", "b"] {
        me.acquire_by_state("misspelt", "misspelt", &[name.into()]).await.unwrap();
        me.release(name, "misspelt").await.unwrap();
    }
    for _ in 0..26 {
        hand.advance(Duration::from_secs(3600));
        pass(&mut reaper).await;
    }
    assert_eq!(logs.with("state=misspelt").len(), 2);
}
