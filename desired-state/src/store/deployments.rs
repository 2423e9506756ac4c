//! Deployments in flight: written down before they start, so that a restarted daemon finds them again.

use super::bounds::{self, cut, whole};
use super::row::{Row, Table, microseconds};
use super::turn::{Turn, Write};
use super::{Store, StoreError};
use crate::names::HostName;
use crate::records::Deployment;

/// Every column of a deployment, in the order in which they are written.
macro_rules! columns {
    () => {
        "id, host, revision, toplevel, old_toplevel, action, boot_id, destination, started_at, why"
    };
}

/// Where deployments in flight are.
pub(super) const DEPLOYMENTS: Table = Table {
    name: "deployments",
    key: "host",
    columns: columns!(),
};

impl Store {
    /// Records that a deployment begins. To begin the very same one again is harmless.
    ///
    /// # Errors
    ///
    /// [`StoreError::AlreadyInFlight`] when the host has another one in flight; [`StoreError::TooLong`];
    /// or when it could not be recorded: then it must not be started.
    pub async fn begin_deployment(&self, deployment: &Deployment) -> Result<(), StoreError> {
        let id = whole("deployment id", &deployment.id, bounds::WORD)?;
        let toplevel = whole("toplevel", &deployment.toplevel, bounds::LINE)?;
        let old_toplevel = whole("old toplevel", &deployment.old_toplevel, bounds::LINE)?;
        let action = whole("action", &deployment.action, bounds::WORD)?;
        let boot_id = whole("boot id", &deployment.boot_id, bounds::WORD)?;
        let destination = whole("destination", &deployment.destination, bounds::LINE)?;
        let mut write = self.connections.write("record a deployment").await?;
        match on_host(&mut write, &deployment.host).await? {
            None => {
                write
                    .execute(
                        sqlx::query(concat!(
                            "INSERT INTO deployments (",
                            columns!(),
                            ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
                        ))
                        .bind(id)
                        .bind(deployment.host.as_str())
                        .bind(deployment.revision.as_str())
                        .bind(toplevel)
                        .bind(old_toplevel)
                        .bind(action)
                        .bind(boot_id)
                        .bind(destination)
                        .bind(microseconds(deployment.started_at))
                        .bind(&*cut(&deployment.trigger, bounds::LINE)),
                    )
                    .await?;
                write.commit().await
            }
            // The first answer got lost, and the caller asks again.
            Some(present) if present.id == deployment.id => write.commit().await,
            Some(present) => {
                write.commit().await?;
                Err(StoreError::AlreadyInFlight {
                    host: present.host,
                    deployment: present.id,
                })
            }
        }
    }
}

/// Takes a deployment out of those in flight; gives its host, or nothing when it has ended before.
///
/// # Errors
///
/// [`StoreError::NotInFlight`] when no deployment of this id ever began.
pub(super) async fn take(write: &mut Write<'_>, id: &str) -> Result<Option<HostName>, StoreError> {
    let query = "DELETE FROM deployments WHERE id = $1 RETURNING host";
    let query = sqlx::query(query).bind(id);
    let host = write.one(query, |row| row.name("host")).await?;
    if host.is_some() {
        return Ok(host);
    }
    let query = "SELECT id FROM history WHERE deployment = $1 LIMIT 1";
    match write.one(sqlx::query(query).bind(id), |_| Ok(())).await? {
        Some(()) => Ok(None),
        None => Err(not_in_flight(id)),
    }
}

/// Says that no such deployment began.
pub(super) fn not_in_flight(id: &str) -> StoreError {
    StoreError::NotInFlight {
        deployment: cut(id, bounds::WORD).into_owned(),
    }
}

async fn on_host(turn: &mut Turn<'_>, host: &HostName) -> Result<Option<Deployment>, StoreError> {
    let query = concat!("SELECT ", columns!(), " FROM deployments WHERE host = $1");
    let query = sqlx::query(query).bind(host.as_str());
    turn.one(query, deployment).await
}

pub(super) fn deployment(row: Row<'_>) -> Result<Deployment, StoreError> {
    Ok(Deployment {
        id: row.text("id")?,
        host: row.name("host")?,
        revision: row.name("revision")?,
        toplevel: row.text("toplevel")?,
        old_toplevel: row.text("old_toplevel")?,
        action: row.text("action")?,
        boot_id: row.text("boot_id")?,
        destination: row.text("destination")?,
        started_at: row.time("started_at")?,
        trigger: row.text("why")?,
    })
}
