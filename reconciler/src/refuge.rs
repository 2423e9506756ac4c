//! Where a host belongs while what is wanted of it is in quarantine.

use crate::api::Report;
use crate::clock;
use crate::decide::{Decision, Why};
use crate::desired::{Desired, Standing};
use crate::memory::Memory;

/// The last system that proved itself on the host, in place of a wanted one that could not stay there:
/// drift away from the good system is still undone. `None` where nothing is in quarantine, where a
/// person asked for this very system, or where none has ever proved itself.
pub fn refuge(desired: &Desired, report: &Report, memory: &Memory) -> Option<Desired> {
    let is_quarantined = matches!(
        report.decision,
        Decision::Wait {
            why: Why::Quarantined { .. }
        }
    );
    if !is_quarantined || desired.standing != Standing::Kept {
        return None;
    }
    Some(Desired {
        target: memory.converged_target.clone()?,
        since: clock::now(),
        cause: "quarantine".into(),
        standing: Standing::Refuge {
            from: desired.target.clone(),
        },
    })
}
