//! The host names that are accepted, so that pages of other sites cannot use the server through the user's browser.
//!
//! A site can let its own name resolve to 127.0.0.1 (DNS rebinding), so that its pages reach local servers. Such requests
//! have the name in the header `Host`, which is therefore checked. Requests from a page of another site have its name in
//! `Origin`.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, Version};

/// The names of the server.
#[derive(Debug, Clone)]
pub(super) struct Names {
    listen: SocketAddr,
    allowed: Vec<String>,
}

impl Names {
    /// The names of a server that listens on an address, and additional ones.
    pub(super) fn new(listen: SocketAddr, allowed: &[String]) -> Self {
        Self { listen, allowed: allowed.to_vec() }
    }

    /// Checks the host name and origin of a request.
    pub(super) fn check(
        &self,
        version: Version,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), String> {
        let header = |name| {
            headers
                .get(&name)
                .map(|value| value.to_str().map_err(|_| format!("the header `{name}` is not text")))
        };
        let host = match uri.authority() {
            Some(authority) => Some(authority.to_string()),
            None => header(HOST).transpose()?.map(str::to_owned),
        };
        let host = match host {
            Some(host) => host,
            // Browsers always send `Host`; HTTP 1.0 does not have it.
            None if version < Version::HTTP_11 && !headers.contains_key(ORIGIN) => return Ok(()),
            None => return Err("the header `Host` is missing".to_owned()),
        };
        let parsed: Authority =
            host.parse().map_err(|_| "the header `Host` is not a name with a port".to_owned())?;
        if !self.is_own(parsed.host()) {
            return Err(format!(
                "the host name `{}` is not allowed; to allow it, start the server with --allow-host {0}",
                shortened(parsed.host())
            ));
        }
        let Some(origin) = header(ORIGIN).transpose()? else { return Ok(()) };
        let host_of_origin = origin.split_once("://").map_or(origin, |(_, host)| host);
        let is_allowed = host_of_origin
            .parse::<Authority>()
            .is_ok_and(|authority| self.is_named(authority.host()));
        if host_of_origin.eq_ignore_ascii_case(&host) || is_allowed {
            return Ok(());
        }
        Err(format!(
            "requests from pages of `{}` are not allowed; to allow them, start the server with --allow-host and their host name",
            shortened(origin)
        ))
    }

    fn is_named(&self, host: &str) -> bool {
        self.allowed.iter().any(|name| name.eq_ignore_ascii_case(host))
    }

    fn is_own(&self, host: &str) -> bool {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            // Other sites cannot redirect a numeric address to this server.
            let listen = self.listen.ip();
            return address.is_loopback()
                || address == listen
                || listen.is_unspecified()
                || self.is_named(bare);
        }
        host.eq_ignore_ascii_case("localhost") || self.is_named(host)
    }
}

/// A text of a client, shortened for an error message.
pub(super) fn shortened(text: &str) -> String {
    shortened_to(80, text)
}

/// The first characters of a text.
pub(super) fn shortened_to(longest: usize, text: &str) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: &Names, headers: &[(&str, &str)]) -> Result<(), String> {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect::<Vec<(axum::http::HeaderName, axum::http::HeaderValue)>>()
            .into_iter()
            .collect();
        names.check(Version::HTTP_11, &Uri::from_static("/"), &headers)
    }

    #[test]
    fn names_of_the_server_are_accepted_and_others_are_not() {
        let names = Names::new("127.0.0.1:8080".parse().unwrap(), &["models.example".to_owned()]);
        for host in
            ["localhost:8080", "LOCALHOST", "127.0.0.1:8080", "[::1]:8080", "Models.Example"]
        {
            check(&names, &[("host", host)]).unwrap();
        }
        for host in ["evil.example", "localhost.evil.example", "192.0.2.1", "a b", ""] {
            check(&names, &[("host", host)]).unwrap_err();
        }
        let error = check(&names, &[("host", "evil.example:8080")]).unwrap_err();
        assert!(error.contains("--allow-host evil.example"), "{error}");
        check(&names, &[]).unwrap_err();
        let long = "a".repeat(10_000);
        assert!(check(&names, &[("host", &long)]).unwrap_err().len() < 300);

        let everywhere = Names::new("0.0.0.0:80".parse().unwrap(), &[]);
        check(&everywhere, &[("host", "192.0.2.1")]).unwrap();
        check(&everywhere, &[("host", "evil.example")]).unwrap_err();
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let names = Names::new("127.0.0.1:8080".parse().unwrap(), &["models.example".to_owned()]);
        let ask = |origin| check(&names, &[("host", "localhost:8080"), ("origin", origin)]);
        ask("http://localhost:8080").unwrap();
        ask("https://models.example").unwrap();
        for origin in
            ["http://localhost:3000", "https://evil.example", "null", "", "http://127.0.0.1"]
        {
            ask(origin).unwrap_err();
        }
    }

    #[test]
    fn old_clients_need_no_host() {
        let names = Names::new("127.0.0.1:8080".parse().unwrap(), &[]);
        names.check(Version::HTTP_10, &Uri::from_static("/"), &HeaderMap::new()).unwrap();
    }
}
