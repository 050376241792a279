//! Measures the server against a bare hyper server under the same load, and prints tables.
//!
//! `make bench` runs it. `BENCH_QUICK=1` tries everything once in two minutes; `BENCH_SECONDS` and `BENCH_ROUNDS` say
//! how long and how often each load runs, `BENCH_ONLY` which parts.

mod calm;
mod compare;
mod config;
mod crowd;
mod http;
mod kube;
mod machine;
mod numbers;
mod parts;
mod report;
mod server;
mod settings;
mod waiters;
mod wrk;

#[path = "../../tests/kube/api_server.rs"]
#[allow(clippy::unwrap_used, dead_code, reason = "shared with the tests")]
mod api_server;
#[path = "../../tests/kube/guarded.rs"]
#[allow(clippy::unwrap_used, dead_code, reason = "shared with the tests")]
mod guarded;
#[path = "../../tests/kube/tools.rs"]
#[allow(clippy::unwrap_used, dead_code, reason = "shared with the tests")]
mod tools;

use std::{env, fs, io, path::Path, process::ExitCode, time::Instant};

use anyhow::Context as _;

use self::{machine::Disk, parts::Bench, settings::Settings};

fn main() -> ExitCode {
    // Cargo says so when it is to measure; as a test there is nothing to do.
    if !env::args().any(|arg| arg == "--bench") {
        println!("nothing measured: run make bench");
        return ExitCode::SUCCESS;
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    wrk::find()?;
    let settings = Settings::from_env()?;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench");
    // A run that was interrupted left its stores.
    clear(&folder)?;
    fs::create_dir_all(&folder)?;
    machine::insist_on_disk(&folder)?;
    let mut disk = Disk::default();
    disk.look(&folder)?;
    let begin = Instant::now();
    eprintln!("{}", machine::facts(&disk));
    let mut bench = Bench::new(settings, &folder, disk);
    // What was measured is worth printing even if what came after it failed.
    let ran = bench.run();
    println!("{bench}");
    eprintln!("took {} s", begin.elapsed().as_secs());
    clear(&folder)?;
    ran
}

fn clear(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot clear {}", folder.display()))
        }
        _ => Ok(()),
    }
}
