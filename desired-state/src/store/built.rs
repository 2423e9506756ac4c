//! What revisions build to, so that nothing is evaluated or built twice.

use super::bounds::{self, whole};
use super::row::{Row, microseconds};
use super::{Store, StoreError};
use crate::{Built, RepositoryName, Revision};

impl Store {
    /// Records what an attribute of a revision evaluates to, in place of what was recorded for it before.
    ///
    /// # Errors
    ///
    /// When it could not be recorded, or a text does not fit.
    pub async fn record_built(&self, built: &Built) -> Result<(), StoreError> {
        let attribute = whole("attribute", &built.attribute, bounds::NAME)?;
        let derivation = whole("derivation", &built.derivation, bounds::LINE)?;
        let toplevel = whole("toplevel", &built.toplevel, bounds::LINE)?;
        let system = whole("system", &built.system, bounds::WORD)?;
        let query = sqlx::query(
            "INSERT INTO built (repository, attribute, revision, derivation, toplevel, \
                     system, built_at) VALUES ($1, $2, $3, $4, $5, $6, $7) \
                     ON CONFLICT (repository, attribute, revision) DO UPDATE SET \
                     derivation = excluded.derivation, toplevel = excluded.toplevel, \
                     system = excluded.system, built_at = excluded.built_at",
        )
        .bind(built.repository.as_str())
        .bind(attribute)
        .bind(built.revision.as_str())
        .bind(derivation)
        .bind(toplevel)
        .bind(system)
        .bind(built.built_at.map(microseconds));
        self.connections
            .change("record what was built", query)
            .await
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

fn built(row: Row) -> Result<Built, StoreError> {
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
