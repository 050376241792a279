//! Taking resources: at once, waiting for one, several by name.

use std::time::Duration;

use boskos_core::{GoDuration, MonoTime, Resource, ResourceName, State};
use tokio::sync::oneshot;

use super::{Client, grant::Grant};
use crate::{
    Error,
    held::Loose,
    retry::{ATTEMPTS, Delays},
    transport::{Again, Call, Times},
};

/// How long a call that nobody waits for any more may take to end.
const CANCEL_WAIT: Duration = Duration::from_secs(10);

/// What is asked of `/acquire`.
#[derive(Clone, Debug)]
struct Asked {
    r#type: String,
    state: String,
    dest: String,
    request_id: Option<String>,
    wait: Duration,
}

/// How one waiter goes on asking.
struct Patience {
    times: Times,
    deadline: Option<MonoTime>,
    /// The longest wait that the way to the server lets through.
    longest: Duration,
    /// Answers in a row that never came, or only said that there is nobody to decide.
    failures: u32,
    /// The server was there in this wait: it is waited for to come back, rather than taken for a wrong URL.
    was_there: bool,
    delays: Delays,
}

// === impl Patience ===

impl Patience {
    fn new(times: Times, deadline: Option<MonoTime>) -> Self {
        Self { times, deadline, longest: times.wait, failures: 0, was_there: false, delays: Delays::of_call() }
    }

    /// How long to ask the server to wait.
    fn wait(&self, now: MonoTime) -> Duration {
        self.deadline.map_or(self.longest, |deadline| self.longest.min(deadline.saturating_since(now)))
    }

    /// When to ask again after an answer at `now` to a call that `began` and asked for `wait`; `None` is never.
    fn again_at(&mut self, error: &Error, began: MonoTime, wait: Duration, now: MonoTime) -> Option<MonoTime> {
        let took = now.saturating_since(began);
        if error.is_none_now() || matches!(error, Error::NotOwner { .. } | Error::Unauthorized { status: 401, .. }) {
            self.failures = 0;
            self.was_there = true;
            self.delays.reset();
            // Sooner than the wait asked for: a server that does not know of waiting, or one that stops.
            let pause = if took < wait { self.times.pace } else { Duration::ZERO };
            return Some(began.saturating_add(pause));
        }
        // A server that changes its leader, or whose disk is full for a while.
        let is_halted = matches!(error, Error::Unavailable { status: 503, .. });
        self.was_there |= is_halted;
        let is_patient = self.was_there && self.deadline.is_some();
        // A proxy whose server is gone may answer in its own words.
        let is_passing =
            error.is_unknown_outcome() || is_halted || is_patient && matches!(error, Error::NotBoskos { .. });
        if !is_passing || self.failures >= ATTEMPTS && !is_patient {
            return None;
        }
        self.failures += 1;
        if took >= self.times.pace && !is_halted {
            // Something on the way does not let a call wait for that long.
            self.longest = (took / 2).max(self.times.pace);
        }
        Some(now.saturating_add(self.delays.next_delay()).max(began.saturating_add(self.times.pace)))
    }
}

// === impl Client ===

impl Client {
    /// Takes one resource of `type` in `state` and sets it to `dest`; one question, no place in the queue.
    ///
    /// Cancelled, it gives back what was granted (see [`Client::settled`]).
    ///
    /// ```no_run
    /// # async fn example(client: boskos_client::Client) -> Result<(), boskos_client::Error> {
    /// match client.acquire("gce-project", "free", "busy").await {
    ///     Ok(resource) => println!("{}", resource.name),
    ///     Err(error) if error.is_none_now() => println!("none is free"),
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::is_none_now`] if there is none; else what went wrong.
    pub async fn acquire(&self, r#type: &str, state: &str, dest: &str) -> Result<Resource, Error> {
        let asked = Asked {
            r#type: r#type.to_owned(),
            state: state.to_owned(),
            dest: dest.to_owned(),
            request_id: None,
            wait: Duration::ZERO,
        };
        self.acquire_once(asked).await
    }

    /// The same, waiting in the queue until there is one, for `timeout` at most and without end if there is none.
    ///
    /// The queue place is kept under one random id. The server is asked to hold the answer back until there is a
    /// resource; one that does not know how is asked every 3 s. A server that answered once in this wait and is away
    /// since, or says that it cannot decide now, is waited for until the timeout. Cancelled, it gives back what was
    /// granted.
    ///
    /// ```no_run
    /// # async fn example(client: boskos_client::Client) -> Result<(), boskos_client::Error> {
    /// let patience = std::time::Duration::from_secs(600);
    /// let resource = client.acquire_wait("gce-project", "free", "busy", Some(patience)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::is_none_now`] if there was none in time; else what went wrong.
    pub async fn acquire_wait(
        &self,
        r#type: &str,
        state: &str,
        dest: &str,
        timeout: Option<Duration>,
    ) -> Result<Resource, Error> {
        let clock = self.clock().clone();
        let mut patience = Patience::new(self.transport().times, timeout.map(|time| clock.mono().saturating_add(time)));
        let request_id = uuid::Uuid::new_v4().to_string();
        loop {
            let began = clock.mono();
            let wait = patience.wait(began);
            let asked = Asked {
                r#type: r#type.to_owned(),
                state: state.to_owned(),
                dest: dest.to_owned(),
                request_id: Some(request_id.clone()),
                wait,
            };
            let error = match self.acquire_once(asked).await {
                Ok(resource) => return Ok(resource),
                Err(error) => error,
            };
            let Some(again_at) = patience.again_at(&error, began, wait, clock.mono()) else { return Err(error) };
            match patience.deadline {
                Some(deadline) if deadline <= again_at => {
                    clock.sleep_until(deadline).await;
                    return Err(error);
                }
                _ => clock.sleep_until(again_at).await,
            }
        }
    }

