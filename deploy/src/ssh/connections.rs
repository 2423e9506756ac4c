//! The connections to all hosts: which there are, and how a new one is made.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep_until, timeout};

use super::connection::Connection;
use super::error::{DestinationFailure, SshError};
use super::login_fault::LoginFault;
use super::master::{self, Master};
use super::settings::SshSettings;
use crate::destination::Destination;

/// After a login that a server may have counted against us, the next waits this long: sshd's
/// `PerSourcePenalties` (sshd_config(5)) shut out who knocks faster.
const PACE: Duration = Duration::from_secs(2);
/// How often a destination that closed the connection before the login is tried in one call: sshd
/// does that while it starts and when it is overloaded, and then lets in a moment later.
const ROUNDS: u32 = 2;

/// The connections to all hosts; clones share them.
#[derive(Debug, Clone)]
pub struct Connections {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: SshSettings,
    /// What is known of each address.
    doors: Mutex<HashMap<String, Arc<Door>>>,
}

/// What is known of one address.
#[derive(Debug, Default)]
struct Door {
    /// The warm connection. Whoever logs in holds the lock, so that two who want the same host make
    /// one connection.
    warm: tokio::sync::Mutex<Option<Arc<Master>>>,
    /// No login before this.
    not_before: Mutex<Option<Instant>>,
}

/// Whether a connection that exists will do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reuse {
    Warm,
    Never,
}

impl Connections {
    /// No connection is made yet. What a killed process left in the control directory is removed.
    pub fn new(settings: SshSettings) -> Self {
        master::sweep(&settings.control_directory);
        Self {
            shared: Arc::new(Shared {
                settings,
                doors: Mutex::default(),
            }),
        }
    }

    /// A connection to the host: a warm one to any of its destinations, else a login to the first that
    /// lets us in, in their order. A warm connection that is dead is replaced.
    ///
    /// Each login may take `timeout`, at most [`SshSettings::connect_timeout`]; one that a server closed
    /// early is tried once more, two seconds later.
    ///
    /// # Errors
    /// [`SshError::NotReached`] with what failed at each destination.
    pub async fn reach(
        &self,
        destinations: &[Destination],
        timeout: Duration,
    ) -> Result<Connection, SshError> {
        self.reach_by(destinations, timeout, Reuse::Warm).await
    }

    /// As [`Connections::reach`], but always by a new login over a new TCP connection, which is not
    /// kept for others: the proof that the host still lets us in.
    pub async fn reach_fresh(
        &self,
        destinations: &[Destination],
        timeout: Duration,
    ) -> Result<Connection, SshError> {
        self.reach_by(destinations, timeout, Reuse::Never).await
    }

    /// Lets go of the warm connection to an address: of a host that left the configuration, or whose
    /// connection is known to be stale.
    pub fn forget(&self, address: &str) {
        self.doors().remove(address);
    }

    async fn reach_by(
        &self,
        destinations: &[Destination],
        timeout: Duration,
        reuse: Reuse,
    ) -> Result<Connection, SshError> {
        if destinations.is_empty() {
            return Err(SshError::NoDestination);
        }
        if reuse == Reuse::Warm {
            for destination in destinations {
                if let Some(connection) = self.warm(destination).await {
                    return Ok(connection);
                }
            }
        }
        let mut failures: Vec<DestinationFailure> = Vec::new();
        let mut left: Vec<&Destination> = destinations.iter().collect();
        for _ in 0..ROUNDS {
            for destination in &left {
                match self.log_in(destination, timeout, reuse).await {
                    Ok(connection) => return Ok(connection),
                    Err(fault) => {
                        if fault.was_counted() {
                            // They lead to the same host, which counts by our address.
                            self.slow_down(destinations);
                        }
                        failures.retain(|failure| failure.address != destination.address);
                        failures.push(DestinationFailure {
                            address: destination.address.clone(),
                            fault,
                        });
                    }
                }
            }
            left.retain(|destination| {
                failures.iter().any(|failure| {
                    failure.address == destination.address
                        && matches!(failure.fault, LoginFault::Closed(_))
                })
            });
            if left.is_empty() {
                break;
            }
        }
        Err(SshError::NotReached { failures })
    }

    /// The warm connection to a destination, if there is one and nobody is just making it.
    async fn warm(&self, destination: &Destination) -> Option<Connection> {
        let door = self.door(&destination.address);
        let mut warm = door.warm.try_lock().ok()?;
        alive(&mut warm, destination).await
    }

    /// Logs in, unless somebody else did while we waited for our turn.
    async fn log_in(
        &self,
        destination: &Destination,
        limit: Duration,
        reuse: Reuse,
    ) -> Result<Connection, LoginFault> {
        let settings = &self.shared.settings;
        let limit = limit.min(settings.connect_timeout);
        let door = self.door(&destination.address);
        // A fresh login does not wait for a warm one, nor the other way round.
        let mut warm = match reuse {
            Reuse::Warm => Some(
                timeout(limit, door.warm.lock())
                    .await
                    .map_err(|_| LoginFault::TimedOut(limit))?,
            ),
            Reuse::Never => None,
        };
        if let Some(warm) = warm.as_deref_mut()
            && let Some(connection) = alive(warm, destination).await
        {
            return Ok(connection);
        }
        let not_before = *door.not_before.lock();
        if let Some(moment) = not_before {
            sleep_until(moment).await;
        }
        let master = Arc::new(Master::log_in(settings, destination, limit).await?);
        if let Some(warm) = warm.as_deref_mut() {
            *warm = Some(Arc::clone(&master));
        }
        Ok(Connection {
            master,
            destination: destination.clone(),
        })
    }

    /// Makes the next login to any of these wait.
    fn slow_down(&self, destinations: &[Destination]) {
        let moment = Instant::now() + PACE;
        for destination in destinations {
            *self.door(&destination.address).not_before.lock() = Some(moment);
        }
    }

    fn door(&self, address: &str) -> Arc<Door> {
        Arc::clone(self.doors().entry(address.to_owned()).or_default())
    }

    fn doors(&self) -> MutexGuard<'_, HashMap<String, Arc<Door>>> {
        self.shared.doors.lock()
    }
}

/// The connection to a destination over a master that is still alive; a dead one is let go.
async fn alive(warm: &mut Option<Arc<Master>>, destination: &Destination) -> Option<Connection> {
    let master = warm.take()?;
    if !master.is_alive().await {
        return None;
    }
    *warm = Some(Arc::clone(&master));
    Some(Connection {
        master,
        destination: destination.clone(),
    })
}
