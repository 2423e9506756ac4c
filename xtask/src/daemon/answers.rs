//! What the daemon says to whoever asks, and waiting for it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::child::Daemon;
use super::metrics::Metrics;
use crate::fleet::Host;
use crate::http::{self, Answer};
use crate::wait::{Seen, wait_for, wait_until};

/// How long the daemon may take from its start to `/readyz`: it opens its store and clones a small repository.
const READY: Duration = Duration::from_secs(30);

/// How long a page of the operator may take.
const PAGE: Duration = Duration::from_secs(10);

impl Daemon {
    /// Writes the config, starts the daemon and waits until it is ready.
    ///
    /// # Errors
    /// When it ends or is not ready in time; the error holds the end of its log.
    pub fn start(&mut self) -> Result<()> {
        self.launch()?;
        wait_for("the daemon to be ready", READY, || {
            if let Some(status) = self.ended()? {
                return Ok(Seen::Yes(Err(status)));
            }
            let answer = self.get("/readyz")?;
            Ok(if answer.status == 200 {
                Seen::Yes(Ok(()))
            } else {
                Seen::NotYet(answer)
            })
        })
        .and_then(|end| end.map_err(|status| anyhow::anyhow!("the daemon ended with {status}")))
        .with_context(|| self.last_words())
    }

    /// A page of the operator's listener.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn get(&self, path: &str) -> Result<Answer> {
        http::get(&format!("http://{}{path}", self.config.operator), PAGE)
    }

    /// The daemon's metrics now.
    ///
    /// # Errors
    /// When nobody answers, or not with metrics.
    pub fn metrics(&self) -> Result<Metrics> {
        let answer = self.get("/metrics")?;
        ensure!(
            answer.status == 200,
            "/metrics answered {}: {}",
            answer.status,
            answer.body
        );
        Metrics::parse(&answer.body)
    }

    /// Waits until a host runs a toplevel. When it does not, the error says what runs, and the end of the daemon's log.
    ///
    /// # Errors
    /// When the deadline passes.
    pub fn wait_until_running(
        &self,
        host: &Host,
        toplevel: &str,
        deadline: Duration,
    ) -> Result<()> {
        let what = format!("{} to run {toplevel}", host.name);
        wait_until(
            &what,
            deadline,
            || host.running_toplevel(),
            |running| running == toplevel,
        )
        .map(drop)
        .with_context(|| self.last_words())
    }

    /// Waits until a metric of the daemon is as it should be.
    ///
    /// # Errors
    /// When the deadline passes; the error tells the last value.
    pub fn wait_for_metric(
        &self,
        name: &str,
        labels: &[(&str, &str)],
        deadline: Duration,
        holds: impl Fn(f64) -> bool,
    ) -> Result<f64> {
        let look = || Ok(self.metrics()?.value(name, labels));
        let seen = wait_until(&format!("{name}{labels:?}"), deadline, look, |value| {
            value.is_some_and(&holds)
        });
        seen.with_context(|| self.last_words())?
            .context("a metric that was there")
    }
}
