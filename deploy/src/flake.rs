//! Where a flake is read from: one revision of our own mirror, never a working tree and never a URL
//! that could move.

use std::fmt::Write as _;
use std::path::PathBuf;

/// A flake at one revision of a local mirror.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FlakeSource {
    /// The directory that has the mirror's `.git` in it. Absolute.
    pub mirror: PathBuf,
    /// The folder of `flake.nix` inside the repository; empty or `.` for its root.
    pub folder: String,
    /// The commit: 40 lower-case hexadecimal digits.
    pub revision: String,
}

impl FlakeSource {
    /// The locked flake reference, `git+file://DIRECTORY?ref=REVISION&rev=REVISION&dir=FOLDER`, with
    /// everything but plain characters percent-encoded (Nix manual, "nix flake", URL-like syntax).
    ///
    /// `ref` says the same as `rev`: without it Nix 2.8 asks the mirror's HEAD for a branch, and fails
    /// where HEAD names a branch that does not exist, as in a mirror it may.
    pub fn reference(&self) -> String {
        let mut reference = String::from("git+file://");
        push_encoded(&mut reference, &self.mirror.to_string_lossy());
        for parameter in ["?ref=", "&rev="] {
            reference.push_str(parameter);
            push_encoded(&mut reference, &self.revision);
        }
        if let Some(folder) = self.real_folder() {
            reference.push_str("&dir=");
            push_encoded(&mut reference, folder);
        }
        reference
    }

    /// The path inside the repository of a file that lies beside `flake.nix`.
    pub(crate) fn file(&self, name: &str) -> String {
        match self.real_folder() {
            Some(folder) => format!("{folder}/{name}"),
            None => name.to_owned(),
        }
    }

    /// The folder, unless it is the repository's root.
    fn real_folder(&self) -> Option<&str> {
        let folder = self.folder.trim_start_matches("./").trim_matches('/');
        (!folder.is_empty() && folder != ".").then_some(folder)
    }
}

/// Appends text with all but RFC 3986's unreserved characters and `/` percent-encoded.
pub(crate) fn push_encoded(to: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            to.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(to, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(mirror: &str, folder: &str) -> String {
        FlakeSource {
            mirror: mirror.into(),
            folder: folder.into(),
            revision: "8c7e3bbd2b3f4a0a7d1a9a6a8e1a2b3c4d5e6f70".into(),
        }
        .reference()
    }

    #[test]
    fn the_reference_names_the_revision_and_only_a_real_folder() {
        let revision = "8c7e3bbd2b3f4a0a7d1a9a6a8e1a2b3c4d5e6f70";
        let plain = &format!("git+file:///var/lib/reconcile/mirror?ref={revision}&rev={revision}");
        assert_eq!(&reference("/var/lib/reconcile/mirror", ""), plain);
        assert_eq!(&reference("/var/lib/reconcile/mirror", "."), plain);
        assert_eq!(
            reference("/var/lib/reconcile/mirror", "/hosts/nix/"),
            format!("{plain}&dir=hosts/nix")
        );
    }

    #[test]
    fn characters_that_mean_something_in_a_url_are_encoded() {
        let text = reference("/srv/a b?#%", "x&rev=evil");
        assert!(
            text.starts_with("git+file:///srv/a%20b%3F%23%25?ref="),
            "{text}"
        );
        assert!(text.ends_with("&dir=x%26rev%3Devil"), "{text}");
    }
}
