//! Real hosts on one machine: sshd, Nix, systemd and a toplevel, each in a container with a network of its own.
//!
//! A host boots in 5 s from a Debian root that is made once ([`layers`]); its disk is an overlay that survives a
//! power cut. Whoever [`Fleet::boot`]s a fleet owns it: it is gone when the owner is, however that ends. Others
//! [`Fleet::attach`] by the file that the owner wrote, or [`Fleet::obtain`] what is there.

mod activation;
mod architecture;
mod boot;
mod distance;
mod host;
mod keys;
pub mod layers;
mod lease;
mod machine;
mod network;
mod new_host;
mod running;

pub use activation::{Activation, count_begun};
pub use architecture::Architecture;
pub use boot::{FLEET_VARIABLE, HOSTS};
pub use distance::Distance;
pub use host::{Host, read_offline};
pub(crate) use keys::CHEAP_LOGINS;
pub use keys::generate as generate_key;
pub use lease::Lease;
pub use network::{Cable, controller_address};
pub use running::{Description, Fleet};
