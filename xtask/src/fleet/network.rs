//! The fleet's network: a bridge on this machine, and for each host a namespace at the end of a cable.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::claim::network_name;
use crate::namespace;
use crate::process::{finish, run};

/// The first two parts of all addresses; the third is the claim's number, the fourth the host's.
const NETWORK: (u8, u8) = (10, 213);

/// The address of this machine on a fleet's bridge.
#[must_use]
pub fn controller_address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(NETWORK.0, NETWORK.1, number, 1)
}

/// The address of a fleet's `index`th host, counted from 0.
#[must_use]
pub fn host_address(number: u8, index: u8) -> Ipv4Addr {
    Ipv4Addr::new(NETWORK.0, NETWORK.1, number, 11 + index)
}

/// The hardware address of that host: locally administered, and nobody else's on this machine.
#[must_use]
pub fn host_mac(number: u8, index: u8) -> String {
    format!(
        "02:00:{:02x}:{:02x}:{number:02x}:{:02x}",
        NETWORK.0,
        NETWORK.1,
        11 + index
    )
}

/// Makes the bridge and gives this machine an address on it.
///
/// # Errors
/// When `ip` refuses.
pub fn make_bridge(number: u8) -> Result<String> {
    let bridge = network_name(number, "br");
    ip(&["link", "add", &bridge, "type", "bridge"])?;
    ip(&[
        "address",
        "add",
        &format!("{}/24", controller_address(number)),
        "dev",
        &bridge,
    ])?;
    ip(&["link", "set", &bridge, "up"])?;
    Ok(bridge)
}

/// A host's end of the network.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Cable {
    /// The network namespace's name, as `ip netns` has it.
    pub namespace: String,
    /// The end of the cable on this machine; the host's end is its `eth0`.
    pub veth: String,
    /// The bridge that the cable is plugged into.
    pub bridge: String,
    /// The hardware address of `eth0`. It outlives a power cut, as a real one does: with another, nobody would reach
    /// the host until what they remember of the old one has expired.
    pub mac: String,
}

impl Cable {
    /// Makes the namespace and the cable anew, whatever was there: what a host did to its network does not survive a power cut.
    ///
    /// # Errors
    /// When `ip` refuses.
    pub fn lay(&self) -> Result<()> {
        if Path::new("/run/netns").join(&self.namespace).exists() {
            namespace::empty(&self.namespace)?;
            ip(&["netns", "delete", &self.namespace])?;
        }
        let _ = finish(Command::new("ip").args(["link", "delete", &self.veth]))?;
        ip(&["netns", "add", &self.namespace])?;
        ip(&[
            "link",
            "add",
            &self.veth,
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "address",
            &self.mac,
            "netns",
            &self.namespace,
        ])?;
        ip(&["link", "set", &self.veth, "up"])?;
        self.plug()
    }

    /// Lets packets through.
    ///
    /// # Errors
    /// When `ip` refuses.
    pub fn plug(&self) -> Result<()> {
        ip(&["link", "set", &self.veth, "master", &self.bridge])
    }

    /// Loses every packet, as an unplugged cable does; the host cannot undo it.
    ///
    /// # Errors
    /// When `ip` refuses.
    pub fn unplug(&self) -> Result<()> {
        ip(&["link", "set", &self.veth, "nomaster"])
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    run(Command::new("ip").args(arguments)).map(drop)
}
