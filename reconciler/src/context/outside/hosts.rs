//! Hosts over SSH.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use deploy::{
    ActivationReport, ActivationRequest, Connection, Connections, DeploymentId, FromOutside,
    HostCollection, HostCollectionRequest, Observation, RemoteCommand, SshError, Told, Toplevel,
};
use parking_lot::Mutex;
use planning::model::health_checks::ProbeKind;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::context::ports::{HostError, Hosts, Login, ProbeError, Seen, Way};

/// The id of the machine that we run on (`machine-id(5)`).
const MACHINE_ID: &str = "/etc/machine-id";

/// Hosts over SSH; warm connections are kept.
#[derive(Debug)]
pub struct SshHosts {
    connections: Connections,
    /// The login that each deployment is acknowledged over, between the two.
    logins: Mutex<HashMap<DeploymentId, Connection>>,
}

impl SshHosts {
    pub(super) fn new(connections: Connections) -> Self {
        Self {
            connections,
            logins: Mutex::default(),
        }
    }

    async fn reach(&self, way: &Way, login: Login) -> Result<Connection, SshError> {
        let (connections, destinations) = (&self.connections, &way.destinations);
        match login {
            Login::Warm => connections.reach(destinations, way.connect).await,
            Login::Fresh => connections.reach_fresh(destinations, way.connect).await,
        }
    }
}

#[async_trait]
impl Hosts for SshHosts {
    async fn observe(&self, way: &Way, login: Login) -> Result<Seen, HostError> {
        let at = Instant::now();
        let connection = self.reach(way, login).await?;
        let observation = deploy::observe(&connection, way.observe).await?;
        Ok(Seen {
            observation,
            route: connection.destination().address.clone(),
            at,
        })
    }

    async fn start(&self, way: &Way, request: &ActivationRequest) -> Result<(), HostError> {
        let connection = self.reach(way, Login::Warm).await?;
        deploy::start(&connection, request).await?;
        Ok(())
    }

    async fn wait(
        &self,
        way: &Way,
        id: &DeploymentId,
        left: Duration,
    ) -> Result<ActivationReport, HostError> {
        let connection = self.reach(way, Login::Warm).await?;
        Ok(deploy::wait(&connection, id, left).await?)
    }

    async fn log_in(&self, way: &Way, id: &DeploymentId) -> Result<(), HostError> {
        let connection = self.reach(way, Login::Fresh).await?;
        self.logins.lock().insert(id.clone(), connection);
        Ok(())
    }

    async fn acknowledge(
        &self,
        way: &Way,
        id: &DeploymentId,
        looks: &FromOutside,
        left: Duration,
    ) -> Result<(ActivationReport, Observation), HostError> {
        let login = self.logins.lock().remove(id);
        let connection = match login {
            Some(connection) => connection,
            None => self.reach(way, Login::Fresh).await?,
        };
        let report = deploy::acknowledge(&connection, id, looks, left).await?;
        let observation = deploy::observe(&connection, way.observe).await?;
        Ok((report, observation))
    }

    async fn clean_up(&self, way: &Way, id: &DeploymentId) -> Result<(), HostError> {
        // One that was given up between the login and the acknowledgement.
        self.logins.lock().remove(id);
        let connection = self.reach(way, Login::Warm).await?;
        Ok(deploy::clean_up(&connection, id).await?)
    }

    async fn reboot(&self, way: &Way, boot_id: &str) -> Result<Told, HostError> {
        let connection = self.reach(way, Login::Warm).await?;
        // What is warm now will be cold.
        self.forget(way);
        Ok(deploy::reboot(&connection, boot_id).await?)
    }

    async fn collect_garbage(
        &self,
        way: &Way,
        request: &HostCollectionRequest,
    ) -> Result<HostCollection, HostError> {
        let connection = self.reach(way, Login::Warm).await?;
        Ok(deploy::collect_on_host(&connection, request).await?)
    }

    async fn generation(&self, way: &Way, generation: u32) -> Result<Option<Toplevel>, HostError> {
        let connection = self.reach(way, Login::Warm).await?;
        // nix-env(1), "Profiles": every generation is a link beside the profile.
        let link = format!("/nix/var/nix/profiles/system-{generation}-link");
        let command = RemoteCommand::new("readlink")
            .arguments([link.as_str()])
            .timeout(way.observe);
        let answer = connection.run(command).await?;
        let text = String::from_utf8_lossy(&answer.stdout);
        Ok(text.trim().parse().ok())
    }

    async fn probe(&self, what: &ProbeKind) -> Result<(), ProbeError> {
        match what {
            ProbeKind::Tcp { host, port } => {
                let connected = TcpStream::connect((host.as_str(), *port)).await;
                connected.map(drop).map_err(ProbeError::Connect)
            }
            ProbeKind::Http(url) => ask(url).await.map_err(ProbeError::Request),
            // The config has refused them here.
            ProbeKind::Command(_) | ProbeKind::Unit(_) => Ok(()),
        }
    }

    fn forget(&self, way: &Way) {
        for destination in &way.destinations {
            self.connections.forget(&destination.address);
        }
    }

    async fn is_this_machine(&self, machine_id: &str) -> bool {
        is_in(Path::new(MACHINE_ID), machine_id).await
    }
}

async fn is_in(file: &Path, machine_id: &str) -> bool {
    let ours = tokio::fs::read_to_string(file).await;
    ours.is_ok_and(|ours| !machine_id.is_empty() && ours.trim() == machine_id)
}

/// As `curl --fail` does on a host: no redirects are followed, and a status of 400 and above is a failure.
async fn ask(url: &str) -> Result<(), reqwest::Error> {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()?;
    client.get(url).send().await?.error_for_status()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn this_machine_is_known_by_its_id_and_a_container_without_one_is_no_host() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("machine-id");
        let id = "0123456789abcdef0123456789abcdef";
        assert!(!is_in(&file, id).await);
        assert!(!is_in(&file, "").await);
        std::fs::write(&file, format!("{id}\n")).unwrap();
        assert!(is_in(&file, id).await);
        assert!(!is_in(&file, "fedcba9876543210fedcba9876543210").await);
        std::fs::write(&file, "\n").unwrap();
        assert!(!is_in(&file, "").await);
    }
}
