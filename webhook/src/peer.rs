//! Who is at the other end of a connection.

use std::fmt;
use std::net::SocketAddr;

/// Who is at the other end. A filter reads it with `warp::ext::optional::<Peer>()`. Behind a
/// reverse proxy this is the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// An address and a port.
    Tcp(SocketAddr),
    /// A process on this machine.
    Unix {
        /// The user id it runs as, told by the kernel (`SO_PEERCRED`, unix(7)).
        user: Option<u32>,
    },
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Tcp(address) => address.fmt(f),
            Peer::Unix { user: Some(user) } => write!(f, "unix, user {user}"),
            Peer::Unix { user: None } => f.write_str("unix"),
        }
    }
}
