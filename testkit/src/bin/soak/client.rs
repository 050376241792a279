//! One short-lived client: a process that leases a few times and ends, in one way or another.

use std::{
    path::PathBuf,
    process,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use boskos_client::{Client, Error, HistoryRow, Lease, LeaseOptions, Resource};
use boskos_core::{
    WallTime,
    state::{BUSY, DIRTY, FREE, TO_BE_DELETED},
};

use crate::{
    EXPIRE,
    chance::Chance,
    event::{Event, Grant, Teller, millis},
    hold::{Claim, Hold, Holds},
    judge::{self, Ending, Ruling},
    scene,
};

/// The exit code of a client that has seen what must not be.
pub(crate) const VIOLATION: i32 = 3;

/// The key of the note in a resource's user data.
const NOTE: &str = "soak";

/// Between two heartbeats.
const PERIOD: Duration = Duration::from_secs(1);

/// Without a heartbeat for so long a lease counts as lost: below the reaper's expiry.
const LOST_AFTER: Duration = Duration::from_secs(3);

/// How long one client waits for a resource.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long it is tried to give back, and to read a history.
const PERSISTENCE: Duration = Duration::from_secs(20);

/// How long it is waited for the one to whom a resource went that was taken from its holder.
const NAMES_WITHIN: Duration = Duration::from_secs(3);

/// Rows of history asked for.
const ROWS: usize = 1_000;

/// What a client process is told.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// The server
    #[arg(long)]
    url: String,
    /// Its name, which no other process has
    #[arg(long)]
    owner: String,
    /// Its luck
    #[arg(long)]
    seed: u64,
    /// Where holders keep their files
    #[arg(long)]
    folder: PathBuf,
}

struct Customer {
    client: Client,
    holds: Holds,
    teller: Teller,
    chance: Chance,
    /// Notes written so far.
    notes: u32,
}

/// How a lease ends if nothing comes between.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Release,
    /// The handle is dropped, which gives back.
    Drop,
    /// The process ends.
    Die,
}

/// Lives.
///
/// # Errors
///
/// If it cannot: nothing that a server or another client does is an error.
pub(crate) async fn live(args: Args) -> Result<()> {
    let client = Client::builder(args.url, args.owner)
        .without_proxies()
        .timeout(Duration::from_secs(5))
        .poll_pace(Duration::from_millis(500))
        .longest_wait(Duration::from_secs(10))
        .build()?;
    let mut customer = Customer {
        client,
        holds: Holds::open(&args.folder)?,
        teller: Teller::stdout()?,
        chance: Chance::new(args.seed, 0),
        notes: 0,
    };
    for _ in 0..=customer.chance.below(3) {
        if args.folder.join(scene::CLOSED).exists() || !customer.lease_one().await? {
            break;
        }
    }
    // Whatever it is that does not get back in time, the reaper will.
    tokio::time::timeout(PERSISTENCE, customer.client.settled()).await.ok();
    Ok(())
}

fn now() -> WallTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime::from_nanos(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX))
}

// === impl Customer ===

impl Customer {
    /// One lease from its beginning to its end; false if this process is to take no other.
    async fn lease_one(&mut self) -> Result<bool> {
        let r#type = match self.chance.below(100) {
            0..60 => scene::SLOT,
            60..80 => scene::ROOM,
            _ => scene::CLUSTER,
        };
        let began = Instant::now();
        let resource = match self.acquire(r#type).await {
            Ok(Some(resource)) => resource,
            Ok(None) => return Ok(true),
            Err(error) if error.is_none_now() => return Ok(true),
            // The next client may fare better.
            Err(error) => {
                eprintln!("{}: {error}", self.client.owner());
                return Ok(false);
            }
        };
        let waited_ms = millis(began.elapsed());
        let grant = Grant {
            name: resource.name.as_str().to_owned(),
            owner: self.client.owner().as_str().to_owned(),
            at: resource.last_update,
        };
        let fate = match self.chance.below(100) {
            0..5 => Fate::Die,
            5..10 => Fate::Drop,
            _ => Fate::Release,
        };
        let dropped_into = (fate == Fate::Drop).then(|| DIRTY.into());
        let note = resource.user_data.get(NOTE);
        let lease = self.client.lease(resource, LeaseOptions { period: PERIOD, lost_after: LOST_AFTER, dropped_into });
        let Some((hold, took_over)) = self.hold(&grant).await? else { return Ok(true) };
        self.teller.tell(&Event::Granted { grant: grant.clone(), waited_ms, note, took_over })?;
        if let Err(why) = self.work(&lease, &grant, &hold).await? {
            self.lose(hold, grant, why).await?;
            return Ok(true);
        }
        match fate {
            Fate::Die => {
                self.teller.tell(&Event::Dying { grant })?;
                process::exit(0);
            }
            Fate::Drop => {
                hold.let_go()?;
                self.teller.tell(&Event::Releasing { grant, dest: DIRTY.to_owned() })?;
                drop(lease);
                Ok(false)
            }
            Fate::Release => {
                hold.let_go()?;
                self.release(lease, grant, r#type).await
            }
        }
    }

