//! `reconcile status`.

use clap::Args;
use deploy::{Outcome, Toplevel};
use desired_state::{CollectionResult, HostName};
use jiff::Timestamp;
use planning::model::spec::Policy;
use planning::model::status::{DriftStatus, HostStatus, NixStoreStatus};

use super::backend::Backend;
use super::exit::{CliError, Exit};
use super::output;
use crate::config::Loaded;
use crate::context::outside::SystemClock;
use crate::context::ports::Clock as _;

/// How much of a store path's hash people compare.
const HASH_SHOWN: usize = 7;

/// The options of `status`.
#[derive(Debug, Args)]
pub struct StatusArguments {
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// Shows the fleet.
pub async fn run(loaded: &Loaded, arguments: &StatusArguments) -> Result<Exit, CliError> {
    let backend = Backend::find(&loaded.config).await?;
    let status = backend.status().await?;
    if arguments.json {
        return output::print_json(&status);
    }
    let mut table = output::table(&["HOST", "BRANCH", "REVISION", "STATE", "SEEN (UTC)", "NOTES"]);
    let now = SystemClock.now();
    for host in &status.hosts {
        table.add_row(vec![
            host.host.to_string(),
            host.branch.to_string(),
            host.desired_revision
                .as_ref()
                .map_or_else(|| "-".to_owned(), |revision| revision.short().to_owned()),
            state(host).to_owned(),
            host.last_seen.map_or_else(
                || "never".to_owned(),
                |at| at.strftime("%m-%d %H:%M:%S").to_string(),
            ),
            notes(host, now).join("; "),
        ]);
    }
    let store = store_trouble(&status.store).map(|trouble| format!("this machine's {trouble}\n"));
    output::print(&format!("{table}\n{}", store.unwrap_or_default()))
}

/// What went wrong the last time that a store's garbage was collected.
fn store_trouble(store: &NixStoreStatus) -> Option<String> {
    let last = store.last_collection.as_ref();
    let failed = last.filter(|last| last.result == CollectionResult::Failed)?;
    Some(format!(
        "garbage could not be collected: {}",
        output::first_line(&failed.detail)
    ))
}

fn state(host: &HostStatus) -> &'static str {
    match host.drift {
        _ if host.unreachable.is_some() => "unreachable",
        Some(DriftStatus::InSync) => "in sync",
        Some(DriftStatus::Drifted) => "drifted",
        None if host.desired_revision.is_none() => "no revision",
        None => "unknown",
    }
}

/// A store path as people tell it from another: the beginning of its hash, and its name.
fn short(toplevel: &Toplevel) -> String {
    let name = toplevel.as_str().trim_start_matches("/nix/store/");
    match name.split_once('-') {
        Some((hash, name)) => {
            let beginning: String = hash.chars().take(HASH_SHOWN).collect();
            format!("{beginning}…-{name}")
        }
        None => name.to_owned(),
    }
}

/// Whether the outcome is that of the reboot, which has a note of its own.
fn is_told_by_reboot(host: &HostStatus, outcome: &Outcome) -> bool {
    let reboot = host.reboot.as_ref();
    reboot.is_some_and(|reboot| reboot.failure.as_ref() == Some(outcome))
}

/// Whether an attempt comes by itself when it is due: not while a person or a commit is waited for, nor before a
/// window opens; one that is past was held up.
fn is_ahead(host: &HostStatus, due: Timestamp, now: Timestamp) -> bool {
    let waits_for_somebody = host.waits.is_some() && host.waits_until.is_none();
    let is_observed = host.policy == Policy::Observe.label() && host.action.changes_host();
    let is_held = host.suspended.is_some() || waits_for_somebody || is_observed;
    due > now && !is_held && host.waits_until.is_none_or(|until| until <= due)
}

fn notes(host: &HostStatus, now: Timestamp) -> Vec<String> {
    [of_the_wish(host), of_attempts(host, now), of_the_host(host)].concat()
}

