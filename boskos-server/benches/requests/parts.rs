//! What is measured, part by part, and what came of it.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::ensure;

use crate::{
    calm::{Latency, Lone, Window},
    compare::{self, Outcome},
    config, crowd,
    http::Client,
    machine::{self, Disk, Usage},
    numbers::{grouped, millis, percentile},
    report::{Goal, Table},
    server::{Keep, Server},
    settings::Settings,
    waiters::Waiters,
};

/// Resources where there are few.
const FEW: usize = 1_000;

const CONNECTIONS: [usize; 4] = [1, 16, 64, 256];

/// Where one number of connections is enough.
const MANY_CONNECTIONS: usize = 256;

const MEGABYTE: f64 = 1e6;

/// The share of the machine that other programs may take of a run that is quoted.
const DISTURBED: f64 = 0.05;

/// Milliseconds that one client's acquires may take at p99, whatever goes on beside them.
const CALM: Goal = Goal::AtMost(20.0, " ms");

type Part = fn(&mut Bench) -> anyhow::Result<()>;

/// A run, as far as it got.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) settings: Settings,
    pub(crate) folder: PathBuf,
    disk: Disk,
    load: Table,
    crowd: Table,
    pub(crate) rest: Table,
    pub(crate) kube: Table,
    /// What share of the machine other programs took during each part.
    disturbed: Vec<(&'static str, f64)>,
}

/// One of the stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Store {
    Memory,
    Durable,
}

impl Bench {
    pub(crate) fn new(settings: Settings, folder: &Path, disk: Disk) -> Self {
        const LOAD: &[&str] = &[
            "load",
            "requests/s",
            "bare",
            "share of bare",
            "goal",
            "CPU/request",
            "× bare's",
            "goal",
            "p50, p99",
            "bare's",
        ];
        const CROWD: &[&str] = &["load", "requests/s", "with few", "share", "goal", "p50, p99", "with few"];
        Self {
            settings,
            folder: folder.to_owned(),
            disk,
            load: Table::new("Acquire and release in turn, beside a bare hyper server:", LOAD),
            crowd: Table::new("The same with many resources, beside a server with few:", CROWD),
            rest: Table::new("And besides:", &["measure", "result", "goal"]),
            kube: crate::kube::table(),
            disturbed: Vec::new(),
        }
    }

