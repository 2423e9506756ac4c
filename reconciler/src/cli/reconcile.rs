//! `reconcile --host …`: the manual override.

use planning::model::decision::{Decision, Why};
use planning::model::order::{Then, Trigger};
use planning::model::report::{Event, Report, What};
use planning::model::requests::{HostSelection, Instead, ReconcileRequest, Wait};
use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use deploy::{Action, Outcome};
use desired_state::{BranchName, HostName};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::backend::{Backend, asker};
use super::exit::{CliError, Exit};
use super::output;
use crate::config::Loaded;

/// A spinner's picture changes this often.
const TICK: Duration = Duration::from_millis(120);

/// The options of the manual override.
#[derive(Debug, Args)]
pub struct Now {
    /// Reconcile this host now; may be given several times
    #[arg(long = "host", value_name = "HOST", group = "which")]
    hosts: Vec<HostName>,
    /// Reconcile every host now
    #[arg(long, conflicts_with = "hosts", group = "which")]
    all: bool,
    /// Deploy the tip of this branch instead of the followed one; by switch, boot or test it becomes a pin
    #[arg(
        long,
        value_name = "BRANCH",
        requires = "which",
        conflicts_with = "revision"
    )]
    branch: Option<BranchName>,
    /// Deploy this commit (full id, or at least 7 digits); by switch, boot or test it becomes a pin
    #[arg(long, value_name = "REVISION", requires = "which")]
    revision: Option<String>,
    /// switch, boot, test, build or dry-activate, instead of the configured action
    #[arg(long, value_name = "ACTION", requires = "which")]
    action: Option<Action>,
    /// Deploy although the host is suspended, in quarantine, outside of its window or failed for good, and accept a refused forced push
    #[arg(long, requires = "which")]
    force: bool,
    /// Leave the work to the daemon and return at once
    #[arg(long, requires = "which")]
    no_wait: bool,
    /// Write events as lines of JSON
    #[arg(long, requires = "which")]
    json: bool,
}

impl Now {
    /// Whether any host is to be reconciled now.
    pub fn is_asked_for(&self) -> bool {
        self.all || !self.hosts.is_empty()
    }
}

/// Carries the override out.
pub async fn run(loaded: &Loaded, now: Now) -> Result<Exit, CliError> {
    let hosts = if now.all {
        HostSelection::All
    } else {
        HostSelection::Named(now.hosts)
    };
    let mut request = asked(hosts, now.force);
    let revision = now.revision.map(Instead::Revision);
    request.instead = now.branch.map(Instead::Branch).or(revision);
    request.action = now.action;
    if now.no_wait {
        request.wait = Wait::No;
    }
    carry_out(loaded, &request, now.json.into()).await
}

/// The request of the user who runs us, for these hosts and no more; `force` is the option of that name.
pub fn asked(hosts: HostSelection, force: bool) -> ReconcileRequest {
    ReconcileRequest {
        hosts,
        instead: None,
        action: None,
        then: Then::Nothing,
        trigger: if force {
            Trigger::Forced
        } else {
            Trigger::Manual
        },
        wait: Wait::ToTheEnd,
        by: asker(),
    }
}

/// How what happens is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// For people.
    Words,
    /// Events as lines of JSON.
    Json,
}

impl From<bool> for Shown {
    fn from(json: bool) -> Self {
        if json { Self::Json } else { Self::Words }
    }
}

/// Makes the request and shows what comes of it, to its end.
pub async fn carry_out(
    loaded: &Loaded,
    request: &ReconcileRequest,
    shown: Shown,
) -> Result<Exit, CliError> {
    let mut view: Box<dyn View> = if shown == Shown::Json {
        Box::new(JsonLines)
    } else if std::io::stderr().is_terminal() {
        Box::new(Spinners::default())
    } else {
        Box::new(Lines)
    };
    let backend = Backend::find(&Arc::clone(&loaded.config)).await?;
    let mut progress = backend.reconcile(request).await?;
    let mut worst = Exit::Done;
    loop {
        let event = tokio::select! {
            event = progress.next() => event?,
            _ = tokio::signal::ctrl_c() => return Err(CliError::Interrupted),
        };
        let Some(event) = event else { break };
        view.show(&event)?;
        if let What::Done(report) = &event.what {
            let exit = exit_of(report);
            if exit.severity() > worst.severity() {
                worst = exit;
            }
        }
    }
    drop(progress);
    backend.close().await;
    Ok(worst)
}

/// What a host's end means for the exit code.
fn exit_of(report: &Report) -> Exit {
    match (&report.outcome, &report.decision) {
        (Some(outcome), _) => exit_of_outcome(outcome),
        (None, Decision::UpToDate) if report.failed_units.is_empty() => Exit::Done,
        (None, Decision::UpToDate) => Exit::Degraded,
        (None, Decision::Wait { why }) => match why {
            Why::Unreachable { .. } => Exit::Unreachable,
            Why::StateUnusable { .. } => Exit::Trouble,
            Why::Settled { outcome } => exit_of_outcome(outcome),
            _ => Exit::LeftAsItIs,
        },
        (None, Decision::Deploy { .. }) => Exit::LeftAsItIs,
    }
}

