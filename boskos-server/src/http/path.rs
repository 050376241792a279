//! The clean form of a request's path.
//!
//! Base URLs in the field end in `/`, so that clients ask for `//acquire`. Such paths are redirected to their clean
//! form rather than served, as clients know it from the server they were written for.

use http::{Method, Uri};

/// Where a request must be redirected because its path has repeated slashes or dot segments: the clean path, the
/// query as it was. `None` if the path is clean, or is none (`*`, and the authority that CONNECT names).
#[must_use]
pub fn redirect(method: &Method, uri: &Uri) -> Option<String> {
    let path = uri.path();
    if method == Method::CONNECT || path == "*" || is_clean(path) {
        return None;
    }
    let mut location = clean(path);
    if let Some(query) = uri.query() {
        location.push('?');
        location.push_str(query);
    }
    Some(location)
}

/// Whether [`clean`] would leave `path` as it is.
#[must_use]
pub fn is_clean(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    if !rest.bytes().any(|byte| matches!(byte, b'/' | b'.')) {
        return true;
    }
    // The last segment may be empty: a trailing slash stays. The root has only that.
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        if matches!(segment, "." | "..") || segment.is_empty() && !is_last {
            return false;
        }
    }
    true
}

/// `path` without repeated slashes and dot segments; a `..` at the root stays there, a trailing slash is kept.
#[must_use]
pub fn clean(path: &str) -> String {
    let mut clean = String::with_capacity(path.len() + 1);
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => clean.truncate(clean.rfind('/').unwrap_or(0)),
            segment => {
                clean.push('/');
                clean.push_str(segment);
            }
        }
    }
    if clean.is_empty() || path.ends_with('/') {
        clean.push('/');
    }
    clean
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_cleaned() {
        for (path, expected) in [
            ("/", "/"),
            ("", "/"),
            ("//", "/"),
            ("/acquire", "/acquire"),
            ("//acquire", "/acquire"),
            ("/acquire/", "/acquire/"),
            ("/acquire//", "/acquire/"),
            ("///a///b", "/a/b"),
            ("/./acquire", "/acquire"),
            ("/a/../acquire", "/acquire"),
            ("/../../acquire", "/acquire"),
            ("/a/.", "/a"),
            ("/a/./", "/a/"),
            ("/a/..", "/"),
            ("/a/../", "/"),
            ("/a/b/..", "/a"),
            ("/...", "/..."),
            ("/.well-known", "/.well-known"),
            ("/%2e%2e/a", "/%2e%2e/a"),
            ("acquire", "/acquire"),
        ] {
            assert_eq!(clean(path), expected, "{path:?}");
            assert_eq!(is_clean(path), path == expected, "{path:?}");
        }
    }

    #[test]
    fn redirects_keep_the_query() {
        let to = |method: Method, uri: &str| redirect(&method, &uri.parse().unwrap());
        assert_eq!(to(Method::POST, "//acquire?b=2&a=%2F/..").as_deref(), Some("/acquire?b=2&a=%2F/.."));
        assert_eq!(to(Method::GET, "/a/../metric").as_deref(), Some("/metric"));
        assert_eq!(to(Method::GET, "//?").as_deref(), Some("/?"));
        assert_eq!(to(Method::GET, "http://host//metric?type=t").as_deref(), Some("/metric?type=t"));
        assert_eq!(to(Method::GET, "/metric?x=//"), None);
        assert_eq!(to(Method::GET, "http://host"), None);
        assert_eq!(to(Method::OPTIONS, "*"), None);
        assert_eq!(to(Method::CONNECT, "host:80"), None);
        assert_eq!(to(Method::CONNECT, "//a"), None);
    }

    proptest! {
        #[test]
        fn cleaning_ends(path in "[/.a%]{0,12}|\\PC*") {
            let once = clean(&path);
            prop_assert!(is_clean(&once));
            prop_assert_eq!(clean(&once), once.clone());
            prop_assert_eq!(is_clean(&path), once == path);
        }
    }
}
