//! The soak itself, from the first process to the last.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail};
use boskos_client::{Client, Filter, Resource};
use boskos_core::state::FREE;
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::{
    EXPIRE, Options,
    audit::{Chronicle, Testimony, audit},
    chance::Chance,
    event::Event,
    fleet::Fleet,
    havoc::Havoc,
    process::{self, Process},
    scene::{self, Scene},
    tally::{self, Tally},
};

/// How often the soak looks at everything.
const TICK: Duration = Duration::from_millis(40);

/// Clients started in one tick at most: they begin one after the other, as jobs do.
const START_AT_ONCE: usize = 4;

/// Between two looks at all histories: what is deleted sooner is not audited.
const GATHER_EVERY: Duration = Duration::from_secs(2);

/// How long clients may take to end after the last was started.
const ENDS_WITHIN: Duration = Duration::from_secs(90);

/// How long it may take until everything is free: above the 60 s after which the cleaner looks for orphans.
const SETTLES_WITHIN: Duration = Duration::from_secs(120);

/// How long an orderly stop may take.
const STOPS_WITHIN: Duration = Duration::from_secs(25);

/// Between two plants.
const PLANT_EVERY: Duration = Duration::from_millis(500);

struct Soak {
    options: Options,
    seed: u64,
    url: String,
    client: Client,
    scene: Scene,
    binaries: PathBuf,
    server: Process,
    daemons: Vec<Process>,
    fleet: Fleet,
    testimony: Testimony,
    chronicle: Arc<Mutex<Chronicle>>,
    /// What must not be, and was.
    violation: Option<String>,
}

/// Soaks as `options` say.
///
/// # Errors
///
/// What must not be and was, or why nothing could be proven.
pub(crate) async fn run(options: &Options) -> Result<()> {
    let seed = options.seed.unwrap_or_else(|| {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::from(since_epoch.subsec_nanos())
    });
    println!("soak: {} s with {} clients; again with --seed {seed}", options.seconds, options.clients);
    let dir = tempfile::Builder::new().prefix("soak-").tempdir()?;
    let mut soak = Soak::set_up(options.clone(), seed, &dir)?;
    let done = tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        done = soak.soak() => done,
    };
    drop(soak);
    if done.is_err() && !options.plant_double_grant {
        let kept = dir.keep();
        eprintln!("soak: failed with --seed {seed}; store and logs are in {}", kept.display());
    }
    done
}

// === impl Soak ===

impl Soak {
    fn set_up(options: Options, seed: u64, dir: &TempDir) -> Result<Self> {
        let folder = dir.path().to_owned();
        let binaries = match &options.binaries {
            Some(binaries) => binaries.clone(),
            None => std::env::current_exe()?.parent().map(Path::to_owned).context("no folder")?,
        };
        let scene = Scene::set(&folder)?;
        let port = process::free_port(&mut Chance::new(u64::from(std::process::id()), 0))?;
        let url = format!("http://127.0.0.1:{port}");
        let server = Process::new("boskos-server", scene.server(port), &binaries, &folder)?;
        let daemons = scene.daemons(&url, EXPIRE).into_iter();
        let daemons = daemons.map(|(name, arguments)| Process::new(name, arguments, &binaries, &folder));
        let daemons = daemons.collect::<Result<Vec<_>>>()?;
        let client = Client::builder(&url, "soak").without_proxies().timeout(Duration::from_secs(5)).build()?;
        let fleet = Fleet::new(url.clone(), folder, seed)?;
        let (testimony, chronicle) = (Testimony::default(), Arc::default());
        Ok(Self {
            options,
            seed,
            url,
            client,
            scene,
            binaries,
            server,
            daemons,
            fleet,
            testimony,
            chronicle,
            violation: None,
        })
    }

    async fn soak(&mut self) -> Result<()> {
        self.server.start()?;
        for daemon in &mut self.daemons {
            daemon.start()?;
        }
        self.until("the server is there", Duration::from_secs(30), |_, listed| Ok(listed.is_some())).await?;
        let mut havoc = Havoc::new(Chance::new(self.seed, u64::MAX));
        let end = Instant::now() + Duration::from_secs(self.options.seconds);
        let mut next_gather = Instant::now();
        let mut next_plant = Instant::now() + Duration::from_secs(2);
        while Instant::now() < end {
            self.tick()?;
            for _ in 0..START_AT_ONCE.min(self.options.clients.saturating_sub(self.fleet.count())) {
                self.fleet.start_one()?;
            }
            havoc.go(&mut self.fleet, &mut self.server, &mut self.daemons)?;
            let now = Instant::now();
            if now >= next_gather {
                next_gather = now + GATHER_EVERY;
                self.gather_beside();
            }
            if self.options.plant_double_grant && now >= next_plant {
                next_plant = now + PLANT_EVERY;
                self.plant();
            }
            tokio::time::sleep(TICK).await;
        }
        havoc.end(&mut self.fleet)?;
        if self.options.plant_double_grant {
            bail!("a double grant was planted, and nobody found it");
        }
        let began = Instant::now();
        let resources = self.wind_down().await?;
        println!("soak: everything came back within {:.1} s", began.elapsed().as_secs_f64());
        self.chronicle.lock().await.gather(&self.client, self.testimony.names()).await?;
        self.stop().await?;
        self.judge(&havoc, &resources).await
    }