    /// Measures all that is asked for.
    pub(crate) fn run(&mut self) -> anyhow::Result<()> {
        let parts: [(&'static str, Part); 6] = [
            ("memory", |bench| bench.beside_bare(Store::Memory)),
            ("durable", |bench| bench.beside_bare(Store::Durable)),
            ("waiters", Self::beside_waiters),
            ("crowd", Self::many_beside_few),
            ("calm", Self::calm),
            ("kube", crate::kube::beside_bare_updates),
        ];
        for (name, part) in parts {
            if self.settings.part(name) {
                eprintln!("{name}:");
                let before = Usage::now()?;
                part(self)?;
                self.disturbed.push((name, Usage::now()?.others_since(before)));
            }
        }
        Ok(())
    }

    fn beside_bare(&mut self, store: Store) -> anyhow::Result<()> {
        let bare = Server::bare()?;
        let ours = self.start(store, FEW, store.word())?;
        for connections in CONNECTIONS {
            let alone = store == Store::Durable && connections == 1;
            let (mut disk, folder) = (Disk::default(), self.folder.clone());
            let outcome = compare::compare(&self.settings, &bare, &ours, connections, || match alone {
                true => disk.look(&folder),
                false => Ok(()),
            })?;
            let label = format!("{}, {connections} {}", store.word(), plural("connection", connections));
            self.load_row(&label, store.goals(connections), &outcome);
            if alone {
                self.lone_row(&outcome, &disk);
            }
        }
        Ok(())
    }

    fn load_row(&mut self, label: &str, (share_goal, cpu_goal): (Goal, Goal), outcome: &Outcome) {
        let (ours, bare) = (outcome.subject, outcome.yardstick);
        let void = outcome.void();
        let judged = |goal: Goal, value| void.clone().unwrap_or_else(|| goal.verdict(value));
        self.load.row([
            label.to_owned(),
            grouped(ours.per_second),
            grouped(bare.per_second),
            outcome.shown_share(),
            judged(share_goal, outcome.share[1]),
            format!("{:.1} µs", ours.cpu_micros),
            format!("{:.2}", outcome.cpu_ratio),
            judged(cpu_goal, outcome.cpu_ratio),
            format!("{}, {}", millis(ours.p50), millis(ours.p99)),
            format!("{}, {}", millis(bare.p50), millis(bare.p99)),
        ]);
    }

    fn lone_row(&mut self, outcome: &Outcome, disk: &Disk) {
        let (ours, bare, append) = (outcome.subject.p50, outcome.yardstick.p50, disk.p50());
        let goal = bare + 2 * append;
        let verdict = outcome.void().unwrap_or_else(|| met(ours <= goal));
        self.rest.row([
            "one durable client, p50".to_owned(),
            millis(ours),
            format!(
                "≤ {}, bare's {} + 2 × append and sync's {}: {verdict}",
                millis(goal),
                millis(bare),
                millis(append)
            ),
        ]);
    }

    fn beside_waiters(&mut self) -> anyhow::Result<()> {
        let bare = Server::bare()?;
        for store in [Store::Memory, Store::Durable] {
            let ours = self.start(store, FEW, &format!("{}-waiters", store.word()))?;
            let mut waiters = Waiters::park(&ours, self.settings.waiters)?;
            let waiting = grouped(self.settings.waiters as f64);
            let taken = waiters.handovers(self.settings.handovers)?;
            let p99 = percentile(&taken, 99);
            self.rest.row([
                format!("{}, release to the first of {waiting} waiters, p99", store.word()),
                format!("{} (p50 {})", millis(p99), millis(percentile(&taken, 50))),
                format!("< 5 ms: {}", met(p99 < Duration::from_millis(5))),
            ]);
            waiters.gathered()?;
            let outcome = compare::compare(&self.settings, &bare, &ours, MANY_CONNECTIONS, || Ok(()))?;
            // A line that got shorter would have been another load.
            waiters.gathered()?;
            let label = format!("{}, {MANY_CONNECTIONS} connections, {waiting} waiters", store.word());
            self.load_row(&label, (Goal::None, Goal::None), &outcome);
        }
        Ok(())
    }

    fn many_beside_few(&mut self) -> anyhow::Result<()> {
        for (store, goal) in [(Store::Memory, 0.85), (Store::Durable, 0.80)] {
            let few = self.start(store, FEW, &format!("{}-few", store.word()))?;
            let many = self.start(store, self.settings.crowd, &format!("{}-many", store.word()))?;
            let outcome = compare::compare(&self.settings, &few, &many, MANY_CONNECTIONS, || Ok(()))?;
            let (subject, beside) = (outcome.subject, outcome.yardstick);
            self.crowd.row([
                format!(
                    "{}, {MANY_CONNECTIONS} connections, {} resources beside {}",
                    store.word(),
                    grouped(self.settings.crowd as f64),
                    grouped(FEW as f64)
                ),
                grouped(subject.per_second),
                grouped(beside.per_second),
                outcome.shown_share(),
                outcome.void().unwrap_or_else(|| Goal::AtLeast(goal, goal).verdict(outcome.share[1])),
                format!("{}, {}", millis(subject.p50), millis(subject.p99)),
                format!("{}, {}", millis(beside.p50), millis(beside.p99)),
            ]);
        }
        Ok(())
    }

    /// Memory and starts with many resources, and what they do to a lone client.
    fn calm(&mut self) -> anyhow::Result<()> {
        let crowd = grouped(self.settings.crowd as f64);
        let server = self.start(Store::Durable, self.settings.crowd, "calm")?;
        self.start_row(&format!("first start with {crowd} resources, durable"), &server, 15)?;
        crowd::fill(&server, &self.settings)?;
        self.resident_row(&format!("{crowd} resources with two user data entries, when written"), server.resident()?);
        server.stop()?;
        let mut server = self.start(Store::Durable, self.settings.crowd, "calm")?;
        self.start_row("second start, with user data", &server, 2)?;
        self.resident_row("after the second start", server.resident()?);

        let returned = crowd::reset(&server, crowd::GROUPS - 1)?;
        ensure!(returned == self.settings.crowd / crowd::GROUPS, "only {returned} resources were reset");
        self.lone_client(&server)?;
        self.lone_client_during_rereads(&mut server)
    }

    fn lone_client(&mut self, server: &Server) -> anyhow::Result<()> {
        let long = Duration::from_secs(self.settings.seconds.max(2));
        let lone = Lone::start(server)?;
        let window = Window::of(|| {
            std::thread::sleep(long);
            Ok(())
        })?;
        self.calm_row("alone", Goal::None, lone.during(&[window])?);

        let group = self.settings.crowd / crowd::GROUPS;
        let lone = Lone::start(server)?;
        let mut windows = Vec::new();
        for number in 0..crowd::GROUPS - 1 {
            windows.push(Window::of(|| {
                let returned = crowd::reset(server, number)?;
                ensure!(returned == group, "only {returned} of {group} resources were reset");
                Ok(())
            })?);
        }
        let latency = lone.during(&windows)?;
        self.calm_row(&format!("while a reset takes {} at once", grouped(group as f64)), CALM, latency);

        let crowd = grouped(self.settings.crowd as f64);
        let mut lister = server.client()?;
        let latency = while_repeated(server, long, || lister.drain("/api/v1/resources"))?;
        self.calm_row(&format!("while all {crowd} resources are listed"), CALM, latency);

        if let Some(metrics) = server.metrics {
            let latency = while_repeated(server, long, || Client::connect(metrics)?.drain("/metrics"))?;
            self.calm_row("while /metrics is scraped in a loop", CALM, latency);
        }
        Ok(())
    }

    fn lone_client_during_rereads(&mut self, server: &mut Server) -> anyhow::Result<()> {
        let folder = self.folder.join("calm");
        let crowd = self.settings.crowd;
        let rereads = if self.settings.quick { 2 } else { 4 };
        let lone = Lone::start(server)?;
        let mut windows = Vec::new();
        for turn in 0..rereads {
            // One name more and one less in turn: so each is seen to be applied.
            let names = crowd + usize::from(turn % 2 == 0);
            windows.push(Window::of(|| {
                config::write(&folder, names)?;
                server.wait_long_for("config applied")?;
                Ok(())
            })?);
        }
        let latency = lone.during(&windows)?;
        self.calm_row(&format!("while a config of {} names is re-read", grouped(crowd as f64)), CALM, latency);
        Ok(())
    }

    fn calm_row(&mut self, during: &str, goal: Goal, latency: Latency) {
        let Latency { acquires, p50, p99, worst, windows, window } = latency;
        self.rest.row([
            format!("one durable client's acquire {during}, p99"),
            format!(
                "{} (p50 {}, worst {}, of {acquires} in {windows} × {:.2} s)",
                millis(p99),
                millis(p50),
                millis(worst),
                window.as_secs_f64()
            ),
            match goal {
                Goal::None => "none".to_owned(),
                Goal::AtLeast(..) | Goal::AtMost(..) => goal.verdict(p99.as_secs_f64() * 1e3),
            },
        ]);
    }

    fn start_row(&mut self, what: &str, server: &Server, seconds: u64) -> anyhow::Result<()> {
        let (taken, cpu) = (server.started_in, server.cpu()?);
        let verdict = met(taken <= Duration::from_secs(seconds));
        self.rest.row([
            what.to_owned(),
            format!("{:.2} s ({:.2} s of processor time)", taken.as_secs_f64(), cpu.as_secs_f64()),
            format!("≤ {seconds} s: {verdict}"),
        ]);
        Ok(())
    }

    fn resident_row(&mut self, what: &str, bytes: u64) {
        let megabytes = bytes as f64 / MEGABYTE;
        let verdict = met(megabytes <= 500.0);
        self.rest.row([what.to_owned(), format!("{megabytes:.0} MB resident"), format!("≤ 500 MB: {verdict}")]);
    }

    /// Starts boskos on a folder of its own, which it keeps for later starts.
    fn start(&self, store: Store, resources: usize, folder: &str) -> anyhow::Result<Server> {
        let folder = self.folder.join(folder);
        std::fs::create_dir_all(&folder)?;
        let config = config::write(&folder, resources)?;
        let keep = match store {
            Store::Memory => Keep::InMemory,
            Store::Durable => Keep::Durable(folder.join("data")),
        };
        Server::boskos(&config, &keep)
    }
}

impl Store {
    fn word(self) -> &'static str {
        match self {
            Self::Memory => "in memory",
            Self::Durable => "durable",
        }
    }

