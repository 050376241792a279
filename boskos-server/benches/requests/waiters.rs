//! Thousands of parked calls, and how fast the first of them hears of a release.

use std::{
    os::fd::OwnedFd,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use rustix::{
    event::{Timespec, epoll},
    io::Errno,
};

use crate::{
    http::{Client, request},
    server::Server,
};

/// Nothing is in this state, save what a handover puts there: so that nobody else's acquire meets the waiters.
const AWAITED: &str = "promised";

/// How long all of them may take to be in line.
const GATHER: Duration = Duration::from_secs(60);

/// Files that this process needs beside the waiters' connections.
const OTHER_FILES: u64 = 256;

/// Calls that wait in one line.
#[derive(Debug)]
pub(crate) struct Waiters {
    clients: Vec<Client>,
    /// Tells which of them was answered.
    answered: OwnedFd,
    control: Client,
}

impl Waiters {
    /// Parks `count` calls.
    pub(crate) fn park(server: &Server, count: usize) -> anyhow::Result<Self> {
        let files = count as u64 + OTHER_FILES;
        let granted = boskos_runtime::listen::raise_file_limit(files);
        ensure!(granted >= files, "{count} waiters need {files} open files, the limit is {granted}: raise ulimit -Hn");
        let mut waiters = Self {
            clients: Vec::with_capacity(count),
            answered: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            control: server.client()?,
        };
        let call = call();
        for number in 0..count {
            let mut client = server.client()?;
            let number = epoll::EventData::new_u64(number as u64);
            epoll::add(&waiters.answered, client.stream(), number, epoll::EventFlags::IN)?;
            client.send(&call)?;
            waiters.clients.push(client);
        }
        waiters.gathered()?;
        Ok(waiters)
    }

    /// Waits until all are in line.
    pub(crate) fn gathered(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + GATHER;
        loop {
            let queue = self.control.get("/api/v1/queue")?.body;
            let queue: Vec<serde_json::Value> = serde_json::from_slice(&queue).context("the queue is not JSON")?;
            let parked = queue.iter().filter(|place| place["parked"] == true).count();
            if parked == self.clients.len() {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "only {parked} of {} calls are parked", self.clients.len());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Releases a resource into the state that all wait for, `count` times, and times each from the moment the
    /// release is sent to the moment the first in line has read its grant. Sorted.
    pub(crate) fn handovers(&mut self, count: usize) -> anyhow::Result<Vec<Duration>> {
        let acquired = self.control.must_post("/acquire?type=gce-project&state=free&dest=busy&owner=bench")?;
        let acquired: serde_json::Value = serde_json::from_slice(&acquired)?;
        let name = acquired["name"].as_str().context("what was acquired has no name")?;
        let release = request("POST", &format!("/release?name={name}&dest={AWAITED}&owner=bench"), "");
        let call = call();
        let mut taken = Vec::with_capacity(count);
        for _ in 0..count {
            let begin = Instant::now();
            self.control.send(&release)?;
            let granted = self.next_answered()?;
            let answer = self.clients[granted].answer()?;
            taken.push(begin.elapsed());
            ensure!(answer.status == 200, "a waiter was answered {}", answer.status);
            let released = self.control.answer()?;
            ensure!(released.status == 200, "a release was answered {}", released.status);
            // The line stays as long as it was.
            self.clients[granted].send(&call)?;
        }
        self.control.must_post(&format!("/release?name={name}&dest=free&owner=bench"))?;
        taken.sort_unstable();
        Ok(taken)
    }

    fn next_answered(&self) -> anyhow::Result<usize> {
        let mut events = Vec::with_capacity(1);
        let patience = Timespec { tv_sec: 10, tv_nsec: 0 };
        loop {
            match epoll::wait(&self.answered, rustix::buffer::spare_capacity(&mut events), Some(&patience)) {
                Ok(0) => anyhow::bail!("no waiter heard of a release within {} s", patience.tv_sec),
                Ok(_) => return Ok(usize::try_from(events[0].data.u64())?),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("cannot wait for an answer"),
            }
        }
    }
}

/// What a waiter asks for. It waits as long as the server lets it.
fn call() -> String {
    request("POST", &format!("/acquire?type=gce-project&state={AWAITED}&dest=busy&owner=bench&wait=24h"), "")
}
