//! Which file is the configuration.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::reader::Environment;

/// The variable that names the file.
const VARIABLE: &str = "RECONCILE_CONFIG";

/// Where the file is looked for when nobody names it, in order.
const PLACES: [&str; 2] = ["./reconcile.toml", "/etc/reconcile/reconcile.toml"];

/// Why no configuration file was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocateError {
    /// The file that was named is not there.
    #[error(
        "the configuration file {file:?}, named by {by}, does not exist: create it, or correct {by}"
    )]
    Named {
        /// The file.
        file: PathBuf,
        /// What names it: an option or a variable.
        by: &'static str,
    },
    /// Nobody named a file, and none is at the usual places.
    #[error("no configuration file: --config and {VARIABLE} are not given, and there is none at {}; \
             create one, or name it with --config", listed(.tried))]
    NoneFound {
        /// The places, in the order in which they were tried.
        tried: Vec<PathBuf>,
    },
}

impl LocateError {
    /// Never: a person has to provide the file.
    pub fn is_worth_retrying(&self) -> bool {
        false
    }
}

/// The configuration file: `cli` (from `--config`), else `$RECONCILE_CONFIG`, else `./reconcile.toml`, else
/// `/etc/reconcile/reconcile.toml`.
///
/// A file that is named must exist; there is no falling through to another. A file that cannot be looked at, as in
/// a home that another user cannot enter, is returned only if there is no other: reading it says why.
///
/// # Errors
/// When there is no file; the message names what was tried.
pub fn locate(cli: Option<&Path>, environment: &Environment) -> Result<PathBuf, LocateError> {
    locate_among(cli, environment, &PLACES.map(Path::new))
}

fn locate_among(
    cli: Option<&Path>,
    environment: &Environment,
    places: &[&Path],
) -> Result<PathBuf, LocateError> {
    let variable = environment
        .get(VARIABLE)
        .filter(|value| !value.is_empty())
        .map(Path::new);
    let named = cli
        .map(|file| (file, "--config"))
        .or(variable.map(|file| (file, VARIABLE)));
    if let Some((file, by)) = named {
        return if is_there(file) {
            Ok(file.to_owned())
        } else {
            Err(LocateError::Named {
                file: file.to_owned(),
                by,
            })
        };
    }
    let to_be_seen = places
        .iter()
        .find(|place| is_there(place) && !is_hidden(place));
    match to_be_seen.or_else(|| places.iter().rfind(|place| is_there(place))) {
        Some(place) => Ok(place.to_path_buf()),
        None => Err(LocateError::NoneFound {
            tried: places.iter().map(|place| place.to_path_buf()).collect(),
        }),
    }
}

fn is_there(file: &Path) -> bool {
    !file
        .metadata()
        .is_err_and(|error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory))
}

fn is_hidden(file: &Path) -> bool {
    file.metadata()
        .is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

fn listed(places: &[PathBuf]) -> String {
    places
        .iter()
        .map(|place| place.display().to_string())
        .collect::<Vec<_>>()
        .join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_wins_over_the_variable_and_the_variable_over_the_usual_places() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, "").unwrap();
            path
        };
        let (option, variable, usual) = (file("option"), file("variable"), file("usual"));
        let missing = folder.path().join("missing");
        let set: Environment = [(VARIABLE.to_owned(), variable.display().to_string())].into();
        let empty: Environment = [(VARIABLE.to_owned(), String::new())].into();
        let places = [missing.as_path(), usual.as_path()];

        assert_eq!(locate_among(Some(&option), &set, &places), Ok(option));
        assert_eq!(locate_among(None, &set, &places), Ok(variable));
        assert_eq!(locate_among(None, &empty, &places), Ok(usual));
    }

    #[test]
    fn a_named_file_that_is_missing_is_an_error_and_no_other_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let error =
            locate_among(Some(&missing), &Environment::new(), &[Path::new("/")]).unwrap_err();
        assert!(
            error.to_string().contains("missing") && error.to_string().contains("--config"),
            "{error}"
        );
    }

    #[test]
    fn a_folder_that_we_may_not_enter_hides_no_other_place() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let (home, usual) = (folder.path().join("home"), folder.path().join("usual"));
        std::fs::create_dir(&home).unwrap();
        std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o000)).unwrap();
        std::fs::write(&usual, "").unwrap();
        let hidden = home.join("reconcile.toml");
        // Of this thread only, as all of setfsuid(2): root would be let in.
        let found = std::thread::spawn(move || {
            nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65_534));
            let both = [hidden.as_path(), usual.as_path()];
            let found = locate_among(None, &Environment::new(), &both);
            let alone = locate_among(None, &Environment::new(), &[hidden.as_path()]);
            (found == Ok(usual), alone == Ok(hidden))
        });
        assert_eq!(found.join().unwrap(), (true, true));
    }

    #[test]
    fn the_error_names_every_place_that_was_tried() {
        let error = locate_among(
            None,
            &Environment::new(),
            &[Path::new("/nowhere/a"), Path::new("/nowhere/b")],
        );
        let message = error.unwrap_err().to_string();
        for part in ["/nowhere/a", "/nowhere/b", "--config", VARIABLE] {
            assert!(message.contains(part), "{message}");
        }
    }
}
