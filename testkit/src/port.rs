//! Ports that outlast the process that listens on them.

use std::{
    net::{Ipv4Addr, TcpListener},
    process,
    sync::{
        LazyLock,
        atomic::{AtomicU16, Ordering},
    },
};

/// Below the ports that the kernel gives to callers: none of them takes it while nobody listens.
const FIRST: u16 = 12_000;

/// How many there are to choose from.
const COUNT: u16 = 20_000;

/// Test binaries that run at the same time begin at different ones.
static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| {
    let own = process::id() * 97 % u32::from(COUNT);
    AtomicU16::new(own.try_into().unwrap())
});

/// A free port of 127.0.0.1 for a server that is to be started again on it, or started late.
#[must_use]
pub fn free_port() -> u16 {
    loop {
        let port = FIRST + NEXT.fetch_add(1, Ordering::SeqCst) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
