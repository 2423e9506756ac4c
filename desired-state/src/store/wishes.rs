//! Wishes: what each host should run.

use super::bounds::{self, cut};
use super::history::insert;
use super::row::{Row, Table, microseconds, unreadable};
use super::turn::Write;
use super::{Store, StoreError};
use crate::names::{HostName, Revision};
use crate::records::{BranchState, Cause, HistoryEntry, Wish};

/// Every column of a wish, in the order in which they are written.
macro_rules! columns {
    () => {
        "host, repository, branch, revision, branch_state, branch_at, untrusted_why, cause, \
         cause_detail, requested_at, recorded_at"
    };
}

/// Where wishes are.
pub(super) const WISHES: Table = Table {
    name: "wishes",
    key: "host",
    columns: columns!(),
};

impl Store {
    /// What a host should run, if that was ever recorded.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn wish(&self, host: &HostName) -> Result<Option<Wish>, StoreError> {
        let query = concat!("SELECT ", columns!(), " FROM wishes WHERE host = $1");
        let query = sqlx::query(query).bind(host.as_str());
        self.connections.one("read a wish", query, wish).await
    }

    /// What every host should run, by host. A host that left the configuration keeps its wish.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn wishes(&self) -> Result<Vec<Wish>, StoreError> {
        let query = sqlx::query(concat!("SELECT ", columns!(), " FROM wishes ORDER BY host"));
        self.connections.all("read the wishes", query, wish).await
    }

    /// Records what a host should run. In the same transaction it appends a history entry: of kind `wish` when the
    /// revision, or the branch or repository that the host follows, is another one; of kind `branch` when only the
    /// branch's state is.
    ///
    /// # Errors
    ///
    /// When it could not be recorded.
    pub async fn set_wish(&self, new: &Wish) -> Result<(), StoreError> {
        self.set_wishes(std::slice::from_ref(new)).await
    }

    /// Records what several hosts should run, all or none: a push to a branch that a hundred hosts follow is one
    /// write to the disk. Otherwise as [`Store::set_wish`].
    ///
    /// # Errors
    ///
    /// When they could not be recorded.
    pub async fn set_wishes(&self, wishes: &[Wish]) -> Result<(), StoreError> {
        let mut write = self.connections.write("record a wish").await?;
        for new in wishes {
            set(&mut write, new).await?;
        }
        write.commit().await
    }
}

async fn set(write: &mut Write<'_>, new: &Wish) -> Result<(), StoreError> {
    let query = concat!("SELECT ", columns!(), " FROM wishes WHERE host = $1");
    let query = sqlx::query(query).bind(new.host.as_str());
    let old = write.one(query, wish).await?;
    let cause_detail = cause_detail(&new.cause);
    let (branch_at, untrusted_why) = kept_from(&new.branch_state);
    write
        .execute(
            sqlx::query(concat!(
                "INSERT INTO wishes (",
                columns!(),
                ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
                 ON CONFLICT (host) DO UPDATE SET \
                 repository = excluded.repository, branch = excluded.branch, \
                 revision = excluded.revision, branch_state = excluded.branch_state, \
                 branch_at = excluded.branch_at, untrusted_why = excluded.untrusted_why, \
                 cause = excluded.cause, \
                 cause_detail = excluded.cause_detail, requested_at = excluded.requested_at, \
                 recorded_at = excluded.recorded_at"
            ))
            .bind(new.host.as_str())
            .bind(new.repository.as_str())
            .bind(new.branch.as_str())
            .bind(new.revision.as_ref().map(Revision::as_str))
            .bind(new.branch_state.label())
            .bind(branch_at)
            .bind(untrusted_why)
            .bind(new.cause.label())
            .bind(cause_detail)
            .bind(microseconds(new.requested_at))
            .bind(microseconds(new.recorded_at)),
        )
        .await?;
    if let Some(entry) = change(old.as_ref(), new) {
        insert(write, &entry).await?;
    }
    Ok(())
}

