//! Clients that acquire, update and release for as long as the server lets them.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use serde_json::Value;

use crate::{
    harness::{PATIENCE, eventually},
    ledger::{Ask, Form, Ledger},
};

/// Forty that are easy to get, three that clients queue for, and one that nobody lets go.
pub(crate) fn config() -> String {
    let things: Vec<String> = (0..40).map(|n| format!("thing-{n:02}")).collect();
    format!(
        "resources:\n- {{type: thing, state: free, names: [{}]}}\n- {{type: rare, state: free, names: [rare-0, rare-1, rare-2]}}\n\
         - {{type: line, state: held, names: [line-0]}}\n",
        things.join(", ")
    )
}

const CLIENTS: usize = 6;

/// How many resources a client holds at most.
const MOST_HELD: usize = 4;

/// Numbers that look random and are the same in each run.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

/// A connection that may break at any moment.
pub(crate) struct Wire(BufReader<TcpStream>);

/// Clients at work.
pub(crate) struct Load {
    clients: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

struct Caller {
    owner: String,
    ledger: Arc<Ledger>,
    wire: Wire,
    dice: Dice,
    calls: u64,
}

// === impl Dice ===

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

// === impl Wire ===

impl Wire {
    pub(crate) fn connect(to: SocketAddr) -> io::Result<Self> {
        Self::over(TcpStream::connect(to)?)
    }

    pub(crate) fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// One call: status, whether it says when to come again, body. An error if it was not answered
    /// in full.
    pub(crate) fn post(&mut self, target: &str, body: &str) -> io::Result<(u16, bool, String)> {
        let size = body.len();
        let request = format!("POST {target} HTTP/1.1\r\nHost: boskos\r\nContent-Length: {size}\r\n\r\n{body}");
        self.0.get_mut().write_all(request.as_bytes())?;
        let status = self.line()?;
        let status = status.split(' ').nth(1).unwrap().parse().unwrap();
        let (mut size, mut again) = (0, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            again |= line.starts_with("retry-after:");
            if let Some(length) = line.strip_prefix("content-length:") {
                size = length.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; size];
        self.0.read_exact(&mut body)?;
        Ok((status, again, String::from_utf8(body).unwrap()))
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        if !line.ends_with("\r\n") {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.len() - 2);
        Ok(line)
    }
}

// === impl Load ===

impl Load {
    /// Sets clients to work on `server`, the same calls for the same seed as far as answers allow.
    pub(crate) fn start(server: SocketAddr, ledger: &Arc<Ledger>, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let client = |n: usize| {
            let (ledger, stop) = (ledger.clone(), stop.clone());
            let dice = Dice::new(seed.wrapping_mul(0x1_0001) + n as u64);
            thread::spawn(move || {
                let Ok(wire) = Wire::connect(server) else { return };
                let mut caller = Caller { owner: format!("client-{n}"), ledger, wire, dice, calls: seed << 24 };
                // The end of a server is the end of its clients.
                while !stop.load(Ordering::Relaxed) && caller.call().is_ok() {}
            })
        };
        Self { clients: (0..CLIENTS).map(client).collect(), stop }
    }

    /// Ends it after the calls that are under way, or when the server has ended it.
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.join();
    }

    /// Waits until the server has ended it; panics if a client found something wrong.
    pub(crate) fn join(self) {
        for client in self.clients {
            client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    }

    /// Waits until `more` further answers have come, or clients have found something wrong.
    pub(crate) fn await_acks(&self, ledger: &Ledger, more: u64) {
        let wanted = ledger.acks() + more;
        eventually(&format!("{wanted} answers"), || {
            let ended = self.clients.iter().any(JoinHandle::is_finished);
            (ended || ledger.acks() >= wanted).then_some(())
        });
    }
}

// === impl Caller ===

impl Caller {
    fn call(&mut self) -> io::Result<()> {
        self.calls += 1;
        let held = self.ledger.held_by(&self.owner);
        if held.len() < MOST_HELD && (held.is_empty() || self.dice.one_in(2)) {
            return self.acquire();
        }
        let pick = usize::try_from(self.dice.below(held.len() as u64)).unwrap();
        let (name, form) = held[pick].clone();
        if self.dice.one_in(3) { self.update(&name, form) } else { self.release(&name, form) }
    }

    fn acquire(&mut self) -> io::Result<()> {
        let (r#type, state) = match self.dice.below(11) {
            0..=3 => ("rare", "free"),
            4..=7 => ("thing", "free"),
            8 => ("line", "free"),
            _ => ("thing", "dirty"),
        };
        let id = match self.ledger.id_of(&self.owner, r#type, state) {
            // Nobody gets what everybody queues for: each call is one more place.
            Some(id) if r#type != "line" => Some(id),
            _ if r#type == "line" || self.dice.one_in(2) => Some(format!("{}-{}", self.owner, self.calls)),
            _ => None,
        };
        let mut target = format!("/acquire?type={type}&state={state}&dest=busy&owner={}", self.owner);
        if let Some(id) = &id {
            target.push_str(&format!("&request_id={id}"));
        }
        if r#type == "rare" && self.dice.one_in(3) {
            target.push_str("&wait=20ms");
        }
        let ask = Ask { r#type: r#type.to_owned(), state: state.to_owned(), dest: "busy".to_owned(), id };
        self.ledger.asks(&self.owner, ask);
        match self.wire.post(&target, "")? {
            (200, _, body) => self.ledger.granted(&self.owner, &serde_json::from_str::<Value>(&body).unwrap()),
            (404, _, _) => self.ledger.refused(&self.owner),
            (503, true, _) => self.ledger.unwritten(&self.owner),
            other => panic!("{target}: {other:?}"),
        }
        Ok(())
    }

    fn update(&mut self, name: &str, form: Form) -> io::Result<()> {
        let mut after = form;
        let mut body = serde_json::Map::new();
        // Nobody else ever writes this, so that no two forms are alike.
        let mark = format!("{}-{}", self.owner, self.calls);
        body.insert("mark".to_owned(), mark.clone().into());
        after.data.insert("mark".to_owned(), mark);
        let odd = if self.dice.one_in(2) { "yes" } else { "" };
        body.insert("odd".to_owned(), odd.into());
        if odd.is_empty() {
            after.data.remove("odd");
        } else {
            after.data.insert("odd".to_owned(), odd.to_owned());
        }
        let target = format!("/update?name={name}&owner={}&state={}", self.owner, after.state);
        self.change(name, after, &target, &Value::Object(body).to_string())
    }

    fn release(&mut self, name: &str, form: Form) -> io::Result<()> {
        let dest = if name.starts_with("thing") && self.dice.one_in(4) { "dirty" } else { "free" };
        let target = format!("/release?name={name}&dest={dest}&owner={}", self.owner);
        self.change(name, Form { state: dest.to_owned(), owner: String::new(), data: form.data }, &target, "")
    }

    fn change(&mut self, name: &str, after: Form, target: &str, body: &str) -> io::Result<()> {
        self.ledger.changes(name, after);
        match self.wire.post(target, body)? {
            (200, _, _) => self.ledger.changed(&self.owner, name),
            (503, true, _) => self.ledger.unwritten(&self.owner),
            other => panic!("{target}: {other:?}"),
        }
        Ok(())
    }
}
