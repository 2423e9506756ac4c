//! What real Gitea servers have sent, sent once more to a real daemon: which branch it then looks at, and why.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use xtask::daemon::Daemon;
use xtask::flake::System;
use xtask::forge::Delivering;
use xtask::http::{Address, Answer, request};

use crate::scene::{
    Scene, cause, history, looks, running, status_of, wait_for_looks, wait_until_idle,
};

/// The secret that signed every recording.
const SECRET: &str = "fixture-secret";

/// Gitea's own limit is 5 s.
const ANSWER: Duration = Duration::from_secs(5);

/// A request as it came over the wire.
pub struct Recording {
    name: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Recording {
    pub fn read(name: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Request {
            headers: Vec<(String, String)>,
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../webhook/tests/data/deliveries");
        let headers = fs::read(folder.join(format!("{name}.headers.json")))
            .with_context(|| name.to_owned())?;
        let request: Request = serde_json::from_slice(&headers)?;
        Ok(Self {
            name: name.to_owned(),
            headers: request.headers,
            body: fs::read(folder.join(format!("{name}.body")))?,
        })
    }

    /// The same with one bit of the body changed, every other header and byte as it was.
    fn flipped(mut self, bit: usize) -> Self {
        let bit = bit % (self.body.len() * 8);
        self.body[bit / 8] ^= 1 << (bit % 8);
        self.name = format!("{} with bit {bit} flipped", self.name);
        self
    }

    fn uuid(&self) -> &str {
        let mut headers = self.headers.iter();
        headers
            .find(|(name, _)| name == "X-Gitea-Delivery")
            .map(|(_, value)| value.as_str())
            .unwrap()
    }

    /// Sends it to the daemon's receiver over a connection of its own.
    pub fn send(&self, daemon: &Daemon) -> Result<Answer> {
        let address = Address::parse(&format!("http://{}/hook", daemon.config.webhook))?;
        request("POST", &address, &self.headers, &self.body, ANSWER)
            .with_context(|| self.name.clone())
    }

    fn answered(&self, daemon: &Daemon, status: u16) -> Result<()> {
        let answer = self.send(daemon)?;
        ensure!(answer.status == status, "{}: {answer:?}", self.name);
        Ok(())
    }
}

/// Makes a daemon take recordings for its own.
pub fn trust_recordings(config: &xtask::daemon::Config) {
    fs::write(&config.secret_files[0], SECRET).unwrap();
}

/// A real host on `master`, and one that is never there for each other branch of the recordings.
const HOSTS: [(&str, &str); 3] = [
    ("on-feat-test", "feat/test"),
    ("on-hosts-cyt-pi", "hosts/cyt-pi"),
    ("on-odd", "würze/日本-🚀"),
];

fn scene() -> Result<Scene> {
    let scene = Scene::start_on("master", &["cyt-pi"], |config| {
        trust_recordings(config);
        for (host, branch) in HOSTS {
            *config.host(host) = format!(
                "branch = \"{branch}\"\navailability = \"intermittent\"\ndestinations = [\"ssh://nobody@127.0.0.1:1\"]"
            );
        }
    })?;
    // What the forge itself would tell is signed otherwise, and not the point here.
    scene.repository.set_delivering(Delivering::Lost)?;
    Ok(scene)
}

fn host_on(branch: &str) -> &'static str {
    let known = HOSTS.iter().find(|(_, follows)| *follows == branch);
    known.map_or("cyt-pi", |(host, _)| host)
}

/// A new commit on a branch of the forge that nothing tells of.
fn advance(scene: &Scene, branch: &str, message: &str) -> Result<String> {
    // What Nix calls a store path may hold a dash, but not every branch's or recording's name.
    let version = message.replace(|character: char| !character.is_ascii_alphanumeric(), "-");
    let system = [("cyt-pi", System::new(&version))];
    scene.repository.deploy(branch, message, &system)
}

/// Waits until the daemon wants the branch's commit of its host, and for no other reason than this delivery.
fn wait_until_wanted(
    scene: &Scene,
    recording: &Recording,
    branch: &str,
    commit: &str,
) -> Result<()> {
    let host = host_on(branch);
    scene.wait_for_status(host, &format!("{} to count", recording.name), |status| {
        status["desired_revision"] == commit && status["branch_state"]["state"] == "present"
    })?;
    let cause = cause(&scene.daemon, host)?;
    ensure!(
        cause == format!("delivery {}", recording.uuid()),
        "{}: {cause}",
        recording.name
    );
    Ok(())
}

#[test]
fn recorded_pushes_make_the_daemon_look_at_their_branch() -> Result<()> {
    let scene = scene()?;
    let mut commit = String::new();
    for (name, branch) in [
        ("gitea-1.26/02-push-first-branch", "master"),
        ("gitea-1.26/05-push-unicode.form", "master"),
        (
            "gitea-1.26/06-push-new-branch-25-commits-create",
            "feat/test",
        ),
        ("gitea-1.26/18-push-force", "feat/test"),
        ("gitea-1.26/32-push-three-refs-create", "hosts/cyt-pi"),
        ("gitea-1.26/10-push-odd-branch", "würze/日本-🚀"),
        ("gitea-1.15-dev/16-push-force.form", "feat/test"),
        ("gitea-1.26/38-push-by-web-editor", "master"),
        ("gitea-1.26/46-push-with-authorization-header", "master"),
        ("gitea-1.15-dev/19-push-merge", "master"),
    ] {
        let recording = Recording::read(name)?;
        commit = advance(&scene, branch, name)?;
        recording.answered(&scene.daemon, 202)?;
        wait_until_wanted(&scene, &recording, branch, &commit)?;
    }
    // And what is wanted of the one that is there is done there.
    scene.wait_for_revision(scene.host(), &commit)?;

    // A look at a repository sees all its branches; the delivery speaks for its own.
    advance(&scene, "feat/test", "untold")?;
    let recording = Recording::read("gitea-1.26/33-push-three-refs")?;
    let commit = advance(&scene, "hosts/cyt-pi", "told")?;
    recording.answered(&scene.daemon, 202)?;
    wait_until_wanted(&scene, &recording, "hosts/cyt-pi", &commit)?;
    assert_eq!(cause(&scene.daemon, "on-feat-test")?, "poll");
    Ok(())
}

#[test]
fn a_recorded_deletion_is_looked_at_and_deploys_nothing() -> Result<()> {
    let scene = scene()?;
    let (host, branch) = ("on-feat-test", "feat/test");
    let before = running(scene.host())?;
    for (push, deletion) in [
        (
            "gitea-1.26/07-push-new-branch-25-commits",
            "gitea-1.26/40-delete-branch",
        ),
        (
            "gitea-1.15-dev/06-create-branch",
            "gitea-1.15-dev/21-delete-branch",
        ),
    ] {
        let (push, deletion) = (Recording::read(push)?, Recording::read(deletion)?);
        let commit = advance(&scene, branch, &push.name)?;
        push.answered(&scene.daemon, 202)?;
        wait_until_wanted(&scene, &push, branch, &commit)?;
        scene.repository.delete_branch(branch)?;
        deletion.answered(&scene.daemon, 202)?;
        let status = scene.wait_for_status(host, "the branch to be gone", |status| {
            status["branch_state"]["state"] == "gone"
        })?;
        assert_eq!(status["desired_revision"], commit.as_str());
        let told = &history(&scene.daemon, host, "branch")?[0]["cause"];
        assert_eq!(*told, format!("delivery {}", deletion.uuid()));
    }

    // Late, when the branch is back: the daemon believes git, not the delivery.
    let (push, late) = (
        Recording::read("gitea-1.26/23-push-to-open-pull-request")?,
        Recording::read("gitea-1.26/40-delete-branch")?,
    );
    let commit = advance(&scene, branch, "back")?;
    push.answered(&scene.daemon, 202)?;
    wait_until_wanted(&scene, &push, branch, &commit)?;
    wait_until_idle(&scene.daemon)?;
    let looked = looks(&scene.daemon)?;
    late.answered(&scene.daemon, 202)?;
    wait_for_looks(&scene.daemon, looked, 1.0)?;
    let status = status_of(&scene.daemon, host)?;
    assert_eq!(status["branch_state"]["state"], "present");
    assert_eq!(status["desired_revision"], commit.as_str());
    assert_eq!(running(scene.host())?, before);
    Ok(())
}

#[test]
fn tests_tags_other_events_and_forgeries_make_the_daemon_do_nothing() -> Result<()> {
    let scene = scene()?;
    let before = running(scene.host())?;
    let commit = advance(&scene, "master", "untold")?;
    wait_until_idle(&scene.daemon)?;
    let looked = looks(&scene.daemon)?;
    for (name, status) in [
        ("gitea-1.26/44-test-delivery-push", 202),
        ("gitea-1.26/45-test-delivery-push.form", 202),
        ("gitea-1.26/48-test-delivery-from-the-browser", 202),
        ("gitea-1.15-dev/25-push-api-test-delivery", 202),
        ("gitea-1.26/12-push-tag-light", 200),
        ("gitea-1.26/17-push-tag-annotated-create", 200),
        ("gitea-1.26/43-delete-tag", 200),
        ("gitea-1.26/22-pull-request-opened-pull_request", 200),
        ("gitea-1.26/26-status", 200),
        ("gitea-1.26/51-push-sha256", 200),
        ("gitea-1.26/47-push-without-secret", 403),
    ] {
        Recording::read(name)?.answered(&scene.daemon, status)?;
    }
    let forged = [
        "gitea-1.26/02-push-first-branch",
        "gitea-1.26/03-push-first-branch.form",
        "gitea-1.26/32-push-three-refs-create",
        "gitea-1.26/40-delete-branch",
        "gitea-1.15-dev/19-push-merge",
    ];
    // Spread over the bodies; a prime step gives every bit of a byte its turn.
    for (name, bit) in forged.iter().zip((20_011..).step_by(4_999)) {
        let answer = Recording::read(name)?.flipped(bit).send(&scene.daemon)?;
        assert!((400..500).contains(&answer.status), "{name}: {answer:?}");
    }
    assert_eq!(running(scene.host())?, before);

    // A push that is one is the first thing that makes it look, and the only one.
    let push = Recording::read("gitea-1.26/04-push-unicode")?;
    push.answered(&scene.daemon, 202)?;
    wait_until_wanted(&scene, &push, "master", &commit)?;
    wait_until_idle(&scene.daemon)?;
    assert!(looks(&scene.daemon)? < looked + 2.0);
    scene.wait_for_revision(scene.host(), &commit)?;
    let metrics = scene.daemon.metrics()?;
    let counted = |result| metrics.sum("reconcile_webhook_deliveries_total", &[("result", result)]);
    assert_eq!(counted("accepted") + counted("ignored"), 11.0);
    Ok(())
}