    /// Asks for a resource in one of several ways; `None` if it lost interest.
    async fn acquire(&mut self, r#type: &str) -> Result<Option<Resource>, Error> {
        match self.chance.below(100) {
            // Without an id, behind all who wait.
            0..15 => {
                for _ in 0..10 {
                    match self.client.acquire(r#type, FREE, BUSY).await {
                        Err(error) if error.is_none_now() => {}
                        acquired => return acquired.map(Some),
                    }
                    tokio::time::sleep(self.chance.millis(100, 400)).await;
                }
                Ok(None)
            }
            // Cancelled, at any moment of its way.
            15..30 => {
                let interest = self.chance.millis(0, 1_500);
                match tokio::time::timeout(interest, self.client.acquire_wait(r#type, FREE, BUSY, None)).await {
                    Ok(acquired) => acquired.map(Some),
                    Err(_) => Ok(None),
                }
            }
            _ => self.client.acquire_wait(r#type, FREE, BUSY, Some(PATIENCE)).await.map(Some),
        }
    }

    /// Makes the holder's file; `None` if the resource was lost before.
    async fn hold(&self, grant: &Grant) -> Result<Option<(Hold, bool)>> {
        let mut judged = None;
        loop {
            let found = match self.holds.claim(grant, judged.as_ref())? {
                Claim::Held(hold) => return Ok(Some((hold, judged.is_some()))),
                Claim::Taken(found) => found,
            };
            let ruling = match self.history(&grant.name).await? {
                Some(rows) => judge::rule(&rows, &found.grant, found.alive, grant, EXPIRE),
                // Nobody deletes what somebody owns: it was lost before.
                None => Ruling::Late,
            };
            match ruling {
                Ruling::Succeeded => judged = Some(found.grant),
                Ruling::Late => {
                    self.teller.tell(&Event::Lost { grant: grant.clone(), why: "before it was held".to_owned() })?;
                    return Ok(None);
                }
                Ruling::Double(text) => self.violation(text)?,
            }
        }
    }

    /// Holds the resource for a while; the inner error tells that it is lost, and how.
    async fn work(&mut self, lease: &Lease, grant: &Grant, hold: &Hold) -> Result<Result<(), Loss>> {
        let length = match self.chance.percent(4) {
            // Only heartbeats make this possible.
            true => EXPIRE.mul_f32(1.6),
            false => self.chance.millis(50, 2_000),
        };
        let until = tokio::time::Instant::now() + length;
        let mut alive = grant.at;
        for _ in 0..self.chance.below(3) {
            let pause = tokio::time::sleep(self.chance.millis(0, 500));
            tokio::select! {
                lost = lease.lost() => return Ok(Err(Loss { why: lost.to_string(), alive })),
                () = pause => {}
            }
            self.notes += 1;
            let note = format!("{}/{}", grant.owner, self.notes);
            self.teller.tell(&Event::Noting { grant: grant.clone(), note: note.clone() })?;
            let sent_at = now();
            match lease.update(&[(NOTE.to_owned(), Some(note.clone()))].into()).await {
                Ok(()) => {
                    alive = sent_at;
                    hold.beat(sent_at)?;
                    self.teller.tell(&Event::Noted { grant: grant.clone(), note, sent_at })?;
                }
                Err(error) if error.is_lost() => return Ok(Err(Loss { why: error.to_string(), alive })),
                // Written or not: heartbeats go on, and tell.
                Err(error) => eprintln!("{}: {error}", grant.owner),
            }
        }
        tokio::select! {
            lost = lease.lost() => Ok(Err(Loss { why: lost.to_string(), alive })),
            () = tokio::time::sleep_until(until) => Ok(Ok(())),
        }
    }

    /// Lets go of what is lost, if it was lost in order.
    async fn lose(&self, hold: Hold, grant: Grant, loss: Loss) -> Result<()> {
        let mut taken = self.taken(&grant, &loss).await?;
        let deadline = Instant::now() + NAMES_WITHIN;
        while taken.as_ref().is_some_and(|taken| taken.next.is_none()) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(100)).await;
            taken = self.taken(&grant, &loss).await?;
        }
        if let Some(Taken { state, next }) = taken {
            // The file stays: whoever is next finds it, and says the same.
            let (name, next) = (&grant.name, next.unwrap_or_else(|| "nobody yet".to_owned()));
            let Loss { why, alive } = &loss;
            self.violation(format!(
                "{name} was taken from {grant}, last heard of {alive}, without a reset: {state}, then {next}; {why}"
            ))?;
        }
        hold.let_go()?;
        self.teller.tell(&Event::Lost { grant, why: loss.why })
    }