/// What the history says about the step from one wish to the next, if anything.
fn change(old: Option<&Wish>, new: &Wish) -> Option<HistoryEntry> {
    let old_revision = old.and_then(|old| old.revision.as_ref());
    let followed =
        old.is_none_or(|old| old.repository == new.repository && old.branch == new.branch);
    let old_state = old.map_or(&BranchState::Present, |old| &old.branch_state);
    let place = format!("{} {}", new.repository, new.branch);
    let revision = new.revision.as_ref();
    let (kind, mut detail) = if revision != old_revision {
        let detail = match (old_revision, revision) {
            (Some(from), Some(to)) => format!("{place}: {} -> {}", from.short(), to.short()),
            (None, Some(to)) => format!("{place}: {}", to.short()),
            (_, None) => format!("{place}: no revision"),
        };
        ("wish", detail)
    } else if !followed {
        (
            "wish",
            format!("{place}: followed from now on, the revision is the same"),
        )
    } else if *old_state != new.branch_state {
        ("branch", place)
    } else {
        return None;
    };
    if *old_state != new.branch_state {
        detail.push_str(match &new.branch_state {
            BranchState::Present => "; the branch is followed",
            BranchState::Gone => "; the branch is gone, the host keeps its revision",
            BranchState::Rewound { .. } => "; the branch was rewound, the host keeps its revision",
            BranchState::Untrusted { .. } => {
                "; its newest commit is not trusted, the host keeps its revision"
            }
        });
        match &new.branch_state {
            BranchState::Rewound { to } => {
                detail.push_str(&format!(" (the branch is at {})", to.short()));
            }
            BranchState::Untrusted { to, why } => {
                detail.push_str(&format!(" (the branch is at {}): {why}", to.short()));
            }
            BranchState::Present | BranchState::Gone => {}
        }
    }
    Some(HistoryEntry {
        host: Some(new.host.clone()),
        revision: new.revision.clone(),
        detail,
        cause: Some(new.cause.to_string()),
        started_at: Some(new.requested_at),
        ..HistoryEntry::new(new.recorded_at, kind)
    })
}

fn cause_detail(cause: &Cause) -> Option<String> {
    match cause {
        Cause::Delivery(id) => Some(id.to_string()),
        Cause::Person(who) => Some(cut(who, bounds::NAME).into_owned()),
        Cause::Poll | Cause::Configuration => None,
    }
}

/// The commit that the host is kept from, and why that is not trusted.
fn kept_from(state: &BranchState) -> (Option<&str>, Option<String>) {
    match state {
        BranchState::Rewound { to } => (Some(to.as_str()), None),
        BranchState::Untrusted { to, why } => {
            let why = cut(why, bounds::PARAGRAPH).into_owned();
            (Some(to.as_str()), Some(why))
        }
        BranchState::Present | BranchState::Gone => (None, None),
    }
}

pub(super) fn wish(row: Row<'_>) -> Result<Wish, StoreError> {
    let branch_state = match row.text("branch_state")?.as_str() {
        "present" => BranchState::Present,
        "gone" => BranchState::Gone,
        "rewound" => BranchState::Rewound {
            to: row.name("branch_at")?,
        },
        "untrusted" => BranchState::Untrusted {
            to: row.name("branch_at")?,
            why: row.text("untrusted_why")?,
        },
        other => return Err(unreadable("branch_state", &other)),
    };
    let cause = match row.text("cause")?.as_str() {
        "delivery" => Cause::Delivery(row.name("cause_detail")?),
        "poll" => Cause::Poll,
        "person" => Cause::Person(row.text("cause_detail")?),
        "configuration" => Cause::Configuration,
        other => return Err(unreadable("cause", &other)),
    };
    Ok(Wish {
        host: row.name("host")?,
        repository: row.name("repository")?,
        branch: row.name("branch")?,
        revision: row.optional_name("revision")?,
        branch_state,
        cause,
        requested_at: row.time("requested_at")?,
        recorded_at: row.time("recorded_at")?,
    })
}
