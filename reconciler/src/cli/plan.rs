//! `reconcile plan`.

use clap::Args;
use planning::model::report::Plan;

use super::backend::Backend;
use super::exit::{CliError, Exit};
use super::hosts::HostsArguments;
use super::output;
use crate::config::Loaded;

/// The options of `plan`.
#[derive(Debug, Args)]
pub struct PlanArguments {
    #[command(flatten)]
    hosts: HostsArguments,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// Says what would be done now.
pub async fn run(loaded: &Loaded, arguments: PlanArguments) -> Result<Exit, CliError> {
    let backend = Backend::find(&loaded.config).await?;
    let plans = backend.plan(&arguments.hosts.into_selection()).await?;
    if arguments.json {
        return output::print_json(&plans);
    }
    let mut table = output::table(&["HOST", "REVISION", "ACTION", "DECISION"]);
    for plan in &plans {
        let decision = match &plan.failure {
            Some(failure) => failure.to_string(),
            None => plan.decision.to_string(),
        };
        table.add_row(vec![
            plan.host.to_string(),
            plan.revision
                .as_ref()
                .map_or_else(|| "-".to_owned(), |revision| revision.short().to_owned()),
            plan.action.to_string(),
            notes(plan, &decision),
        ]);
    }
    output::print(&format!("{table}\n"))
}

/// The decision, and what a person has to know beside it.
fn notes(plan: &Plan, decision: &str) -> String {
    let mut notes = vec![output::shown(decision)];
    // Where nothing is known to be wanted, the decision says why.
    if plan.revision.is_some() {
        notes.extend(plan.branch_state.as_ref().and_then(output::refused));
    }
    if let Some(why) = &plan.not_fetched {
        notes.push(format!("not fetched: {}", output::shown(why)));
    }
    notes.join("; ")
}
