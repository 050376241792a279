//! Listening sockets, and the descriptors for what they accept.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use rustix::{
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;

/// Connections that may wait to be accepted; Linux cuts it to `net.core.somaxconn`, 4096 as it ships.
pub const BACKLOG: i32 = 4096;

/// The addresses that ports listen on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListenAddress {
    /// All of them, IPv6 and IPv4.
    #[default]
    All,
    /// This one alone: `::` is all of IPv6 and `0.0.0.0` all of IPv4.
    One(IpAddr),
}

/// An address that ports cannot listen on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an IP address: {0:?}")]
pub struct BadAddress(pub String);

/// Why a port does not listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another socket has it.
    #[error("port {} is in use: cannot listen on {address}; choose another with --{flag}", address.port())]
    InUse {
        /// What was to be bound.
        address: SocketAddr,
        /// The flag that sets the port.
        flag: &'static str,
    },
    /// This user may not have it.
    #[error("port {} is not permitted: cannot listen on {address}; choose one above 1023 with --{flag}", address.port())]
    NotPermitted {
        /// What was to be bound.
        address: SocketAddr,
        /// The flag that sets the port.
        flag: &'static str,
    },
    /// This host has no such address.
    #[error("cannot listen on {address}: not an address of this host; choose another with --listen-address")]
    NoSuchAddress {
        /// What was to be bound.
        address: SocketAddr,
    },
    /// Something else.
    #[error("cannot listen on {address} (--{flag})")]
    Failed {
        /// What was to be bound.
        address: SocketAddr,
        /// The flag that sets the port.
        flag: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Listens on `port`, any free one if it is 0; `flag` is what sets it, without dashes.
///
/// All addresses means one socket for IPv6 and IPv4, or IPv4 alone on a host without IPv6.
///
/// # Errors
///
/// When the port is taken or not permitted, or the address is not this host's.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn bind(address: ListenAddress, port: u16, flag: &'static str) -> Result<TcpListener, ListenError> {
    let (socket, result) = match address {
        ListenAddress::One(ip) => (SocketAddr::new(ip, port), listen(SocketAddr::new(ip, port), true)),
        ListenAddress::All => {
            let all = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
            match listen(all, false) {
                Err(error) if is_without_ipv6(&error) => {
                    let all = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
                    (all, listen(all, true))
                }
                result => (all, result),
            }
        }
    };
    result.map_err(|source| ListenError::new(socket, flag, source))
}

/// Raises the soft limit of open files to `wanted`, or as far as the hard one allows; returns what it is then.
///
/// Never lowers it. Connections beyond it are refused, so limits on them must be cut to what is granted.
#[must_use]
pub fn raise_file_limit(wanted: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let (Some(now), hard) = (limit.current, limit.maximum) else { return u64::MAX };
    let raised = hard.map_or(wanted, |hard| wanted.min(hard));
    if raised <= now {
        return now;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: hard }) {
        Ok(()) => raised,
        Err(_) => now,
    }
}

fn listen(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    // A restart must not wait for the last one's connections to time out.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// No such family in the kernel, or switched off by sysctl (which leaves no `::` to bind).
fn is_without_ipv6(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL].iter().any(|errno| code == Some(errno.raw_os_error()))
}

// === impl ListenAddress ===

impl FromStr for ListenAddress {
    type Err = BadAddress;

    /// Empty is [`ListenAddress::All`]: a manifest's unset variable. IPv6 may stand in brackets.
    fn from_str(text: &str) -> Result<Self, BadAddress> {
        if text.is_empty() {
            return Ok(Self::All);
        }
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        bare.parse().map(Self::One).map_err(|_| BadAddress(text.to_owned()))
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => Ok(()),
            Self::One(ip) => ip.fmt(f),
        }
    }
}

// === impl ListenError ===

impl ListenError {
    fn new(address: SocketAddr, flag: &'static str, source: io::Error) -> Self {
        #[allow(clippy::wildcard_enum_match_arm, reason = "io::ErrorKind grows")]
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address, flag },
            io::ErrorKind::PermissionDenied => Self::NotPermitted { address, flag },
            io::ErrorKind::AddrNotAvailable => Self::NoSuchAddress { address },
            _ => Self::Failed { address, flag, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown() {
        for (text, shown) in [("", ""), ("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("[::1]", "::1")] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), shown);
        }
        for text in ["localhost", "127.0.0.1:80", "[::1", "[127.0.0.1]x"] {
            assert_eq!(text.parse::<ListenAddress>(), Err(BadAddress(text.to_owned())));
        }
    }

    #[test]
    fn file_limit_is_raised_as_far_as_allowed_and_never_lowered() {
        let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        let before = raise_file_limit(0);
        let granted = raise_file_limit(before + 1);
        assert_eq!(granted, (before + 1).min(hard));
        assert_eq!(getrlimit(Resource::Nofile).current, Some(granted));
        assert_eq!(raise_file_limit(1), granted);
    }
}
