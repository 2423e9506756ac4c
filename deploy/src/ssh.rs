//! Reaches hosts with the OpenSSH client and the user's own ssh_config.
//!
//! A login is an `ssh` master process in the background; commands share it. It stays for as long as
//! somebody holds it here, and ends by itself soon after this process has been killed.

mod connection;
mod connections;
mod diagnosis;
mod error;
mod login_fault;
mod master;
mod remote_command;
mod settings;
mod sudo;

pub use connection::Connection;
pub(crate) use connection::SessionPermit;
pub use connections::Connections;
pub use error::{DestinationFailure, SshError};
pub use login_fault::LoginFault;
pub use remote_command::{Completed, Privilege, RemoteCommand};
pub use settings::SshSettings;
