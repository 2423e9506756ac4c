//! The same hosts, further away.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::host::Host;
use super::keys;
use super::running::Fleet;
use crate::claim::Claim;
use crate::proxy::DelayingProxy;

/// A fleet behind delaying proxies, until this is dropped.
#[derive(Debug)]
pub struct Distance {
    claim: Claim,
    proxies: BTreeMap<String, DelayingProxy>,
}

impl Fleet {
    /// Puts every host behind a proxy of its own, whose `ssh_config` has the aliases of the fleet's.
    ///
    /// # Errors
    /// When no port is free.
    pub fn far_away(&self, round_trip: Duration) -> Result<Distance> {
        let claim = Claim::new()?;
        let (mut proxies, mut hosts) = (BTreeMap::new(), Vec::new());
        for host in self.description().hosts.values() {
            let proxy =
                DelayingProxy::start(SocketAddr::from((host.address, host.port)), round_trip)?;
            let SocketAddr::V4(address) = proxy.address() else {
                continue;
            };
            hosts.push(Host {
                address: *address.ip(),
                port: address.port(),
                ..host.clone()
            });
            proxies.insert(host.name.clone(), proxy);
        }
        let files = keys::Keys {
            identity: self.description().identity.clone(),
            public: String::new(),
            known_hosts: claim.directory().join("known_hosts"),
            ssh_config: claim.directory().join("ssh_config"),
        };
        keys::write_client_files(&files, &hosts)?;
        Ok(Distance { claim, proxies })
    }
}

impl Distance {
    /// For `ssh -F`: the fleet's aliases, through the proxies.
    #[must_use]
    pub fn ssh_config(&self) -> std::path::PathBuf {
        Path::new(&self.claim.directory()).join("ssh_config")
    }

    /// The proxy before a host, to change its delay or break its connections.
    #[must_use]
    pub fn proxy(&self, name: &str) -> Option<&DelayingProxy> {
        self.proxies.get(name)
    }
}