    /// Looks after everything that runs; an error is the end of the soak.
    fn tick(&mut self) -> Result<()> {
        for event in self.fleet.told() {
            if let Event::Violation { text } = &event {
                eprintln!("soak: VIOLATION: {text}");
                self.violation.get_or_insert(text.clone());
            }
            self.testimony.take(&event);
        }
        if let Some(text) = &self.violation {
            bail!("{text}");
        }
        self.fleet.bury()?;
        let now = Instant::now();
        for process in std::iter::once(&mut self.server).chain(&mut self.daemons) {
            process.check()?;
            if process.again_at.is_some_and(|again_at| again_at <= now) {
                process.start()?;
            }
        }
        Ok(())
    }

    /// Reads histories beside everything else.
    fn gather_beside(&self) {
        // One at a time; the last one took longer, or waits for the server.
        let Ok(mut chronicle) = Arc::clone(&self.chronicle).try_lock_owned() else { return };
        let (client, names) = (self.client.clone(), self.fleet.holding.values().map(|grant| grant.name.clone()));
        let names: BTreeSet<String> = names.collect();
        tokio::spawn(async move {
            // A server that is away is asked again the next time.
            chronicle.gather(&client, names).await.ok();
        });
    }

    /// Has a resource of somebody who holds it released, in the holder's name, so that the server grants it to
    /// whoever waits.
    fn plant(&self) {
        let slots = self.fleet.holding.values().filter(|grant| grant.name.starts_with(scene::SLOT));
        let Some(grant) = slots.max_by_key(|grant| grant.at).cloned() else { return };
        let builder = Client::builder(&self.url, &grant.owner).without_proxies();
        tokio::spawn(async move {
            if let Ok(client) = builder.build()
                && client.release(&grant.name, FREE).await.is_ok()
            {
                eprintln!("soak: planted: {} was released in the name of {grant}", grant.name);
            }
        });
    }

    /// Lets the clients end, and waits until everything has come back.
    async fn wind_down(&mut self) -> Result<Vec<Resource>> {
        self.scene.close()?;
        let began = Instant::now();
        while self.fleet.count() > 0 {
            self.tick()?;
            if began.elapsed() > ENDS_WITHIN {
                bail!("{} clients do not end", self.fleet.count());
            }
            tokio::time::sleep(TICK).await;
        }
        self.scene.drain()?;
        self.until("everything is free", SETTLES_WITHIN, |soak, listed| {
            soak.tick()?;
            Ok(listed.is_some_and(|listed| tally::settled(listed).is_ok()))
        })
        .await
    }

    /// Waits until `check` of all resources holds; returns them.
    async fn until(
        &mut self,
        what: &str,
        within: Duration,
        mut check: impl FnMut(&mut Self, Option<&[Resource]>) -> Result<bool>,
    ) -> Result<Vec<Resource>> {
        let began = Instant::now();
        loop {
            let listed = self.client.list(&Filter::default()).await;
            if check(self, listed.as_deref().ok())? {
                return Ok(listed?);
            }
            if began.elapsed() > within {
                tally::settled(&listed?).with_context(|| format!("not in {} s: {what}", within.as_secs()))?;
                bail!("not in {} s: {what}", within.as_secs());
            }
            tokio::time::sleep(TICK).await;
        }
    }

    /// Stops everything in order, and has the store checked.
    async fn stop(&mut self) -> Result<()> {
        self.daemons.iter_mut().try_for_each(Process::ask_to_end)?;
        for daemon in &mut self.daemons {
            daemon.wait_in_order(STOPS_WITHIN).await?;
        }
        self.server.ask_to_end()?;
        self.server.wait_in_order(STOPS_WITHIN).await?;
        let data = self.scene.folder.join("data");
        let mut check = Command::new(self.binaries.join("boskos-server"));
        let checked = check.arg("check-store").arg("--data-dir").arg(data).output()?;
        if !checked.status.success() {
            bail!("check-store: {}", String::from_utf8_lossy(&checked.stderr));
        }
        Ok(())
    }

    async fn judge(&self, havoc: &Havoc, resources: &[Resource]) -> Result<()> {
        let findings = audit(&*self.chronicle.lock().await, &self.testimony, EXPIRE);
        let tally = Tally {
            seconds: self.options.seconds,
            seed: self.seed,
            clients: self.fleet.started(),
            kills: havoc.kills,
            testimony: &self.testimony,
            findings: &findings,
            resources,
        };
        println!("{tally}");
        if !findings.violations.is_empty() {
            bail!("{} violations: {}", findings.violations.len(), findings.violations.join("; "));
        }
        tally.check()
    }
}
