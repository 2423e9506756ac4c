//! `reconcile rollback`.

use clap::Args;
use planning::model::requests::Instead;

use super::exit::{CliError, Exit};
use super::hosts::HostsArguments;
use super::reconcile::{Shown, asked, carry_out};
use crate::config::Loaded;

/// A generation has fewer digits than the shortest beginning of a commit id.
const GENERATION_DIGITS: usize = 6;

/// The options of `rollback`.
#[derive(Debug, Args)]
pub struct RollbackArguments {
    #[command(flatten)]
    hosts: HostsArguments,
    /// A commit (full id, or at least 7 digits), or the number of a generation of the system profile; without it, the
    /// last commit that proved itself there before
    #[arg(long, value_name = "REVISION|GENERATION", value_parser = parse_goal)]
    to: Option<Instead>,
    /// Go back although the host is suspended, in quarantine or outside of its window
    #[arg(long)]
    force: bool,
    /// Write events as lines of JSON
    #[arg(long)]
    json: bool,
}

fn parse_goal(text: &str) -> Result<Instead, std::convert::Infallible> {
    let generation = (text.len() <= GENERATION_DIGITS).then(|| text.parse().ok());
    Ok(generation
        .flatten()
        .map_or_else(|| Instead::Revision(text.to_owned()), Instead::Generation))
}

/// Goes back, with the same proof as forward, and pins the hosts there.
pub async fn run(loaded: &Loaded, arguments: RollbackArguments) -> Result<Exit, CliError> {
    let mut request = asked(arguments.hosts.into_selection(), arguments.force);
    request.instead = Some(arguments.to.unwrap_or(Instead::Proven));

    carry_out(loaded, &request, Shown::from(arguments.json)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_digits_are_a_generation_and_more_a_commit() {
        let goal = |text: &str| parse_goal(text).unwrap();
        assert_eq!(goal("42"), Instead::Generation(42));
        assert_eq!(goal("0123456"), Instead::Revision("0123456".into()));
        assert_eq!(goal("abc"), Instead::Revision("abc".into()));
    }
}