    /// Takes all the named resources, which must be unowned and in `state`, or none; in the order asked.
    ///
    /// Cancelled, it gives back what was granted.
    ///
    /// ```no_run
    /// # async fn example(client: boskos_client::Client) -> Result<(), boskos_client::Error> {
    /// let parts = client.acquire_by_state("my-cluster", "leased", &["account1".into(), "account2".into()]).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if not all of them can be had; else what went wrong.
    pub async fn acquire_by_state(
        &self,
        state: &str,
        dest: &str,
        names: &[ResourceName],
    ) -> Result<Vec<Resource>, Error> {
        let (client, state, dest) = (self.clone(), state.to_owned(), dest.to_owned());
        let names: Vec<&str> = names.iter().map(ResourceName::as_str).collect();
        let names = names.join(",");
        let (reply, answer) = oneshot::channel();
        let loose = self.shared.held.loose();
        tokio::spawn(async move {
            let _loose = loose;
            let taken = client.exchange_by_state(&state, &dest, &names).await;
            let grants = taken.map(|all| {
                let grant = |resource| Grant::new(client.clone(), resource, State::from(&*state));
                all.into_iter().map(grant).collect::<Vec<_>>()
            });
            // Grants that nobody waits for go back as they are dropped.
            drop(reply.send(grants));
        });
        let grants = answer.await.map_err(|_| Error::Ending)??;
        Ok(grants.into_iter().map(Grant::keep).collect())
    }

    /// One call, in a task of its own that outlives a caller who no longer waits.
    async fn acquire_once(&self, asked: Asked) -> Result<Resource, Error> {
        let (reply, answer) = oneshot::channel();
        let loose = self.shared.held.loose();
        tokio::spawn(self.clone().drive(asked, reply, loose));
        Ok(answer.await.map_err(|_| Error::Ending)??.keep())
    }

    async fn drive(self, asked: Asked, mut reply: oneshot::Sender<Result<Grant, Error>>, _loose: Loose) {
        let exchange = self.exchange(&asked);
        tokio::pin!(exchange);
        let granted = tokio::select! {
            biased;
            granted = &mut exchange => granted,
            () = reply.closed() => {
                self.wake_parked(&asked).await;
                tokio::time::timeout(CANCEL_WAIT, exchange).await.unwrap_or(Err(Error::Ending))
            }
        };
        let granted = granted.map(|resource| Grant::new(self.clone(), resource, State::from(&*asked.state)));
        // A grant that nobody waits for goes back as it is dropped.
        drop(reply.send(granted));
    }

    /// Has a parked call answered at once, by one with the same id that does not wait; gives back what that one gets.
    /// To hang up instead would leak a grant that is on its way.
    async fn wake_parked(&self, asked: &Asked) {
        if asked.request_id.is_none() || asked.wait.is_zero() {
            return;
        }
        let asked = Asked { wait: Duration::ZERO, ..asked.clone() };
        match self.exchange(&asked).await {
            Ok(resource) => drop(Grant::new(self.clone(), resource, State::from(&*asked.state))),
            Err(error) => tracing::debug!(%error, "a cancelled acquire got nothing"),
        }
    }

    async fn exchange(&self, asked: &Asked) -> Result<Resource, Error> {
        let transport = self.transport();
        let wait = GoDuration::from_std(asked.wait).to_string();
        let mut call = Call::post("/acquire", Again::IfNotDone).with([
            ("type", asked.r#type.as_str()),
            ("state", &asked.state),
            ("dest", &asked.dest),
            ("owner", self.owner().as_str()),
        ]);
        if let Some(request_id) = &asked.request_id {
            call.query.push(("request_id", request_id));
        }
        if !asked.wait.is_zero() {
            call.query.push(("wait", &wait));
            call.wait = asked.wait;
        }
        let answer = transport.send(&call).await?;
        match answer.is_ok() {
            true => transport.value("/acquire", &answer),
            false => Err(transport.refusal("/acquire", &answer)),
        }
    }

    async fn exchange_by_state(&self, state: &str, dest: &str, names: &str) -> Result<Vec<Resource>, Error> {
        let transport = self.transport();
        let owner = self.owner().as_str();
        let call = Call::post("/acquirebystate", Again::IfNotDone).with([
            ("state", state),
            ("dest", dest),
            ("owner", owner),
            ("names", names),
        ]);
        let answer = transport.send(&call).await?;
        match answer.is_ok() {
            true => transport.value("/acquirebystate", &answer),
            false => Err(transport.refusal("/acquirebystate", &answer)),
        }
    }
}