fn exit_of_outcome(outcome: &Outcome) -> Exit {
    match outcome {
        Outcome::Degraded { .. } | Outcome::RebootRequired { .. } => Exit::Degraded,
        Outcome::Unreachable { .. } | Outcome::Vanished { .. } => Exit::Unreachable,
        Outcome::Locked { .. }
        | Outcome::Superseded
        | Outcome::ObservedChanged { .. }
        | Outcome::Cancelled { .. } => Exit::LeftAsItIs,
        outcome if outcome.is_success() => Exit::Done,
        _ => Exit::HostFailed,
    }
}

/// How events are shown.
trait View {
    fn show(&mut self, event: &Event) -> Result<(), CliError>;
}

struct JsonLines;

impl View for JsonLines {
    fn show(&mut self, event: &Event) -> Result<(), CliError> {
        let line = serde_json::to_string(event)
            .map_err(|error| CliError::Output(std::io::Error::other(error)))?;
        output::print(&format!("{line}\n")).map(|_| ())
    }
}

struct Lines;

impl View for Lines {
    fn show(&mut self, event: &Event) -> Result<(), CliError> {
        output::print(&format!("{}: {}\n", event.host, sentence(&event.what))).map(|_| ())
    }
}

/// A spinner a host, on standard error; the end of each as a line on standard output.
#[derive(Default)]
struct Spinners {
    all: MultiProgress,
    by_host: BTreeMap<HostName, ProgressBar>,
}

impl View for Spinners {
    fn show(&mut self, event: &Event) -> Result<(), CliError> {
        let bar = self.by_host.entry(event.host.clone()).or_insert_with(|| {
            let bar = self.all.add(ProgressBar::new_spinner());
            if let Ok(style) =
                ProgressStyle::with_template("{spinner} {prefix} {wide_msg} {elapsed}")
            {
                bar.set_style(style);
            }
            bar.set_prefix(event.host.to_string());
            bar.enable_steady_tick(TICK);
            bar
        });
        let sentence = sentence(&event.what);
        if matches!(event.what, What::Done(_)) {
            bar.finish_and_clear();
            let line = format!("{}: {sentence}\n", event.host);
            return self.all.suspend(|| output::print(&line)).map(|_| ());
        }
        bar.set_message(sentence);
        Ok(())
    }
}

fn sentence(what: &What) -> String {
    match what {
        What::Queued { pinned: None } => "queued".to_owned(),
        What::Queued {
            pinned: Some(revision),
        } => format!(
            "queued, and pinned to {} until `reconcile unpin`",
            revision.short()
        ),
        What::Step { step, revision } => match revision {
            Some(revision) => format!("{step} {}", revision.short()),
            None => step.to_string(),
        },
        What::Done(report) => {
            let ended = match &report.outcome {
                Some(outcome) => outcome.to_string(),
                None => report.decision.to_string(),
            };
            let revision = report.revision.as_ref();
            let at = revision.map(|revision| format!(" ({})", revision.short()));
            let mut text = output::shown(&format!("{ended}{}", at.unwrap_or_default()));
            if !report.failed_units.is_empty() {
                let units = output::shown(&report.failed_units.join(" "));
                text.push_str(&format!("; these units are failed there: {units}"));
            }
            // Where nothing is known to be wanted, the decision says why.
            if revision.is_some()
                && let Some(refused) = report.branch_state.as_ref().and_then(output::refused)
            {
                text.push_str(&format!("; {}", output::shown(&refused)));
            }
            let is_wanted = !report.output.is_empty()
                && report
                    .outcome
                    .as_ref()
                    .is_some_and(|outcome| *outcome == Outcome::DryActivated);
            if is_wanted {
                text.push('\n');
                text.push_str(output::shown(&report.output).trim_end());
            }
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_is_up_to_date_and_has_failed_units_is_degraded_and_they_are_named() {
        let mut report = Report {
            order: None,
            revision: None,
            branch_state: None,
            decision: Decision::UpToDate,
            outcome: None,
            failed_units: Vec::new(),
            output: String::new(),
        };
        assert_eq!(exit_of(&report), Exit::Done);
        report.failed_units = vec!["app.service".into(), "x\u{1b}.mount".into()];
        assert_eq!(exit_of(&report), Exit::Degraded);
        let said = sentence(&What::Done(Box::new(report)));
        assert!(
            said.starts_with("up to date; these units are failed there: app.service x"),
            "{said}"
        );
        assert!(!said.contains('\u{1b}'));
    }
}
