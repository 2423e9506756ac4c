//! The bodies of deliveries, byte for byte as Gitea 1.26 writes them: fields in its order, two-space indent.
//!
//! The repository and user objects are recorded text with holes; a test compares the whole with recorded deliveries.

use anyhow::Result;
use serde::Serialize;

use super::commit::{Commit, Person, Verification, ZEROS};
use super::hook::{Event, Settings};
use crate::git::Git;

const REPOSITORY: &str = include_str!("../../testbed/gitea/repository.json");
const USER: &str = include_str!("../../testbed/gitea/user.json");

/// How many commits Gitea lists: `[ui] FEED_MAX_COMMIT_NUM`.
const LISTED: usize = 5;

/// How many commits Gitea counts in a new branch.
const COUNTED_IN_NEW: &str = "10";

/// One change of a ref, as post-receive is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The old object id, zeros for none.
    pub before: String,
    /// The new object id, zeros for none.
    pub after: String,
    /// The full name.
    pub name: String,
}

/// A test delivery: who asks for one decides how it looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// `POST /repos/{owner}/{repo}/hooks/{id}/tests?ref=…`: the real tip, `before` = `after`, the ref as the caller wrote it.
    Api {
        /// What the caller wrote.
        reference: String,
    },
    /// The button in the browser: zeros and a made-up commit.
    Browser,
}

/// Whom the `permissions` in a repository object are for: in pushes and deletions the pusher's, elsewhere nobody's.
#[derive(Clone, Copy)]
enum Seen {
    ByPusher,
    ByNobody,
}

/// The bodies that a change makes Gitea send, in its order.
pub(super) fn of_change(
    git: &Git,
    settings: &Settings,
    change: &Change,
) -> Result<Vec<(Event, String)>> {
    let (kind, short) = match (
        change.name.strip_prefix("refs/heads/"),
        change.name.strip_prefix("refs/tags/"),
    ) {
        (Some(short), _) => ("branch", short),
        (_, Some(short)) => ("tag", short),
        _ => return Ok(Vec::new()),
    };
    let (created, deleted) = (change.before == ZEROS, change.after == ZEROS);
    if kind == "branch" {
        if deleted {
            return Ok(vec![delete(git, settings, short, kind)?]);
        }
        let pushed = push(git, settings, change)?;
        return Ok(if created {
            vec![create(git, settings, short, kind, &change.after)?, pushed]
        } else {
            vec![pushed]
        });
    }
    if deleted {
        return Ok(vec![
            push(git, settings, change)?,
            delete(git, settings, short, kind)?,
        ]);
    }
    // A moved tag is told as a new one.
    let moved = Change {
        before: ZEROS.to_owned(),
        ..change.clone()
    };
    Ok(vec![
        push(git, settings, &moved)?,
        create(git, settings, short, kind, &change.after)?,
    ])
}

/// The body of a test delivery.
pub(super) fn of_test(git: &Git, settings: &Settings, test: &Test) -> Result<(Event, String)> {
    let web = settings.web();
    let (reference, commit) = match test {
        Test::Api { reference } => {
            let tip = git.run(&["rev-parse", &format!("{reference}^{{commit}}")])?;
            let mut commit = git.read_commit(&tip, &web)?;
            commit.verification = Some(Verification {
                verified: false,
                reason: "gpg.error.not_signed_commit".to_owned(),
                signature: String::new(),
                signer: None,
                payload: String::new(),
            });
            (
                reference.clone(),
                Commit {
                    added: None,
                    removed: None,
                    modified: None,
                    ..commit
                },
            )
        }
        Test::Browser => {
            let ghost = Person {
                name: "Ghost".to_owned(),
                email: String::new(),
                username: String::new(),
            };
            let commit = Commit {
                id: ZEROS.to_owned(),
                message: "This is a fake commit".to_owned(),
                url: format!("{web}/commit/{ZEROS}"),
                author: ghost.clone(),
                committer: ghost,
                verification: None,
                timestamp: "0001-01-01T00:00:00Z".to_owned(),
                added: None,
                removed: None,
                modified: None,
            };
            (format!("refs/heads/{}", settings.default_branch), commit)
        }
    };
    let id = commit.id.clone();
    let pushed = Pushed {
        change: Change {
            before: id.clone(),
            after: id.clone(),
            name: reference,
        },
        compare_url: format!("{web}/compare/{id}...{id}"),
        total: 1,
        head: Some(commit.clone()),
        commits: vec![commit],
    };
    pushed.body(git, settings, Seen::ByNobody)
}

/// What a push says.
struct Pushed {
    change: Change,
    compare_url: String,
    commits: Vec<Commit>,
    total: usize,
    head: Option<Commit>,
}

