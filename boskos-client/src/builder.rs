//! How a client is made.

use std::{path::PathBuf, time::Duration};

use reqwest::redirect;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use crate::{
    Client, Clock, CredentialsError, UrlError,
    credentials::Credentials,
    server_url::ServerUrl,
    tls,
    transport::{Times, Transport},
};

/// From the first packet to a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Idle connections are closed before a server would: its idle timeout is 120 s.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// Redirects followed in one call.
const REDIRECTS: usize = 5;

/// Variables that name a proxy, as most programs read them.
const PROXY_VARIABLES: [&str; 6] = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The URL is of no use.
    #[error("the server's URL is of no use")]
    Url(#[from] UrlError),
    /// The credentials are of no use.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The owner is empty, which is nobody.
    #[error("the owner's name must not be empty")]
    NoOwner,
    /// A root certificate is none.
    #[error("not a certificate in PEM form: {0}")]
    Certificate(String),
    /// TLS cannot be had.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

/// What a client is to be like; made by [`Client::builder`].
#[derive(Clone)]
pub struct ClientBuilder {
    url: String,
    owner: String,
    credentials: Option<(String, PathBuf)>,
    roots: Vec<Vec<u8>>,
    times: Times,
    clock: Clock,
    proxies: bool,
}

// === impl ClientBuilder ===

impl ClientBuilder {
    pub(crate) fn new(url: String, owner: String) -> Self {
        Self {
            url,
            owner,
            credentials: None,
            roots: Vec::new(),
            times: Times::default(),
            clock: Clock::system(),
            proxies: true,
        }
    }

    /// Sends basic auth with every call; the file is read now, and again whenever it changes. White space around
    /// the password is no part of it. Wins over a user in the URL.
    #[must_use]
    pub fn password_file(mut self, username: impl Into<String>, file: impl Into<PathBuf>) -> Self {
        self.credentials = Some((username.into(), file.into()));
        self
    }

    /// Trusts the roots in this PEM text beside the machine's.
    #[must_use]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// How long one try of a call may take, beside what it asks the server to wait: 30 s unless set.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.times.call = timeout;
        self
    }

    /// The least time between two acquires of one waiter: 3 s unless set.
    #[must_use]
    pub fn poll_pace(mut self, pace: Duration) -> Self {
        self.times.pace = pace;
        self
    }

    /// How long one call asks the server to wait at most: 50 s unless set, a server's own bound as it ships.
    #[must_use]
    pub fn longest_wait(mut self, wait: Duration) -> Self {
        self.times.wait = wait;
        self
    }

    /// The clock that paces, delays and leases go by; tests turn one by hand.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Calls the server itself, whatever proxy the environment names.
    #[must_use]
    pub fn without_proxies(mut self) -> Self {
        self.proxies = false;
        self
    }

    /// Makes the client. Nothing is sent.
    ///
    /// # Errors
    ///
    /// If URL, owner, credentials or certificates are of no use.
    pub fn build(self) -> Result<Client, BuildError> {
        let (url, user_info) = ServerUrl::parse(&self.url)?;
        if self.owner.is_empty() {
            return Err(BuildError::NoOwner);
        }
        let credentials = match (&self.credentials, user_info) {
            (Some((username, file)), _) => Some(Credentials::from_file(username, file)?),
            (None, Some((username, password))) => Some(Credentials::fixed(&username, &password)),
            (None, None) => None,
        };
        let has_roots = url.is_https() || self.proxies && is_proxy_with_tls();
        let tls = match has_roots {
            true => tls::config(certificates(&self.roots)?),
            false => tls::nobody(),
        };
        let tls = tls.map_err(|error| BuildError::Tls(error.to_string()))?;
        let mut http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .tcp_nodelay(true)
            .redirect(redirects(has_roots))
            .user_agent(concat!("boskos-client/", env!("CARGO_PKG_VERSION")));
        if !self.proxies {
            http = http.no_proxy();
        }
        // Its text may hold a proxy's password.
        let http = http.build().map_err(|_| BuildError::Tls("the HTTP client refuses its settings".to_owned()))?;
        Ok(Client::new(Transport::new(http, url, credentials, self.times, self.clock), self.owner.into()))
    }
}

impl std::fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("url", &boskos_runtime::text::without_userinfo(&self.url))
            .field("owner", &self.owner)
            .field("times", &self.times)
            .finish_non_exhaustive()
    }
}

/// Follows a few redirects, but to TLS only where a server could prove who it is.
fn redirects(has_roots: bool) -> redirect::Policy {
    redirect::Policy::custom(move |attempt| {
        if attempt.url().scheme() == "https" && !has_roots {
            let host = attempt.url().host_str().unwrap_or_default();
            let what = format!("it redirects to https://{host}: name an https URL instead");
            return attempt.error(what);
        }
        match attempt.previous().len() > REDIRECTS {
            true => attempt.error(format!("more than {REDIRECTS} redirects")),
            false => attempt.follow(),
        }
    })
}

fn certificates(pems: &[Vec<u8>]) -> Result<Vec<CertificateDer<'static>>, BuildError> {
    let all = pems.iter().flat_map(|pem| CertificateDer::pem_slice_iter(pem));
    all.collect::<Result<_, _>>().map_err(|error| BuildError::Certificate(error.to_string()))
}

fn is_proxy_with_tls() -> bool {
    PROXY_VARIABLES.iter().any(|name| std::env::var(name).is_ok_and(|value| value.starts_with("https://")))
}
