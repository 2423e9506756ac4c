//! Whether repositories can be fetched.

use desired_state::RepositoryName;
use jiff::Timestamp;
use prometheus::{GaugeVec, Opts, Registry};

use super::host::remove_where;
use super::{register, seconds};

/// What is labelled `repository`.
#[derive(Debug)]
pub(super) struct RepositoryMetrics {
    failing_since: GaugeVec,
}

impl RepositoryMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            failing_since: register(
                registry,
                GaugeVec::new(
                    Opts::new(
                        "reconcile_repository_failing_since_seconds",
                        "Unix time since when the repository cannot be fetched; 0 while it can.",
                    ),
                    &["repository"],
                ),
            )?,
        })
    }

    pub(super) fn fetched(&self, repository: &RepositoryName) {
        self.failing_since
            .with_label_values(&[repository.as_ref()])
            .set(0.0);
    }

    pub(super) fn failed(&self, repository: &RepositoryName, at: Timestamp) {
        let since = self.failing_since.with_label_values(&[repository.as_ref()]);
        if since.get() == 0.0 {
            since.set(seconds(at));
        }
    }

    pub(super) fn forget(&self, repository: &RepositoryName) {
        remove_where(&self.failing_since, "repository", repository.as_ref());
    }
}