/// What is wanted, and what keeps the host from it.
fn of_the_wish(host: &HostStatus) -> Vec<String> {
    let mut notes = Vec::new();
    notes.extend(host.branch_state.as_ref().and_then(output::refused));
    if let Some(why) = &host.suspended {
        notes.push(format!("suspended: {}", output::first_line(why)));
    }
    if let Some(by) = &host.pinned_by {
        let branch = host.pinned_branch.as_ref();
        let tip = branch.map_or_else(String::new, |branch| format!(" to a tip of {branch}"));
        notes.push(format!("pinned{tip} by {}", output::first_line(by)));
    }
    if let Some(running) = &host.running_toplevel
        && host.drift != Some(DriftStatus::InSync)
    {
        notes.push(format!("runs {}", short(running)));
    }
    if let Some(name) = &host.running_specialisation {
        notes.push(format!("in the specialisation {name}"));
    }
    notes.extend(host.waits.clone());
    if let Some(quarantine) = &host.quarantine {
        notes.push(format!("{} is in quarantine", short(&quarantine.toplevel)));
    }
    notes
}

/// How the last attempt ended, whether the host answers, and when the next attempt is.
fn of_attempts(host: &HostStatus, now: Timestamp) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(outcome) = &host.outcome
        && !outcome.is_in_sync()
        && !is_told_by_reboot(host, outcome)
    {
        notes.push(output::first_line(&outcome.to_string()));
    }
    if let Some(since) = host.overdue_since {
        notes.push(format!(
            "overdue since {}",
            since.strftime("%m-%d %H:%M:%S")
        ));
    }
    notes.extend(host.unreachable.as_deref().map(output::first_line));
    if let Some(next) = host.next_attempt.filter(|next| is_ahead(host, *next, now)) {
        notes.push(format!("next attempt {}", next.strftime("%H:%M:%S")));
    }
    notes
}

/// What the host itself is in need of.
fn of_the_host(host: &HostStatus) -> Vec<String> {
    let mut notes = Vec::new();
    if host.set_back > 1 {
        notes.push(format!(
            "set back {} times within an hour: something else changes it too",
            host.set_back
        ));
    }
    if !host.failed_units.is_empty() {
        notes.push(format!("failed units: {}", host.failed_units.join(" ")));
    }
    if !host.reboot_required.is_empty() {
        let reasons = host.reboot_required.iter().map(|reason| reason.label());
        let reasons: Vec<&str> = reasons.collect();
        notes.push(format!("reboot required: {}", reasons.join(" ")));
    }
    if let Some(reboot) = &host.reboot {
        notes.push(output::first_line(&reboot.to_string()));
    }
    if let Some(hold) = &host.reboot_waits {
        notes.push(output::first_line(&hold.to_string()));
    }
    if !host.same_machine_as.is_empty() {
        let names: Vec<&str> = host.same_machine_as.iter().map(HostName::as_str).collect();
        notes.push(format!("the same machine as {}", names.join(" and ")));
    }
    notes.extend(store_trouble(&host.store));
    if host.policy == Policy::Observe.label() {
        notes.push("observed only".to_owned());
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::status;

    #[test]
    fn a_next_attempt_is_shown_only_where_it_comes_by_itself() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let told = |change: fn(&mut HostStatus)| {
            let mut host = status("cyt-pi");
            host.next_attempt = Some(at(60));
            change(&mut host);
            let notes = notes(&host, at(0));
            notes.iter().any(|note| note.starts_with("next attempt"))
        };
        assert!(told(|_| ()));
        assert!(told(|host| host.waits_until = host.next_attempt));
        assert!(told(|host| {
            host.policy = "observe".into();
            host.action = deploy::Action::Build;
        }));
        assert!(!told(|host| host.policy = "observe".into()));
        assert!(!told(|host| host.suspended = Some("under repair".into())));
        assert!(!told(|host| host.waits = Some("not signed".into())));
        assert!(!told(|host| host.next_attempt = Some(Timestamp::UNIX_EPOCH)));
        assert!(!told(|host| {
            host.waits = Some("frozen".into());
            host.waits_until = Timestamp::from_second(61).ok();
        }));
    }
}
