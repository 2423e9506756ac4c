//! A repository's URL: which transport it uses, and that it carries no secret.

use crate::config::reader::Problem;
use crate::config::reader::values::{Given, text};

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Ssh,
    Https,
    Http,
    File,
}

/// A URL that has been checked.
#[derive(Debug)]
pub(super) struct RepositoryUrl {
    pub text: String,
    pub transport: Transport,
}

/// The forms that are taken, for messages.
const FORMS: &str = "write ssh://git@HOST:PORT/owner/name.git, git@HOST:owner/name.git, \
                     https://HOST/owner/name.git or file:///PATH";

/// Reads a URL of Git (`git-clone(1)`, section GIT URLS). No message repeats it: it may hold a password.
pub(super) fn repository_url(given: Given<'_>) -> Result<RepositoryUrl, Problem> {
    let text = text(given)?;
    let transport = transport(&text)?;
    Ok(RepositoryUrl { text, transport })
}

fn transport(url: &str) -> Result<Transport, Problem> {
    let refuse = |why: &str| {
        Err(Problem::new(
            "this is not an url of a repository",
            why,
            FORMS,
        ))
    };
    if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return refuse("it holds white space");
    }
    if url.starts_with('-') {
        return refuse("what begins with `-` is an option");
    }
    if url.starts_with('/') || url.starts_with('.') {
        return refuse("it is a path");
    }
    if !url.contains("://") {
        return scp_form(url);
    }
    let parsed = match url::Url::parse(url) {
        Ok(parsed) => parsed,
        Err(error) => return refuse(&error.to_string()),
    };
    let transport = match parsed.scheme() {
        "ssh" => Transport::Ssh,
        "https" => Transport::Https,
        "http" => Transport::Http,
        "file" => Transport::File,
        "git" => return refuse("the git protocol knows neither who we are nor who answers"),
        _ => return refuse("its scheme is not ssh, https, http or file"),
    };
    let user_is_secret = !parsed.username().is_empty() && transport != Transport::Ssh;
    if parsed.password().is_some() || user_is_secret {
        return Err(password_within());
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return refuse("it has a `?` or `#`, which Git does not know");
    }
    // For http the parser takes the first name of the path where the host is missing (<https://url.spec.whatwg.org>).
    let no_host = url.contains(":///") || parsed.host_str().is_none_or(str::is_empty);
    if transport != Transport::File && no_host {
        return refuse("the host is missing");
    }
    if parsed.path().trim_matches('/').is_empty() {
        return refuse("the path of the repository is missing");
    }
    Ok(transport)
}

/// `[user@]host:path`, as scp writes it.
fn scp_form(url: &str) -> Result<Transport, Problem> {
    match url.split_once(':') {
        Some((_, path)) if path.contains('@') => Err(password_within()),
        Some((host, path)) if !host.is_empty() && !path.is_empty() && !host.contains('/') => {
            Ok(Transport::Ssh)
        }
        _ => Err(Problem::new(
            "this is not an url of a repository",
            "it has no scheme, and no host before a colon",
            FORMS,
        )),
    }
}

fn password_within() -> Problem {
    Problem::new(
        "the url holds a password or a token",
        "urls reach logs, process lists and Git's own files",
        "put it in a file that only reconcile can read, name that with token_file, and remove it from the url; \
         consider it known, and make a new one",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Transport, Problem> {
        repository_url(Given::Text(url)).map(|url| url.transport)
    }

    #[test]
    fn the_urls_of_git_are_known_by_their_transport() {
        for (url, transport) in [
            (
                "ssh://git@gitea.example:2222/infra-team/infra.git",
                Transport::Ssh,
            ),
            ("git@gitea.example:infra-team/infra.git", Transport::Ssh),
            ("gitea-alias:infra-team/infra.git", Transport::Ssh),
            ("ssh://gitea-alias/infra-team/infra.git", Transport::Ssh),
            (
                "https://gitea.example/infra-team/infra.git",
                Transport::Https,
            ),
            (
                "http://127.0.0.1:3000/infra-team/infra.git",
                Transport::Http,
            ),
            ("file:///srv/git/infra.git", Transport::File),
        ] {
            assert_eq!(read(url).ok(), Some(transport), "{url}");
        }
    }

    #[test]
    fn what_is_no_url_of_a_repository_is_refused() {
        for url in [
            "",
            "/srv/git/infra.git",
            "./infra",
            "infra-team/infra",
            "gitea.example/a:b",
            "--upload-pack=evil",
            "ext::sh -c evil",
            "git://gitea.example/a/b",
            "ftp://gitea.example/a/b",
            "https://gitea.example",
            "https:///a/b",
            "ssh://git@gitea.example:99999/a/b",
            "https://gitea.example/a/b?token=hunter2",
            "git@gitea.example:",
        ] {
            assert!(read(url).is_err(), "{url}");
        }
    }

    #[test]
    fn an_url_with_a_password_is_refused_without_repeating_it() {
        for url in [
            "https://me:hunter2@gitea.example/a/b",
            "https://hunter2@gitea.example/a/b",
            "ssh://git:hunter2@gitea.example/a/b",
            "git:hunter2@gitea.example:a/b",
        ] {
            let diagnostic =
                read(url).map_err(|problem| problem.at(crate::config::Origin::File("r".into())));
            let message = diagnostic.unwrap_err().to_string();
            assert!(
                message.contains("token_file") && !message.contains("hunter2"),
                "{message}"
            );
        }
    }
}
