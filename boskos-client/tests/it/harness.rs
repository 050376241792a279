//! What all these tests begin with.

use std::time::Duration;

use boskos_client::{Client, ClientBuilder, Error};

/// Three free things and one of another type.
pub(crate) const CONFIG: &str = "resources:
- {type: thing, state: free, names: [thing1, thing2, thing3]}
- {type: other, state: free, names: [other1]}
";

pub(crate) fn builder(url: &str, owner: &str) -> ClientBuilder {
    Client::builder(url, owner).without_proxies().poll_pace(Duration::from_millis(300))
}

pub(crate) fn client(url: &str, owner: &str) -> Client {
    builder(url, owner).build().unwrap()
}

pub(crate) fn kind(error: &Error) -> String {
    format!("{error:?}").split([' ', '{']).next().unwrap_or_default().to_owned()
}
