//! What Prometheus reads. A series of a host that left the fleet goes away with it, and every series whose labels are
//! known beforehand is there from the beginning: of one that begins with its first event, `increase()` does not
//! see that event.

mod deployments;
mod host;
mod info;
mod labels;
mod program;
mod series;
mod sources;
mod store;

pub use labels::{ConfigChange, Phase, Polled};

use std::time::Duration;

use deploy::Outcome;
use desired_state::{Collection, HostName, RepositoryName};
use jiff::Timestamp;
use planning::model::spec::CONTROLLER;
use planning::model::status::HostStatus;
use prometheus::{Encoder, Registry, TextEncoder};

use deployments::DeploymentMetrics;
use host::HostMetrics;
use program::ProgramMetrics;
use sources::SourceMetrics;
use store::StoreMetrics;

/// All that we export.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    program: ProgramMetrics,
    sources: SourceMetrics,
    deployments: DeploymentMetrics,
    hosts: HostMetrics,
    stores: StoreMetrics,
}

impl Metrics {
    /// A registry with everything in it at its beginning.
    ///
    /// # Errors
    /// Only when two metrics have one name: a fault of ours.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        Ok(Self {
            program: ProgramMetrics::new(&registry)?,
            sources: SourceMetrics::new(&registry)?,
            deployments: DeploymentMetrics::new(&registry)?,
            hosts: HostMetrics::new(&registry)?,
            stores: StoreMetrics::new(&registry)?,
            registry,
        })
    }

    /// The exposition text, format 0.0.4.
    ///
    /// # Errors
    /// When a metric cannot be encoded: a fault of ours.
    pub fn text(&self) -> prometheus::Result<Vec<u8>> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }

    /// Shows a host as it is now.
    pub fn show_host(&self, status: &HostStatus) {
        self.hosts.show(status);
        self.stores.begin(status.host.as_ref());
        if let Some(free) = status.store.free_bytes {
            self.stores.show_free(status.host.as_ref(), free);
        }
    }

    /// Removes every series of a host that left the fleet.
    pub fn forget_host(&self, host: &HostName) {
        self.hosts.forget(host);
        self.stores.forget(host.as_ref());
        self.deployments.forget(host);
    }

    /// Shows how much is free in the store of this machine.
    pub fn show_free(&self, bytes: u64) {
        self.stores.show_free(CONTROLLER, bytes);
    }

    /// Counts a garbage collection that ended; `store` is [`CONTROLLER`] or a host's name.
    pub fn collection_ended(&self, store: &str, collection: &Collection) {
        self.stores.ended(store, collection);
    }

    /// Counts a deployment that ended.
    pub fn deployment_ended(&self, host: &HostName, action: &str, outcome: &Outcome) {
        self.deployments.ended(host, action, outcome);
    }

    /// Counts a reboot that ended.
    pub fn reboot_ended(&self, host: &HostName, outcome: &Outcome) {
        self.deployments.reboot_ended(host, outcome);
    }

    /// Records how long a phase took.
    pub fn phase_took(&self, phase: Phase, took: Duration) {
        self.deployments.phase_took(phase, took);
    }

    /// Records how long a push took to be seen on a host.
    pub fn converged_after(&self, took: Duration) {
        self.deployments.converged_after(took);
    }

    /// Counts a request to the webhook receiver.
    pub fn delivery_answered(&self, event: &str, result: &str) {
        self.sources.delivery_answered(event, result);
    }

    /// Records when a delivery was accepted.
    pub fn delivery_accepted(&self, at: Timestamp) {
        self.sources.delivery_accepted(at);
    }

    /// Counts a fetch, and shows since when the repository cannot be fetched.
    pub fn polled(&self, repository: &RepositoryName, result: Polled, at: Timestamp) {
        self.sources.polled(repository, result, at);
    }

    /// Removes the series of a repository that left the config.
    pub fn forget_repository(&self, repository: &RepositoryName) {
        self.sources.forget(repository);
    }

    /// Counts commits that no delivery announced.
    pub fn deliveries_missed(&self, how_many: u64) {
        self.sources.deliveries_missed(how_many);
    }

    /// Counts a change of the config file, and shows whether the file is in force.
    pub fn config_changed(&self, change: ConfigChange) {
        self.program.config_changed(change);
    }

    /// Shows what is free where the state is, in bytes.
    pub fn state_has_free(&self, bytes: u64) {
        self.program.state_has_free(bytes);
    }

    /// Shows what the state takes, in bytes.
    pub fn state_takes(&self, bytes: u64) {
        self.program.state_takes(bytes);
    }

    /// Records when the loop turned.
    pub fn loop_turned(&self, at: Timestamp) {
        self.program.loop_turned(at);
    }
}

#[cfg(test)]
mod tests;
