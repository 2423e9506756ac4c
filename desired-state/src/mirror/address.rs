//! Pure: the URL of a repository, read and checked before anything is done with it.

use super::settings::Access;
use crate::shown::shown;

/// The longest URL, in bytes: git itself and web servers handle little more, and no forge makes longer ones.
const LONGEST: usize = 2048;

/// How much of a scheme that is not served an error repeats, in characters.
const SCHEME_SHOWN: usize = 20;

/// Says why a URL cannot be mirrored. No message repeats a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing is there.
    #[error("the URL is empty")]
    Empty,
    /// Longer than any forge makes it.
    #[error("the URL is longer than 2048 bytes")]
    TooLong,
    /// White space or control characters.
    #[error("the URL contains white space or a control character")]
    Unprintable,
    /// It cannot be read as a URL.
    #[error(
        "the URL cannot be read ({0}); write ssh://git@host:port/owner/name.git, git@host:owner/name.git, https://host/owner/name.git or file:///folder"
    )]
    Unreadable(&'static str),
    /// A scheme that is not served.
    #[error("the URL's scheme \"{0}\" is not one of ssh, https, http and file")]
    Scheme(String),
    /// A password in the URL, or a user name in an HTTP one (where people put tokens): both would end in logs.
    #[error(
        "the URL carries a password or token; take it out, and name a token_file (https) or an ssh_key_file (ssh) instead"
    )]
    Password,
    /// No host, or one that no host can be called.
    #[error("the URL's host is missing, begins with '-', or has characters that no host name has")]
    Host,
    /// A user name that OpenSSH could take for an option.
    #[error(
        "the URL's user name is empty, begins with '-', or has other characters than letters, digits, '.', '_' and '-'"
    )]
    User,
    /// No repository named.
    #[error("the URL names no repository after the host")]
    NoPath,
    /// A query or a fragment.
    #[error("the URL has a query or a fragment ('?' or '#'), which no git server reads")]
    QueryOrFragment,
    /// A path that OpenSSH could take for an option of git-upload-pack.
    #[error("the URL's path begins with '-'")]
    Path,
    /// SSH without a key.
    #[error("an SSH URL needs a key: name an ssh_key_file")]
    KeyMissing,
    /// A key with a URL that has no use for one.
    #[error("an ssh_key_file has no use with this URL; it belongs to an SSH URL")]
    KeyUnused,
    /// A token with a URL that has no use for one.
    #[error("a token_file has no use with this URL; it belongs to an https URL")]
    TokenUnused,
    /// A path in the access settings that `ssh -o` could not be given.
    #[error(
        "the path of the {0} must be absolute and free of quotes, '$', backslashes and control characters"
    )]
    AccessPath(&'static str),
    /// An HTTP user name with a colon would end inside the password (RFC 7617 §2).
    #[error("the token's user name is empty or contains ':' or a control character")]
    TokenUser,
}

/// What kind of server a checked URL leads to. git itself reads the URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// A repository on this machine, as a `file://` URL.
    File,
    /// A repository behind `https://` or `http://`.
    Http {
        /// The scheme, host and port: whom a token is for.
        origin: String,
    },
    /// A repository behind SSH.
    Ssh,
}

/// The URL as git takes it, which knows schemes in lower case only.
pub(super) fn for_git(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => format!("{}://{rest}", scheme.to_ascii_lowercase()),
        None => url.to_owned(),
    }
}

/// Reads `url` and checks that it and `access` fit together, without touching disk or network.
///
/// # Errors
///
/// The first thing that is wrong, in words for the person who wrote the configuration.
pub(super) fn check_url(url: &str, access: &Access) -> Result<Address, AddressError> {
    let address = read(url)?;
    check_access(access)?;
    match (&address, access) {
        (Address::Ssh, Access::SshKey { .. })
        | (Address::Http { .. }, Access::None | Access::Token { .. })
        | (Address::File, Access::None) => Ok(address),
        (Address::Ssh, _) => Err(AddressError::KeyMissing),
        (Address::Http { .. } | Address::File, Access::SshKey { .. }) => {
            Err(AddressError::KeyUnused)
        }
        (Address::File, Access::Token { .. }) => Err(AddressError::TokenUnused),
    }
}

fn read(url: &str) -> Result<Address, AddressError> {
    if url.is_empty() {
        return Err(AddressError::Empty);
    }
    if url.len() > LONGEST {
        return Err(AddressError::TooLong);
    }
    if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(AddressError::Unprintable);
    }
    match url.split_once("://") {
        Some((scheme, _)) => read_url(scheme, url),
        None => read_scp(url),
    }
}

