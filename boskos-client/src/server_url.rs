//! Where the server is.

use std::fmt;

use boskos_runtime::text;
use percent_encoding::percent_decode_str;
use reqwest::Url;

/// Why a text is no server's URL. Says nothing of the user and password in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// No URL at all.
    #[error("{url:?} is not a URL: {why}")]
    Invalid {
        /// The text.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// Neither `http` nor `https`.
    #[error("{url:?} must begin with http:// or https://")]
    Scheme {
        /// The text.
        url: String,
    },
}

/// A server's URL without path and without secrets.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ServerUrl {
    /// `http://host:port/`.
    base: Url,
}

/// The user and password that stood in a URL.
pub(crate) type UserInfo = (String, String);

// === impl ServerUrl ===

impl ServerUrl {
    /// Reads a URL; a path in it is dropped with a warning, as clients of boskos always did.
    pub(crate) fn parse(text: &str) -> Result<(Self, Option<UserInfo>), UrlError> {
        let shown = || {
            // Also where the scheme was forgotten: all before the last `@` may be a password.
            let clean = text.rsplit_once('@').map_or(text.into(), |(_, host)| format!("***@{host}"));
            text::one_line(&clean).into_owned()
        };
        let mut url =
            Url::parse(text.trim()).map_err(|error| UrlError::Invalid { url: shown(), why: error.to_string() })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(UrlError::Scheme { url: shown() });
        }
        let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        let user_info = match (url.username(), url.password()) {
            ("", None) => None,
            (username, password) => Some((decoded(username), decoded(password.unwrap_or("")))),
        };
        // Neither is refused by a URL that has a host.
        let _ = (url.set_username(""), url.set_password(None));
        let has_more = url.path() != "/" || url.query().is_some() || url.fragment().is_some();
        if has_more {
            let dropped = text::one_line(url.path()).into_owned();
            url.set_path("/");
            url.set_query(None);
            url.set_fragment(None);
            tracing::warn!(url = %url, dropped, "the path in the server's URL is dropped");
        }
        Ok((Self { base: url }, user_info))
    }

    pub(crate) fn is_https(&self) -> bool {
        self.base.scheme() == "https"
    }

    /// The URL of a call.
    pub(crate) fn join(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.base.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_is_dropped_and_user_taken_out() {
        for (text, shown) in [
            ("http://boskos", "http://boskos"),
            ("http://boskos/", "http://boskos"),
            ("http://boskos:8080/some/path?x=1#f", "http://boskos:8080"),
            ("https://[::1]:8443/", "https://[::1]:8443"),
        ] {
            let (url, user_info) = ServerUrl::parse(text).unwrap();
            assert_eq!((url.to_string().as_str(), user_info), (shown, None), "{text}");
        }
        let (url, user_info) = ServerUrl::parse("http://me:s%40cret@boskos/x").unwrap();
        assert_eq!(url.to_string(), "http://boskos");
        assert_eq!(user_info, Some(("me".to_owned(), "s@cret".to_owned())));
    }

    #[test]
    fn calls_are_encoded() {
        let (url, _) = ServerUrl::parse("http://boskos").unwrap();
        let call = url.join("/acquire", &[("type", "a b&c"), ("owner", "ü+")]);
        assert_eq!(call.as_str(), "http://boskos/acquire?type=a+b%26c&owner=%C3%BC%2B");
        assert_eq!(url.join("/metric", &[]).as_str(), "http://boskos/metric");
    }

    #[test]
    fn what_is_no_url_is_refused_without_its_password() {
        for text in ["boskos", "boskos:8080", "ftp://me:secret@boskos", "http://", "http://me:secret@bo skos"] {
            let error = ServerUrl::parse(text).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