    /// How the resource was taken from its holder, if that was not by a reset.
    async fn taken(&self, grant: &Grant, loss: &Loss) -> Result<Option<Taken>> {
        let rows = self.history(&grant.name).await?.unwrap_or_default();
        let Some(place) = judge::place(&rows, grant) else { return Ok(None) };
        let Ending::Left(state) = judge::ending(&rows, place, loss.alive, EXPIRE) else { return Ok(None) };
        let mut later = rows[place..].iter().skip(1);
        let next = later.find(|row| row.to.as_ref().is_some_and(|to| !to.owner.is_empty())).map(judge::told);
        Ok(Some(Taken { state, next }))
    }

    async fn release(&mut self, lease: Lease, grant: Grant, r#type: &str) -> Result<bool> {
        let dest = match (r#type, self.chance.below(100)) {
            (scene::CLUSTER | scene::ROOM, 0..15) => TO_BE_DELETED,
            (_, 0..45) => DIRTY,
            _ => FREE,
        };
        self.teller.tell(&Event::Releasing { grant: grant.clone(), dest: dest.to_owned() })?;
        let mut released = lease.release(dest).await;
        let is_first = released.is_ok();
        let deadline = Instant::now() + PERSISTENCE;
        while let Err(error) = &released
            && !error.is_lost()
        {
            if Instant::now() > deadline {
                eprintln!("{}: left to the reaper: {error}", grant.owner);
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
            released = self.client.release(&grant.name, dest).await;
        }
        match released {
            Ok(()) => self.teller.tell(&Event::Released { grant })?,
            Err(error) => self.teller.tell(&Event::Lost { grant, why: error.to_string() })?,
        }
        // A try of which nothing was heard must not meet a later lease of the same owner.
        Ok(is_first)
    }

    /// The history of a resource, the oldest first; `None` if there is no such resource any more.
    async fn history(&self, name: &str) -> Result<Option<Vec<HistoryRow>>> {
        let deadline = Instant::now() + PERSISTENCE;
        loop {
            match self.client.history(name, ROWS).await {
                Ok(mut rows) => {
                    rows.reverse();
                    return Ok(Some(rows));
                }
                Err(Error::NotFound { .. }) => return Ok(None),
                Err(error) if Instant::now() > deadline => {
                    return Err(error).context("no history to judge by");
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    fn violation(&self, text: String) -> Result<()> {
        self.teller.tell(&Event::Violation { text })?;
        process::exit(VIOLATION);
    }
}

/// Into which state a resource was taken from its holder, and whose it was next.
struct Taken {
    state: String,
    next: Option<String>,
}

/// How a lease was lost.
struct Loss {
    why: String,
    /// When the holder was last heard of.
    alive: WallTime,
}