fn read_url(scheme: &str, text: &str) -> Result<Address, AddressError> {
    let scheme = scheme.to_ascii_lowercase();
    if !["ssh", "https", "http", "file"].contains(&scheme.as_str()) {
        return Err(AddressError::Scheme(shown(&scheme, SCHEME_SHOWN)));
    }
    // The parser's own words may repeat parts of the URL, and with them a password.
    let url = url::Url::parse(text).map_err(|_| AddressError::Unreadable("not a URL"))?;
    if url.password().is_some() {
        return Err(AddressError::Password);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(AddressError::QueryOrFragment);
    }
    match scheme.as_str() {
        "file" => url.to_file_path().map(|_| Address::File).map_err(|()| {
            AddressError::Unreadable("a file URL is file:/// and an absolute folder")
        }),
        "ssh" => read_ssh(&url),
        _ => read_http(&url),
    }
}

fn read_http(url: &url::Url) -> Result<Address, AddressError> {
    check_host(url.host_str().unwrap_or_default().trim_matches(['[', ']']))?;
    if !url.username().is_empty() {
        return Err(AddressError::Password);
    }
    if url.path().trim_matches('/').is_empty() {
        return Err(AddressError::NoPath);
    }
    Ok(Address::Http {
        origin: url.origin().ascii_serialization(),
    })
}

fn read_ssh(url: &url::Url) -> Result<Address, AddressError> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    check_host(host)?;
    if !url.username().is_empty() {
        check_user(url.username())?;
    }
    check_path(url.path())?;
    Ok(Address::Ssh)
}

/// `[user@]host:path`, where the first colon comes before any slash (git-clone(1)).
fn read_scp(text: &str) -> Result<Address, AddressError> {
    let (before, path) = match text.strip_prefix('[').is_some() || text.contains("@[") {
        // [user@][::1]:path
        true => match text.find("]:") {
            Some(end) => (&text[..=end], &text[end + 2..]),
            None => return Err(AddressError::Unreadable("a '[' is never closed")),
        },
        false => text.split_once(':').ok_or(AddressError::Unreadable(
            "it has neither a scheme nor a colon",
        ))?,
    };
    if before.contains('/') {
        return Err(AddressError::Unreadable(
            "a folder is written as a file:/// URL",
        ));
    }
    let host = match before.rsplit_once('@') {
        // user:password@host:path splits at its first colon, so the password stands in the path.
        Some((user, host)) => {
            check_user(user)?;
            host
        }
        None => before,
    };
    let (first, _) = path.split_once('/').unwrap_or((path, ""));
    if first.contains('@') {
        return Err(AddressError::Password);
    }
    let host = host.trim_matches(['[', ']']);
    check_host(host)?;
    check_path(path)?;
    Ok(Address::Ssh)
}

/// Host names, IPv4 and IPv6 addresses, and aliases of `ssh_config`; a leading '-' would be an option to ssh.
fn check_host(host: &str) -> Result<(), AddressError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || host.starts_with('-') || !host.chars().all(allowed) {
        return Err(AddressError::Host);
    }
    Ok(())
}

fn check_user(user: &str) -> Result<(), AddressError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if user.is_empty() || user.starts_with('-') || !user.chars().all(allowed) {
        return Err(AddressError::User);
    }
    Ok(())
}

fn check_path(path: &str) -> Result<(), AddressError> {
    let escaped = ["%0", "%1", "%7F", "%7f"]; // git decodes `%xx` (`url_decode` in its url.c)
    if path.trim_matches('/').is_empty() {
        Err(AddressError::NoPath)
    } else if path.starts_with('-') {
        Err(AddressError::Path)
    } else if escaped.iter().any(|control| path.contains(control)) {
        Err(AddressError::Unprintable)
    } else {
        Ok(())
    }
}

fn check_access(access: &Access) -> Result<(), AddressError> {
    // `ssh -o` reads quotes, backslashes and ${…} in file names (ssh_config(5), TOKENS).
    let check = |path: &std::path::Path, what| {
        let text = path.to_str().unwrap_or_default();
        let bad = |c: char| c.is_control() || matches!(c, '"' | '\'' | '\\' | '$');
        if !path.is_absolute() || text.is_empty() || text.chars().any(bad) {
            return Err(AddressError::AccessPath(what));
        }
        Ok(())
    };
    match access {
        Access::None => Ok(()),
        Access::SshKey {
            key,
            known_hosts,
            ssh_config,
        } => {
            check(key, "SSH key")?;
            if let Some(known_hosts) = known_hosts {
                check(known_hosts, "known hosts file")?;
            }
            match ssh_config {
                Some(ssh_config) => check(ssh_config, "ssh_config"),
                None => Ok(()),
            }
        }
        Access::Token { username, .. } => {
            if username.is_empty() || username.chars().any(|c| c == ':' || c.is_control()) {
                return Err(AddressError::TokenUser);
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
