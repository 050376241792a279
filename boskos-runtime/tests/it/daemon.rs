//! A whole process: its exit, its signals, its logs when nobody reads them.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, ChildStdout, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

fn daemon(args: &[&str]) -> Command {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().and_then(|deps| deps.parent()).unwrap().join("examples/daemon");
    assert!(program.exists(), "{program:?} is an example of this crate: `cargo test -p boskos-runtime` builds it");
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = daemon(args).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// The first signal, come again sooner than this, is still the same.
const SAME: Duration = Duration::from_secs(1);

/// How long anything may take on a machine under load.
const PATIENCE: Duration = Duration::from_secs(60);

/// A daemon on free ports, started and heard.
struct Started {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Started {
    fn new(args: &[&str]) -> Self {
        let ports = ["--listen-address=127.0.0.1", "--health-port=0", "--metrics-port=0"];
        let mut child = daemon(&ports).args(args).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut started = Self { child, stdout };
        while started.line() != "started" {}
        started
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.stdout.read_line(&mut line).unwrap() > 0, "it ended");
        line.trim_end().to_owned()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The code that it ends with.
    fn code(&mut self) -> Option<i32> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(began.elapsed() < PATIENCE, "it has not ended");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// What it logged; ends when it does.
    fn logged(&mut self) -> Vec<Value> {
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn only(stderr: &str) -> Value {
    assert_eq!(stderr.matches('\n').count(), 1, "one line: {stderr}");
    serde_json::from_str(stderr).unwrap()
}

#[test]
fn usage_error_is_one_plain_line_and_code_1() {
    let (code, stdout, stderr) = run(&["--heath-port=1"]);
    assert_eq!(
        (code, stdout.as_str(), stderr.as_str()),
        (1, "", "unknown flag --heath-port; the nearest is --health-port\n")
    );
}

#[test]
fn help_and_version_are_output_and_code_0() {
    let (code, stdout, stderr) = run(&["-help"]);
    assert!(code == 0 && stdout.contains("--log-level <LEVEL>") && stderr.is_empty(), "{stdout}{stderr}");
    let (code, stdout, _) = run(&["-version"]);
    assert!(code == 0 && stdout.starts_with("daemon ") && stdout.ends_with(")\n"), "{stdout}");
    let (code, ..) = closed_stdout(&["--help"]);
    assert_eq!(code, 0);
}

/// Runs it with an output that nobody reads.
fn closed_stdout(args: &[&str]) -> (i32, String) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = daemon(args).stdout(writer).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn closed_pipe_is_silent() {
    assert_eq!(closed_stdout(&["--print"]), (141, String::new()));
}

#[test]
fn error_is_one_line_plain_before_logging_starts_and_a_log_line_after() {
    let (code, _, stderr) = run(&["--fail", "no\nluck at http://u:secret@h", "--early"]);
    assert_eq!((code, stderr.as_str()), (1, "cannot start: no\\nluck at http://***@h\n"));
    let (code, _, stderr) = run(&["--fail", "no\nluck", "--log-level=panic"]);
    let line = only(&stderr);
    assert_eq!((code, &line["level"], &line["severity"]), (1, &Value::from("fatal"), &Value::from("CRITICAL")));
    assert_eq!(line["msg"], "cannot start: no\\nluck");
}

#[test]
fn panic_is_one_log_line_and_code_101() {
    let (code, _, stderr) = run(&["--panic", "what\nnow"]);
    let line = only(&stderr);
    assert_eq!(
        (code, &line["msg"], &line["severity"]),
        (101, &Value::from("panic: what\nnow"), &Value::from("CRITICAL"))
    );
    assert!(line["location"].as_str().unwrap().contains("daemon.rs:"), "{line}");
}

#[test]
fn first_signal_stops_in_order_and_the_hangup_before_it_does_not() {
    for (signal, cause) in [(Signal::TERM, "Terminate"), (Signal::INT, "Interrupt")] {
        let mut daemon = Started::new(&[]);
        daemon.signal(Signal::HUP);
        assert_eq!(daemon.line(), "hangup");
        daemon.signal(signal);
        assert_eq!(daemon.line(), cause);
        assert_eq!(daemon.code(), Some(0));
    }
}

#[test]
fn the_same_signal_twice_at_once_is_one() {
    let began = Instant::now();
    loop {
        let mut daemon = Started::new(&["--linger"]);
        let sent = Instant::now();
        daemon.signal(Signal::TERM);
        assert_eq!(daemon.line(), "Terminate");
        daemon.signal(Signal::TERM);
        // It lingers for half a second after the first one.
        let was_there = sent.elapsed() < SAME / 2;
        let code = daemon.code();
        // Else a machine under load may have brought it a second later.
        let came_at_once = sent.elapsed() < SAME;
        if was_there && came_at_once {
            assert_eq!(code, Some(0));
            return;
        }
        assert!(began.elapsed() < PATIENCE, "no two signals at once");
    }
}

#[test]
fn the_same_signal_a_second_later_is_the_second_one() {
    let mut daemon = Started::new(&["--stuck"]);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.line(), "Terminate");
    thread::sleep(SAME);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.code(), Some(143));
}

#[test]
fn second_signal_ends_a_stuck_process_at_once() {
    let mut daemon = Started::new(&["--stuck"]);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.line(), "Terminate");
    daemon.signal(Signal::INT);
    assert_eq!(daemon.code(), Some(130));
    let last = daemon.logged().pop().unwrap();
    assert_eq!((&last["level"], &last["msg"]), (&"fatal".into(), &"SIGINT while stopping: ended at once".into()));
}

#[test]
fn stalled_log_reader_stalls_nothing_and_learns_how_much_it_missed() {
    const LINES: u64 = 50_000;
    // "started" comes after the lines, which no pipe holds: nobody waited for the reader.
    let mut daemon = Started::new(&[&format!("--chatter={LINES}")]);
    let (saw_report, report) = mpsc::channel();
    let stderr = BufReader::new(daemon.child.stderr.take().unwrap());
    let reader = thread::spawn(move || {
        let (mut chatter, mut dropped) = (0, 0);
        for line in stderr.lines() {
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
            chatter += u64::from(line["msg"] == "chatter");
            if let Some(lines) = line["dropped"].as_u64() {
                dropped += lines;
                saw_report.send(()).ok();
            }
        }
        (chatter, dropped)
    });
    // It comes by itself, without a further line.
    report.recv_timeout(PATIENCE).expect("nothing was reported");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.code(), Some(0));
    let (chatter, dropped) = reader.join().unwrap();
    assert!(chatter > 0 && dropped > 0);
    assert_eq!(chatter + dropped, LINES, "every line was read or counted");
}

#[test]
fn exit_does_not_wait_for_a_log_reader_that_never_reads() {
    let mut daemon = Started::new(&["--chatter=50000"]);
    daemon.signal(Signal::TERM);
    // Its standard error stays open and unread until it has ended.
    assert_eq!(daemon.code(), Some(0));
}
