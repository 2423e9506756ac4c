//! Loads what signs Gitea's deliveries.

use std::io;
use std::path::PathBuf;

use webhook::{Secret, SecretError, Secrets};

use super::model::WebhookConfig;
use super::reader::contents;

/// Why the secrets of the webhook cannot be used. No message holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum LoadSecretsError {
    /// A file cannot be read.
    #[error(
        "the webhook secret {file:?} cannot be read: create it, or let the user that runs reconcile read it"
    )]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file holds nothing that can be a secret.
    #[error("the webhook secret {file:?} cannot be used")]
    Unusable {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: SecretError,
    },
    /// There is no file at all, which [`parse`](super::parse) does not let pass.
    #[error("there is no webhook secret")]
    None(#[source] SecretError),
}

impl LoadSecretsError {
    /// A file that cannot be read may be in the middle of a rotation; the others need a person.
    pub fn is_worth_retrying(&self) -> bool {
        matches!(self, LoadSecretsError::Read { .. })
    }
}

/// Reads all secret files; of each, one line feed at the end does not count.
///
/// # Errors
/// The first file that cannot be used. Those in force should then stay so.
pub fn load_secrets(webhook: &WebhookConfig) -> Result<Secrets, LoadSecretsError> {
    let secrets = webhook.secret_files.iter().map(|file| {
        let bytes = contents(file).map_err(|source| LoadSecretsError::Read {
            file: file.clone(),
            source,
        })?;
        Secret::from_file_contents(&bytes).map_err(|source| LoadSecretsError::Unusable {
            file: file.clone(),
            source,
        })
    });
    Secrets::new(secrets.collect::<Result<_, _>>()?).map_err(LoadSecretsError::None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(secret_files: Vec<PathBuf>) -> WebhookConfig {
        WebhookConfig {
            listen: ([127, 0, 0, 1], 0).into(),
            path: "/hook".to_owned(),
            secret_files,
            body_limit: 1024,
            delivery_grace: std::time::Duration::ZERO,
        }
    }

    #[test]
    fn every_secret_file_counts_and_an_unusable_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, contents: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, contents).unwrap();
            path
        };
        let (new, old, empty) = (
            file("new", "hunter2\n"),
            file("old", "hunter1"),
            file("empty", "\n"),
        );
        assert!(load_secrets(&webhook(vec![new.clone(), old])).is_ok());

        let error = load_secrets(&webhook(vec![new.clone(), empty])).unwrap_err();
        assert!(
            matches!(&error, LoadSecretsError::Unusable { file, .. } if file.ends_with("empty")),
            "{error}"
        );
        assert!(!error.is_worth_retrying());
        let error = load_secrets(&webhook(vec![new, folder.path().join("gone")])).unwrap_err();
        assert!(
            matches!(&error, LoadSecretsError::Read { file, .. } if file.ends_with("gone")),
            "{error}"
        );
        assert!(error.is_worth_retrying());
        assert!(matches!(
            load_secrets(&webhook(vec![])),
            Err(LoadSecretsError::None(_))
        ));
    }
}
