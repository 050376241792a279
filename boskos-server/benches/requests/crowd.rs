//! Very many resources with user data.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use anyhow::ensure;

use crate::{config, http::Client, server::Server, settings::Settings};

/// Groups that the resources are taken in, each with a state of its own, so that a reset can give back one at once.
pub(crate) const GROUPS: usize = 10;

/// Names in one request line; they must fit the server's bound on it.
const NAMES_PER_CALL: usize = 2_000;

/// Connections that write user data.
const WRITERS: usize = 64;

/// Two entries, as cloud janitors keep them.
const USER_DATA: &str = r#"{"access-key-id":"AKIAIOSFODNN7EXAMPLE","region":"us-east-1"}"#;

/// The state that a group is taken into.
pub(crate) fn group_state(group: usize) -> String {
    format!("held-{group}")
}

/// Takes every resource, by group, and gives it two user data entries. All of them stay owned.
pub(crate) fn fill(server: &Server, settings: &Settings) -> anyhow::Result<()> {
    let size = settings.crowd / GROUPS;
    let mut client = server.client()?;
    for group in 0..GROUPS {
        let numbers: Vec<usize> = (group * size..(group + 1) * size).collect();
        for numbers in numbers.chunks(NAMES_PER_CALL) {
            let names: Vec<String> = numbers.iter().copied().map(config::name).collect();
            let state = group_state(group);
            client
                .must_post(&format!("/acquirebystate?state=free&dest={state}&owner=bench&names={}", names.join(",")))?;
        }
    }
    let (next, to) = (AtomicUsize::new(0), server.http);
    let write = || -> anyhow::Result<()> {
        let mut client = Client::connect(to)?;
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= size * GROUPS {
                return Ok(());
            }
            let (name, state) = (config::name(number), group_state(number / size));
            let answer = client.post(&format!("/update?name={name}&state={state}&owner=bench"), USER_DATA)?;
            ensure!(answer.status == 200, "an update was answered {}", answer.status);
        }
    };
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(write)).collect();
        // One that panicked has said so.
        writers.into_iter().try_for_each(|writer| writer.join().unwrap_or(Ok(())))
    })
}

/// Gives a whole group back in one call; how many were given back.
pub(crate) fn reset(server: &Server, group: usize) -> anyhow::Result<usize> {
    let target = format!("/reset?type=gce-project&state={}&expire=0&dest=free", group_state(group));
    let owners = server.client()?.must_post(&target)?;
    let owners: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&owners)?;
    Ok(owners.len())
}