impl Pushed {
    fn body(&self, git: &Git, settings: &Settings, seen: Seen) -> Result<(Event, String)> {
        let text = object(&[
            ("ref", pretty(&self.change.name)?),
            ("before", pretty(&self.change.before)?),
            ("after", pretty(&self.change.after)?),
            ("compare_url", pretty(&self.compare_url)?),
            ("commits", pretty(&self.commits)?),
            ("total_commits", self.total.to_string()),
            ("head_commit", pretty(&self.head)?),
            ("repository", repository(git, settings, seen)?),
            ("pusher", user(settings)),
            ("sender", user(settings)),
        ]);
        Ok((Event::Push, text))
    }
}

fn push(git: &Git, settings: &Settings, change: &Change) -> Result<(Event, String)> {
    let web = settings.web();
    let root = format!("{}/", settings.root_url);
    let compare = |base: &str| format!("{web}/compare/{base}...{}", change.after);
    let head = match git.commit_id(&change.after) {
        Some(id) if change.after != ZEROS => Some(git.read_commit(&id, &web)?),
        _ => None,
    };
    let is_tag = change.name.starts_with("refs/tags/");
    let (ids, compare_url) = if change.after == ZEROS {
        (Vec::new(), root)
    } else if is_tag {
        (Vec::new(), compare(&change.before))
    } else if change.before == ZEROS {
        let ids = only_here(git, change)?;
        let url = match ids.last() {
            None => compare(&settings.default_branch),
            Some(oldest) => git
                .commit_id(&format!("{oldest}^"))
                .map_or(root, |parent| compare(&parent)),
        };
        (ids, url)
    } else {
        let text = git.run(&["rev-list", &format!("{}..{}", change.before, change.after)])?;
        (lines(&text), compare(&change.before))
    };
    let commits = ids
        .iter()
        .take(LISTED)
        .map(|id| git.read_commit(id, &web))
        .collect::<Result<_>>()?;
    Pushed {
        change: change.clone(),
        compare_url,
        commits,
        total: ids.len(),
        head,
    }
    .body(git, settings, Seen::ByPusher)
}

/// The newest commits that no other branch has.
fn only_here(git: &Git, change: &Change) -> Result<Vec<String>> {
    let own = change
        .name
        .strip_prefix("refs/heads/")
        .unwrap_or(&change.name);
    let exclude = format!("--exclude={own}");
    let text = git.run(&[
        "rev-list",
        "--max-count",
        COUNTED_IN_NEW,
        &change.after,
        "--not",
        &exclude,
        "--branches",
    ])?;
    Ok(lines(&text))
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn create(
    git: &Git,
    settings: &Settings,
    short: &str,
    kind: &str,
    sha: &str,
) -> Result<(Event, String)> {
    let text = object(&[
        ("sha", pretty(&sha)?),
        ("ref", pretty(&short)?),
        ("ref_type", pretty(&kind)?),
        ("repository", repository(git, settings, Seen::ByNobody)?),
        ("sender", user(settings)),
    ]);
    Ok((Event::Create, text))
}

fn delete(git: &Git, settings: &Settings, short: &str, kind: &str) -> Result<(Event, String)> {
    let text = object(&[
        ("ref", pretty(&short)?),
        ("ref_type", pretty(&kind)?),
        ("pusher_type", pretty(&"user")?),
        ("repository", repository(git, settings, Seen::ByPusher)?),
        ("sender", user(settings)),
    ]);
    Ok((Event::Delete, text))
}

/// The recorded repository object with this repository's values.
fn repository(git: &Git, settings: &Settings, seen: Seen) -> Result<String> {
    let (owner, name) = settings
        .full_name
        .split_once('/')
        .unwrap_or(("", &settings.full_name));
    let branches = git
        .run(&["for-each-ref", "--format=x", "refs/heads"])?
        .lines()
        .count();
    let (permitted, email) = match seen {
        Seen::ByPusher => ("true", String::new()),
        Seen::ByNobody => ("false", format!("2+{owner}@noreply.localhost")),
    };
    Ok(REPOSITORY
        .trim_end()
        .replace("@full_name@", &settings.full_name)
        .replace("@owner@", owner)
        .replace("@owner_email@", &email)
        .replace("@name@", name)
        .replace("@ssh_url@", &settings.ssh_url)
        .replace("@size@", "24")
        .replace("@default_branch@", &settings.default_branch)
        .replace("@branches@", &branches.to_string())
        .replace("@permitted@", permitted)
        .replace("@root@", &settings.root_url))
}

fn user(settings: &Settings) -> String {
    USER.trim_end().replace("@root@", &settings.root_url)
}

/// An object of values that are JSON already, indented for depth 1.
fn object(fields: &[(&str, String)]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("  \"{name}\": {value}"))
        .collect();
    format!("{{\n{}\n}}", fields.join(",\n"))
}

/// JSON with two-space indent, for depth 1. Newlines in it are only between values: those in strings are escaped.
fn pretty(value: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)?.replace('\n', "\n  "))
}
