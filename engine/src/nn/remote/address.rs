//! Where a server is and how to speak with it, as one word without secrets.

use std::{fmt, net::IpAddr, str::FromStr};

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// JSON, and bytes after it where the server knows how.
    Http,
    /// Protocol buffers.
    Grpc,
}

/// Where a server is: `kserve://host:port` for HTTP, `kserves://` for HTTPS, `kserve+grpc://` and `kserves+grpc://` for gRPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    protocol: Protocol,
    is_secure: bool,
    /// A name or an address; version 6 in brackets.
    host: Box<str>,
    port: u16,
    /// What comes before `/v2`, of HTTP only: empty, or with a slash at its start and none at its end.
    path: Box<str>,
}

/// Why a word is no address; it never repeats the word, which may hold a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It begins otherwise.
    #[error("a server's address begins with kserve://, kserves://, kserve+grpc:// or kserves+grpc://")]
    Scheme,
    /// It holds a user name, a password or a token.
    #[error(
        "a server's address may hold no user name, password or token; put the token into the environment variable \
         SEGUE_SERVER_TOKEN, or into a file that SEGUE_SERVER_TOKEN_FILE names"
    )]
    Secret,
    /// Host and port are not what follows.
    #[error("a server's address has a host and a port, such as kserve://gpu.example.org:8000")]
    Malformed,
    /// gRPC has no paths.
    #[error("a server's address for gRPC ends after the port, such as kserve+grpc://gpu.example.org:8001")]
    Path,
}

const SCHEMES: [(&str, Protocol, bool); 4] = [
    ("kserve://", Protocol::Http, false),
    ("kserves://", Protocol::Http, true),
    ("kserve+grpc://", Protocol::Grpc, false),
    ("kserves+grpc://", Protocol::Grpc, true),
];

impl Address {
    /// What is spoken there.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Whether what is said is encrypted, and the server proves who it is.
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// Whether it is this machine itself, so that nobody else hears what is said.
    pub fn is_loopback(&self) -> bool {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// As programs for the web write it, without a slash at the end.
    pub(super) fn url(&self) -> String {
        let scheme = if self.is_secure { "https" } else { "http" };
        format!("{scheme}://{}:{}{}", self.host, self.port, self.path)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_this = |(_, protocol, secure): &(&str, Protocol, bool)| {
            (*protocol, *secure) == (self.protocol, self.is_secure)
        };
        let scheme = SCHEMES.into_iter().find(is_this).map_or("", |(scheme, ..)| scheme);
        write!(f, "{scheme}{}:{}{}", self.host, self.port, self.path)
    }
}

impl FromStr for Address {
    type Err = AddressError;
    fn from_str(word: &str) -> Result<Self, AddressError> {
        let found = SCHEMES
            .into_iter()
            .find_map(|(s, protocol, secure)| word.strip_prefix(s).map(|rest| (rest, protocol, secure)));
        if word.contains(['@', '?', '#']) {
            return Err(AddressError::Secret);
        }
        let (rest, protocol, is_secure) = found.ok_or(AddressError::Scheme)?;
        let (place, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (host, port) = place.rsplit_once(':').ok_or(AddressError::Malformed)?;
        let port = port.parse().ok().filter(|port| *port > 0).ok_or(AddressError::Malformed)?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(version_6) => version_6.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.chars().all(is_name),
        };
        let path = path.trim_end_matches('/');
        if !is_host || !path.chars().all(|c| is_name(c) || c == '/') {
            return Err(AddressError::Malformed);
        }
        if protocol == Protocol::Grpc && !path.is_empty() {
            return Err(AddressError::Path);
        }
        Ok(Self { protocol, is_secure, host: host.into(), port, path: path.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_what_they_are_written_as() {
        for (word, url, is_loopback) in [
            ("kserve://localhost:8000", "http://localhost:8000", true),
            ("kserves://gpu.example.org:443/team/a", "https://gpu.example.org:443/team/a", false),
            ("kserve+grpc://127.0.0.1:8001", "http://127.0.0.1:8001", true),
            ("kserves+grpc://10.0.0.7:8001", "https://10.0.0.7:8001", false),
            ("kserve://[::1]:8000", "http://[::1]:8000", true),
        ] {
            let address: Address = word.parse().unwrap();
            assert_eq!((address.to_string().as_str(), address.url().as_str()), (word, url));
            assert_eq!(address.is_loopback(), is_loopback, "{word}");
            assert_eq!(address.is_secure(), url.starts_with("https"));
        }
        assert_eq!("kserve://a:1/".parse::<Address>().unwrap().to_string(), "kserve://a:1");
    }

    #[test]
    fn what_is_no_address_is_not_repeated() {
        for (word, wanted) in [
            ("kserve://hunter2@host:1", AddressError::Secret),
            ("kserve://me:hunter2@host:1", AddressError::Secret),
            ("kserve://host:1?token=hunter2", AddressError::Secret),
            ("kserve://host:1/#hunter2", AddressError::Secret),
            ("https://hunter2@host", AddressError::Secret),
            ("https://hunter2", AddressError::Scheme),
            ("kserve://hunter2", AddressError::Malformed),
            ("kserve://me:hunter2", AddressError::Malformed),
            ("kserve://:1", AddressError::Malformed),
            ("kserve://host:0", AddressError::Malformed),
            ("kserve://ho st:1", AddressError::Malformed),
            ("kserve://[::g]:1", AddressError::Malformed),
            ("kserve+grpc://host:1/hunter2", AddressError::Path),
        ] {
            let error = word.parse::<Address>().unwrap_err();
            assert_eq!(error, wanted, "{word}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
