//! A log that nobody reads costs lines, never answers.

use crate::harness::{
    client::Client,
    process::{self, Process, QUIET},
};

/// More lines than a pipe and the queue before it hold.
const REQUESTS: u64 = 30_000;

#[test]
fn log_that_nobody_reads_costs_lines_that_are_counted_and_no_answer() {
    let dir = process::folder("resources:\n- {type: t, state: free, names: [n]}\n");
    let running = Process::start(process::command(dir.path(), &QUIET).arg("--log-level=debug"));
    let mut client = Client::connect(running.http);
    // From here on, until all are answered, nobody reads.
    for _ in 0..REQUESTS / 100 {
        for _ in 0..100 {
            client.send_request("GET", "/metric?type=t");
        }
        for _ in 0..100 {
            client.response().expect_status(200);
        }
    }
    running.signal(rustix::process::Signal::TERM);
    let (code, lines) = running.wait();
    assert_eq!(code, 0);
    let dropped: u64 = lines.iter().filter_map(|line| line["dropped"].as_u64()).sum();
    assert!(dropped > 0, "the log was never full");
    let told = lines.iter().filter(|line| line["level"] == "debug").count() as u64;
    assert!(told + dropped >= REQUESTS, "{told} lines and {dropped} dropped of {REQUESTS} requests");
    let reports: Vec<_> = lines.iter().filter(|line| !line["dropped"].is_null()).collect();
    assert!(reports.iter().all(|line| line["level"] == "warning"), "{reports:?}");
}
