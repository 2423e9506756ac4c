//! A host that belongs to one test.

use std::fs;
use std::ops::Deref;

use anyhow::Result;
use nix::fcntl::{Flock, FlockArg};

use super::host::Host;

/// A host that belongs to one test until this is dropped.
#[derive(Debug)]
pub struct Lease {
    host: Host,
    _lock: Flock<fs::File>,
}

impl Deref for Lease {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}

impl Host {
    /// Takes this host for one test, and resets it; others who ask wait until the lease is dropped. It works between threads and between processes.
    ///
    /// # Errors
    /// When the host cannot be reset.
    pub fn lease(&self) -> Result<Lease> {
        let file = fs::File::create(self.directory.join("lease"))?;
        let lock = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
        self.reset()?;
        Ok(Lease {
            host: self.clone(),
            _lock: lock,
        })
    }
}
