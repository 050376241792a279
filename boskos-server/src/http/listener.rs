//! Where connections come from.

use std::{io, time::Duration};

use rustix::io::Errno;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};

/// A peer that vanished without a word is noticed after `IDLE + PROBES * INTERVAL` = 30 s: sooner than the longest
/// wait for a resource ends (50 s), so that a parked call of a machine that lost its power is not granted late, and
/// rarely enough that 20,000 idle connections cost about 1,300 small packets a second.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_PROBES: u32 = 3;

/// The first pause after an accept that failed for want of something; each next one doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A source of connections.
pub trait Listener: Send {
    /// One connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection, ready for use.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Io>> + Send;
}

impl Listener for TcpListener {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<TcpStream> {
        let (stream, _) = TcpListener::accept(self).await?;
        let socket = SockRef::from(&stream);
        let keepalive = TcpKeepalive::new()
            .with_time(KEEPALIVE_IDLE)
            .with_interval(KEEPALIVE_INTERVAL)
            .with_retries(KEEPALIVE_PROBES);
        // These fail only on a connection that is already gone, which its first read will tell.
        let _ = socket.set_tcp_nodelay(true);
        let _ = socket.set_tcp_keepalive(&keepalive);
        Ok(stream)
    }
}

/// How to go on after accepts that failed.
#[derive(Debug, Default)]
pub(crate) struct Setback {
    pause: Option<Duration>,
}

/// What to do about one failed accept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Only that connection is lost.
    AtOnce,
    /// This process or machine is short of something: try again after the pause.
    After {
        pause: Duration,
        /// Nothing was accepted since the last such failure: it has been told already.
        is_known: bool,
    },
}

impl Setback {
    pub(crate) fn accepted(&mut self) {
        self.pause = None;
    }

    pub(crate) fn failed(&mut self, error: &io::Error) -> Next {
        // The connection was reset between its handshake and here, or the network reports its end this way.
        let is_of_one_connection = matches!(
            Errno::from_io_error(error),
            Some(
                Errno::CONNABORTED
                    | Errno::CONNRESET
                    | Errno::INTR
                    | Errno::PROTO
                    | Errno::PERM
                    | Errno::NETDOWN
                    | Errno::NETUNREACH
                    | Errno::HOSTDOWN
                    | Errno::HOSTUNREACH
            )
        );
        if is_of_one_connection {
            return Next::AtOnce;
        }
        let is_known = self.pause.is_some();
        let pause = self.pause.map_or(FIRST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE));
        self.pause = Some(pause);
        Next::After { pause, is_known }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn want_of_files_is_told_once_and_backed_off() {
        let mut setback = Setback::default();
        let full = io::Error::from(Errno::MFILE);
        let mut pauses = Vec::new();
        for turn in 0..12 {
            let Next::After { pause, is_known } = setback.failed(&full) else { panic!("must pause") };
            assert_eq!(is_known, turn > 0);
            pauses.push(pause);
        }
        assert_eq!(pauses[..3], [FIRST_PAUSE, FIRST_PAUSE * 2, FIRST_PAUSE * 4]);
        assert_eq!(pauses[11], LONGEST_PAUSE);
        setback.accepted();
        assert_eq!(setback.failed(&full), Next::After { pause: FIRST_PAUSE, is_known: false });
    }

    #[test]
    fn a_connection_lost_in_the_queue_delays_nobody() {
        let mut setback = Setback::default();
        assert_eq!(setback.failed(&io::Error::from(Errno::CONNABORTED)), Next::AtOnce);
    }
}
