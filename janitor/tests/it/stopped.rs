//! A janitor that was stopped for too long.

use boskos_client::GoDuration;
use boskos_testkit::{Daemon, eventually};
use rustix::process::Signal;

use crate::{
    process::BINARY,
    scene::{Scripts, dirty, serve},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn continued_after_another_of_its_name_took_over_it_frees_nothing() {
    // It fails as well as it succeeds without touching what is not its own.
    for code in [0, 1] {
        let server = serve(&[dirty("thing", &["t1"])]).await;
        let scripts = Scripts::new();
        let script = scripts
            .write("clean", &format!("echo $$ >> $D/pids\nuntil test -e $D/go; do sleep 0.01; done\nexit {code}\n"));
        let (url, path) = (server.url(), script.display().to_string());
        let daemon = Daemon::start(
            BINARY,
            &["--boskos-url", &url, "--resource-type=thing", "--janitor-path", &path, "--update-frequency=5m"],
        );
        eventually("it runs", async || !scripts.lines("pids").is_empty()).await;
        daemon.signal(Signal::STOP);
        // It expires, and a replica takes over.
        let replica = server.client("Janitor");
        replica.reset("thing", "cleaning", GoDuration::ZERO, "dirty").await.unwrap();
        replica.acquire("thing", "dirty", "cleaning").await.unwrap();
        let before = replica.resource("t1").await.unwrap();
        std::fs::write(scripts.path("go"), "").unwrap();
        daemon.signal(Signal::CONT);
        daemon.logged("is lost").await;
        assert_eq!(replica.resource("t1").await.unwrap(), before);
        let (stopped, _) = daemon.stop();
        assert_eq!(stopped, Some(0));
        assert_eq!(replica.resource("t1").await.unwrap(), before);
    }
}
