//! Looking at the server: `/metric` and `/api/v1`.

use std::time::Duration;

use boskos_core::{
    GoDuration, Resource,
    ranch::{Metric, command::Filter},
    shown::{Difference, Info, ShownLifecycle, ShownPlace, ShownTransition},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Client;
use crate::{
    Error,
    transport::{Again, Call, Secret, Sequence},
};

/// One change of a resource.
pub type HistoryRow = ShownTransition;

/// Resources asked for in one call of a listing.
const PAGE: usize = 1_000;

/// Bytes of the filters in a query beyond which types are sorted out here: a request line has a bound.
const MAX_FILTER: usize = 16 * 1024;

/// How soon to look again where the server could not be told what to wait for.
const LOOSE_PAUSE: Duration = Duration::from_secs(1);

impl Client {
    /// Whether there is anybody who answers, within the timeout of one call and however often that is tried. What
    /// they answer is for other calls to judge, but for statuses from 500 on: a proxy has them for a server that is
    /// away.
    ///
    /// # Errors
    ///
    /// Why there is no answer below 500.
    pub(crate) async fn probe(&self) -> Result<(), Error> {
        let timeout = self.transport().times.call;
        let call = Call::get("/api/v1/info");
        match tokio::time::timeout(timeout, self.transport().send(&call)).await {
            Ok(answer) => answer.map(drop),
            Err(_) => Err(Error::TimedOut { url: self.url(), timeout }),
        }
    }

    /// The counts of one type.
    ///
    /// ```no_run
    /// # async fn example(client: boskos_client::Client) -> Result<(), boskos_client::Error> {
    /// let free = client.metric("gce-project").await?.current.get("free").copied().unwrap_or(0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such type; else what went wrong.
    pub async fn metric(&self, r#type: &str) -> Result<Metric, Error> {
        let call = Call::get("/metric").with([("type", r#type)]);
        let answer = self.transport().send(&call).await?;
        match answer.is_ok() {
            true => self.transport().value("/metric", &answer),
            false => Err(self.transport().refusal("/metric", &answer)),
        }
    }

    /// All resources that match, in name order, however many.
    ///
    /// ```no_run
    /// # use boskos_client::Filter;
    /// # async fn example(client: boskos_client::Client) -> Result<(), boskos_client::Error> {
    /// let filter = Filter { states: vec!["dirty".into()], owners: vec![None], ..Filter::default() };
    /// for resource in client.list(&filter).await? {
    ///     println!("{}", resource.name);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::OlderServer`] from one without `/api/v1`; else what went wrong.
    pub async fn list(&self, filter: &Filter) -> Result<Vec<Resource>, Error> {
        let mut all: Vec<Resource> = Vec::new();
        loop {
            let after = all.last().map(|resource| resource.name.clone());
            let after = after.as_ref().map(|name| name.as_str());
            let (page, _) = self.page(filter, after, PAGE, Duration::ZERO, None).await?;
            let is_last = page.len() < PAGE;
            all.extend(page);
            if is_last {
                all.retain(|resource| filter.types.is_empty() || filter.types.contains(&resource.r#type));
                return Ok(all);
            }
        }
    }

    /// The first up to 1,000 that match, as soon as there is one, for `wait` at most; empty if there was none.
    ///
    /// Nothing is held while waiting. The server may end the wait sooner than asked.
    ///
    /// ```no_run
    /// # use boskos_client::Filter;
    /// # async fn example(client: boskos_client::Client) -> Result<(), boskos_client::Error> {
    /// let filter = Filter { states: vec!["dirty".into()], owners: vec![None], ..Filter::default() };
    /// let found = client.watch(&filter, std::time::Duration::from_secs(50)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::OlderServer`] from one without `/api/v1`; else what went wrong.
    pub async fn watch(&self, filter: &Filter, wait: Duration) -> Result<Vec<Resource>, Error> {
        Ok(self.watch_since(filter, wait, None).await?.0)
    }

    /// The same, where what matched already when a server said `since`, and did not change, counts for nothing; with
    /// what to say the next time. A server that knows no sequences tells none.
    ///
    /// ```no_run
    /// # use boskos_client::Filter;
    /// # async fn example(client: boskos_client::Client) -> Result<(), boskos_client::Error> {
    /// let (filter, wait) = (Filter::default(), std::time::Duration::from_secs(50));
    /// let (all, since) = client.watch_since(&filter, wait, None).await?;
    /// let (news, since) = client.watch_since(&filter, wait, since.as_ref()).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The same.
    pub async fn watch_since(
        &self,
        filter: &Filter,
        wait: Duration,
        since: Option<&Sequence>,
    ) -> Result<(Vec<Resource>, Option<Sequence>), Error> {
        let (mut found, sequence) = self.page(filter, None, PAGE, wait, since).await?;
        let is_loose = !found.is_empty();
        found.retain(|resource| filter.types.is_empty() || filter.types.contains(&resource.r#type));
        if is_loose && found.is_empty() {
            self.clock().sleep(LOOSE_PAUSE).await;
        }
        Ok((found, sequence))
    }

    async fn page(
        &self,
        filter: &Filter,
        after: Option<&str>,
        limit: usize,
        wait: Duration,
        since: Option<&Sequence>,
    ) -> Result<(Vec<Resource>, Option<Sequence>), Error> {
        let (limit, text) = (limit.to_string(), GoDuration::from_std(wait).to_string());
        let mut call = Call::get("/api/v1/resources").with([("limit", &*limit)]);
        let types = filter.types.iter().map(|r#type| r#type.as_str());
        // An encoded byte takes three, and each has its key.
        if types.clone().map(|text| text.len() * 3 + 6).sum::<usize>() <= MAX_FILTER {
            call.query.extend(types.map(|text| ("type", text)));
        }
        call.query.extend(filter.states.iter().map(|state| ("state", state.as_str())));
        call.query
            .extend(filter.owners.iter().map(|owner| ("owner", owner.as_ref().map_or("", |owner| owner.as_str()))));
        call.query.extend(after.map(|name| ("after", name)));
        if !wait.is_zero() {
            call.query.push(("wait", &text));
            call.wait = wait;
        }
        call.query.extend(since.map(|Sequence(text)| ("since", &**text)));
        self.transport().ask_up_to(&call).await
    }

    /// One resource by name.
    ///
    /// ```no_run
    /// # async fn example(client: boskos_client::Client) -> Result<(), boskos_client::Error> {
    /// let owner = client.resource("project-1").await?.owner;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is none; [`Error::OlderServer`] from one without `/api/v1`; else what went wrong.
    pub async fn resource(&self, name: &str) -> Result<Resource, Error> {
        self.transport().ask(&Call::get(&format!("/api/v1/resources/{}", segment(name)))).await
    }

    /// What became of a resource, newest first, `limit` rows at most (the server shows 1,000).
    ///
    /// ```no_run
    /// # async fn example(client: boskos_client::Client) -> Result<(), boskos_client::Error> {
    /// for row in client.history("project-1", 10).await? {
    ///     println!("{} {:?}", row.time, row.to);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The same as of [`Client::resource`].
    pub async fn history(&self, name: &str, limit: usize) -> Result<Vec<HistoryRow>, Error> {
        let (path, limit) = (format!("/api/v1/resources/{}/history", segment(name)), limit.to_string());
        self.transport().ask(&Call::get(&path).with([("limit", &*limit)])).await
    }

    /// The counts of every type.
    ///
    /// ```no_run
    /// # async fn example(client: boskos_client::Client) -> Result<(), boskos_client::Error> {
    /// let types: Vec<String> = client.types().await?.into_iter().map(|metric| metric.r#type).collect();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::OlderServer`] from one without `/api/v1`; else what went wrong.
    pub async fn types(&self) -> Result<Vec<Metric>, Error> {
        self.transport().ask(&Call::get("/api/v1/types")).await
    }

    /// The dynamic types.
    ///
    /// ```no_run
    /// # async fn example(client: boskos_client::Client) -> Result<(), boskos_client::Error> {
    /// let dynamic = client.lifecycles().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::OlderServer`] from one without `/api/v1`; else what went wrong.
    pub async fn lifecycles(&self) -> Result<Vec<ShownLifecycle>, Error> {
        self.transport().ask(&Call::get("/api/v1/lifecycles")).await
    }

    /// Who waits.
    ///
    /// ```no_run
    /// # async fn example(client: boskos_client::Client) -> Result<(), boskos_client::Error> {
    /// let waiting = client.queue().await?.len();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::OlderServer`] from one without `/api/v1`; else what went wrong.
    pub async fn queue(&self) -> Result<Vec<ShownPlace>, Error> {
        self.transport().ask(&Call::get("/api/v1/queue")).await
    }

    /// Which server this is.
    ///
    /// ```no_run
    /// # async fn example(client: boskos_client::Client) -> Result<(), boskos_client::Error> {
    /// println!("{}", client.info().await?.version);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::OlderServer`] from one without `/api/v1`; else what went wrong.
    pub async fn info(&self) -> Result<Info, Error> {
        self.transport().ask(&Call::get("/api/v1/info")).await
    }

    /// What applying `config` would change on the server.
    ///
    /// ```no_run
    /// # async fn example(client: boskos_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let difference = client.config_diff(std::fs::read("boskos-resources.yaml")?).await?;
    /// println!("{} to be added", difference.add.count);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] with every violation if the config is against the rules; else what went wrong.
    pub async fn config_diff(&self, config: Vec<u8>) -> Result<Difference, Error> {
        let mut call = Call::post("/api/v1/config/diff", Again::Always);
        call.body = Some(Secret(config));
        self.transport().ask(&call).await
    }
}

fn segment(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}
