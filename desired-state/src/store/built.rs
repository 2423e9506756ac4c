//! What revisions build to, so that nothing is evaluated or built twice.

use super::bounds::{self, whole};
use super::row::{Row, microseconds};
use super::{Store, StoreError};
use crate::names::{RepositoryName, Revision};
use crate::records::Built;

impl Store {
    /// Records what attributes of a revision evaluate to, all or none, in place of what was recorded for them before.
    ///
    /// # Errors
    ///
    /// When they could not be recorded, or a text does not fit.
    pub async fn record_built(&self, all: &[Built]) -> Result<(), StoreError> {
        let mut write = self.connections.write("record what was built").await?;
        for built in all {
            let query = sqlx::query(
                "INSERT INTO built (repository, attribute, revision, derivation, toplevel, \
                     system, built_at) VALUES ($1, $2, $3, $4, $5, $6, $7) \
                     ON CONFLICT (repository, attribute, revision) DO UPDATE SET \
                     derivation = excluded.derivation, toplevel = excluded.toplevel, \
                     system = excluded.system, built_at = excluded.built_at",
            )
            .bind(built.repository.as_str())
            .bind(whole("attribute", &built.attribute, bounds::NAME)?)
            .bind(built.revision.as_str())
            .bind(whole("derivation", &built.derivation, bounds::LINE)?)
            .bind(whole("toplevel", &built.toplevel, bounds::LINE)?)
            .bind(whole("system", &built.system, bounds::WORD)?)
            .bind(built.built_at.map(microseconds));
            write.execute(query).await?;
        }
        write.commit().await
    }

    /// What an attribute of a revision evaluates to, if that is known.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn built(
        &self,
        repository: &RepositoryName,
        attribute: &str,
        revision: &Revision,
    ) -> Result<Option<Built>, StoreError> {
        let query = sqlx::query(
            "SELECT repository, attribute, revision, derivation, toplevel, system, \
                     built_at FROM built \
                     WHERE repository = $1 AND attribute = $2 AND revision = $3",
        )
        .bind(repository.as_str())
        .bind(attribute)
        .bind(revision.as_str());
        self.connections
            .one("read what was built", query, built)
            .await
    }
}

fn built(row: Row<'_>) -> Result<Built, StoreError> {
    Ok(Built {
        repository: row.name("repository")?,
        attribute: row.text("attribute")?,
        revision: row.name("revision")?,
        derivation: row.text("derivation")?,
        toplevel: row.text("toplevel")?,
        system: row.text("system")?,
        built_at: row.optional_time("built_at")?,
    })
}
