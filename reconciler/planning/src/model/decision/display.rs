//! How decisions read to a person.

use std::fmt;

use desired_state::HostName;

use crate::model::decision::{Decision, Why};

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UpToDate => write!(f, "up to date"),
            Self::Deploy { toplevel } => write!(f, "deploy {toplevel}"),
            Self::Wait { why } => why.fmt(f),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRevision { detail } => write!(f, "nothing to deploy: {detail}"),
            Self::NotEvaluated => write!(
                f,
                "nothing to deploy: the wanted revision has not been evaluated"
            ),
            Self::StateUnusable { detail } => write!(f, "cannot use the state: {detail}"),
            Self::Superseded => write!(f, "something newer is wanted"),
            Self::NotUnderstood { part } => write!(
                f,
                "left alone: another version of reconcile has remembered a {part} here that this one cannot read; go back to that version, or accept any state of the host with --force"
            ),
            Self::Untrusted { revision, detail } => {
                write!(f, "commit {} is not deployed: {detail}", revision.short())
            }
            Self::Suspended { reason } => write!(f, "suspended: {reason}"),
            Self::Observing => write!(f, "drifted, only observed by policy"),
            Self::AnotherMachine { expected, found } => write!(
                f,
                "another machine answers: its machine-id is {found}, and that of this host was {expected}, though the host key is the same: if it was set up anew, accept it with --force; if it does not keep its machine-id, set identity = \"host-key\""
            ),
            Self::Unreachable { detail } => write!(f, "unreachable: {detail}"),
            Self::Braked { by } => {
                let by: Vec<&str> = by.iter().map(HostName::as_str).collect();
                write!(
                    f,
                    "waits because {} rolled this commit back; deployed when another commit is wanted or a person asks with --host",
                    by.join(" and ")
                )
            }
            Self::WindowClosed { reason, opens } => {
                write!(f, "{reason}; deployed ")?;
                match opens {
                    Some(opens) => write!(f, "at {opens:.0}, or now with --force"),
                    None => write!(f, "only with --force"),
                }
            }
            Self::BackingOff { until, outcome } => {
                write!(f, "{outcome}; next attempt at {until:.0}")
            }
            Self::Quarantined { outcome, since } => {
                write!(
                    f,
                    "quarantined since {since:.0}: {outcome}; not tried again until another system is wanted, the config changes, or --force"
                )
            }
            Self::RebootHeld { hold } => hold.fmt(f),
            Self::Settled { outcome } => {
                write!(
                    f,
                    "{outcome}; not tried again until a new revision or --force"
                )
            }
        }
    }
}