    /// What share of the yardstick's requests per second, and what multiple of its processor time, is asked for.
    fn goals(self, connections: usize) -> (Goal, Goal) {
        match (self, connections) {
            (Self::Memory, 256) => (Goal::AtLeast(0.85, 0.85), Goal::AtMost(1.35, "")),
            (Self::Durable, 16) => (Goal::AtLeast(0.40, 0.34), Goal::None),
            (Self::Durable, 64) => (Goal::AtLeast(0.50, 0.42), Goal::None),
            (Self::Durable, 256) => (Goal::AtLeast(0.65, 0.55), Goal::None),
            _ => (Goal::None, Goal::None),
        }
    }
}

impl fmt::Display for Bench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { seconds, rounds, .. } = self.settings;
        writeln!(f, "{}.", machine::facts(&self.disk))?;
        writeln!(
            f,
            "{} resources; {rounds} rounds of {seconds} s each, the two servers in turn; medians of the rounds, \
             for shares also the lowest and the highest.",
            grouped(FEW as f64)
        )?;
        let shares: Vec<String> =
            self.disturbed.iter().map(|(part, share)| format!("{part} {:.0} %", share * 100.0)).collect();
        writeln!(f, "Other programs took of the processors: {}.", shares.join(", "))?;
        if self.disturbed.iter().any(|(_, share)| *share > DISTURBED) {
            writeln!(f, "**The machine was busy with other things: not to be quoted.**")?;
        }
        if self.settings.quick {
            writeln!(f, "**A quick try: too short and too small to be quoted.**")?;
        }
        write!(f, "{}{}{}{}", self.load, self.crowd, self.kube, self.rest)
    }
}

/// A lone client's acquires while `work` is done over and over.
fn while_repeated(
    server: &Server,
    long: Duration,
    mut work: impl FnMut() -> anyhow::Result<u64>,
) -> anyhow::Result<Latency> {
    let lone = Lone::start(server)?;
    let (begin, mut windows) = (Instant::now(), Vec::new());
    while begin.elapsed() < long {
        windows.push(Window::of(|| {
            ensure!(work()? > 0, "an empty answer");
            Ok(())
        })?);
    }
    lone.during(&windows)
}

fn met(met: bool) -> String {
    if met { "met" } else { "**missed**" }.to_owned()
}

fn plural(word: &str, count: usize) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}
