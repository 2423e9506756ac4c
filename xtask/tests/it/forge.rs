//! Generated deliveries beside recorded ones, and git over SSH.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

use anyhow::Result;
use xtask::forge::{Delivering, Delivery, Event, Forge, Hook, Repository, Test};
use xtask::git::Git;
use xtask::process::finish;

/// The bodies that hooks were told, without a receiver: deliveries are lost but logged.
fn infra(forge: &Forge) -> Repository {
    let repository = forge.create("infra-team/infra").unwrap();
    repository
        .add_hook(Hook::new(
            "http://127.0.0.1:9099/hooks/gitea",
            "fixture-secret",
        ))
        .unwrap();
    repository.set_delivering(Delivering::Lost).unwrap();
    repository
}

fn write(repository: &Repository, name: &str, text: &str) {
    fs::write(repository.work().join(name), text).unwrap();
}

fn recorded(name: &str) -> String {
    fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("testbed/gitea/recorded")
            .join(format!("{name}.body")),
    )
    .unwrap()
}

/// What is left of a body when values are taken away: indentation, names in order, and the kind of each value.
/// The elements of lists of strings are left out, for how many files a commit touches is not the body's structure.
fn structure(body: &str) -> Vec<String> {
    let kind = |value: &str| match value.trim_end_matches(',') {
        "null" => "null",
        "true" | "false" => "boolean",
        "[]" => "[",
        value if value.starts_with('"') => "string",
        value if value.starts_with(|first: char| first.is_ascii_digit()) => "number",
        value if value.starts_with('[') => "[",
        _ => "{",
    };
    body.lines()
        .filter_map(|line| {
            let (name, value) = line.split_once("\": ")?;
            Some(format!("{name} {}", kind(value)))
        })
        .collect()
}

fn last(repository: &Repository, event: Event) -> Delivery {
    repository
        .deliveries()
        .unwrap()
        .into_iter()
        .rfind(|delivery| delivery.event == event)
        .unwrap()
}

#[track_caller]
fn assert_like(delivery: &Delivery, name: &str) {
    assert_eq!(
        structure(&delivery.json),
        structure(&recorded(name)),
        "{name}"
    );
}

#[test]
fn a_first_push_is_told_as_a_new_branch_and_a_push() -> Result<()> {
    let forge = Forge::start()?;
    let repository = infra(&forge);
    write(&repository, "flake.nix", "{ }");
    repository.commit("Start the fleet")?;
    repository.push("main")?;
    let told: Vec<Event> = repository
        .deliveries()?
        .iter()
        .map(|delivery| delivery.event)
        .collect();
    assert_eq!(told, [Event::Create, Event::Push]);
    assert_like(
        &last(&repository, Event::Create),
        "01-push-first-branch-create",
    );
    assert_like(&last(&repository, Event::Push), "02-push-first-branch");
    Ok(())
}

#[test]
fn a_push_is_told_with_its_commits_newest_first_and_five_at_most() -> Result<()> {
    let forge = Forge::start()?;
    let repository = infra(&forge);
    repository.commit("first")?;
    repository.push("main")?;
    write(&repository, "naïve-höst.nix", "{ }");
    repository.commit("Grüße an 日本 🚀 & <ops> \"quoted\"\n\nkörper")?;
    repository.push("main")?;
    let push = last(&repository, Event::Push);
    assert_like(&push, "04-push-unicode");
    assert!(
        push.json.contains("\"naïve-höst.nix\"")
            && push.json.contains("& <ops> \\\"quoted\\\"\\n\\nkörper\\n")
    );
    for number in 0..7 {
        repository.commit(&format!("step {number}"))?;
    }
    repository.push("main")?;
    let json: serde_json::Value = serde_json::from_str(&last(&repository, Event::Push).json)?;
    assert_eq!(json["total_commits"], 7);
    assert_eq!(json["commits"].as_array().map(Vec::len), Some(5));
    assert_eq!(json["commits"][0]["message"], "step 6\n");
    Ok(())
}

#[test]
fn a_new_branch_counts_ten_commits_at_most_and_none_that_another_branch_has() -> Result<()> {
    let forge = Forge::start()?;
    let repository = infra(&forge);
    repository.commit("first")?;
    repository.push("main")?;
    repository.push("hosts/cyt-pi")?;
    assert_like(&last(&repository, Event::Push), "33-push-three-refs");
    for number in 0..12 {
        write(&repository, "n", &number.to_string());
        repository.commit("step")?;
    }
    repository.push("feat/test")?;
    assert_like(
        &last(&repository, Event::Push),
        "07-push-new-branch-25-commits",
    );
    let json: serde_json::Value = serde_json::from_str(&last(&repository, Event::Push).json)?;
    assert_eq!(json["total_commits"], 10);
    Ok(())
}

#[test]
fn a_forced_push_back_has_no_commits_and_a_deleted_branch_is_no_push() -> Result<()> {
    let forge = Forge::start()?;
    let repository = infra(&forge);
    repository.commit("first")?;
    repository.commit("second")?;
    repository.push("main")?;
    repository.push("feat/test")?;
    repository.git(&["reset", "--quiet", "--hard", "HEAD^"])?;
    repository.push_forced("feat/test")?;
    assert_like(&last(&repository, Event::Push), "20-push-force-rewind");
    let before = repository.deliveries()?.len();
    repository.delete_branch("feat/test")?;
    let told = repository.deliveries()?;
    assert_eq!(told.len(), before + 1);
    assert_like(&last(&repository, Event::Delete), "40-delete-branch");
    Ok(())
}

#[test]
fn tags_are_told_as_gitea_tells_them() -> Result<()> {
    let forge = Forge::start()?;
    let repository = infra(&forge);
    repository.commit("first")?;
    repository.push("main")?;
    repository.push_refs(&["HEAD:refs/tags/v1"])?;
    assert_like(&last(&repository, Event::Push), "12-push-tag-light");
    assert_like(
        &last(&repository, Event::Create),
        "14-push-tag-light-create",
    );
    repository.push_refs(&["--delete", "refs/tags/v1"])?;
    assert_like(&last(&repository, Event::Push), "41-delete-tag-push");
    assert_like(&last(&repository, Event::Delete), "43-delete-tag");
    Ok(())
}

#[test]
fn test_deliveries_and_redeliveries_look_as_gitea_makes_them() -> Result<()> {
    let forge = Forge::start()?;
    let repository = infra(&forge);
    repository.commit("first")?;
    repository.push("main")?;
    repository.test_delivery(&Test::Api {
        reference: "refs/heads/main".to_owned(),
    })?;
    assert_like(&last(&repository, Event::Push), "44-test-delivery-push");
    repository.test_delivery(&Test::Browser)?;
    let tested = last(&repository, Event::Push);
    assert_like(&tested, "48-test-delivery-from-the-browser");
    let again = repository.redeliver(&tested)?;
    assert_eq!(again.json, tested.json);
    assert_ne!(again.uuid, tested.uuid);
    Ok(())
}

#[test]
fn what_a_receiver_answers_is_in_the_log() -> Result<()> {
    let receiver = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/hook", receiver.local_addr()?);
    let served = std::thread::spawn(move || -> Result<String> {
        let (mut stream, _) = receiver.accept()?;
        let mut head = [0; 200];
        let count = stream.read(&mut head)?;
        stream.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")?;
        Ok(String::from_utf8_lossy(&head[..count]).into_owned())
    });
    let forge = Forge::start()?;
    let repository = forge.create("infra-team/infra")?;
    repository.add_hook(Hook {
        events: vec![Event::Push],
        ..Hook::new(&url, "s")
    })?;
    repository.commit("first")?;
    repository.push("main")?;
    assert!(
        served
            .join()
            .unwrap()?
            .starts_with("POST /hook HTTP/1.1\r\nHost: 127.0.0.1:")
    );
    assert_eq!(
        repository
            .deliveries()?
            .iter()
            .map(|delivery| delivery.status)
            .collect::<Vec<_>>(),
        [Some(202)]
    );
    // Nobody listens any more: a failed delivery does not fail the push.
    repository.commit("second")?;
    repository.push("main")?;
    assert!(last(&repository, Event::Push).error.is_some());
    Ok(())
}

#[test]
fn a_push_that_cannot_be_told_fails() -> Result<()> {
    let forge = Forge::start()?;
    let repository = infra(&forge);
    repository.commit("first")?;
    repository.push("main")?;
    fs::write(repository.bare().join("testbed-forge.json"), "nothing")?;
    repository.commit("second")?;
    let error = repository.push("main").unwrap_err().to_string();
    assert!(error.contains("post-receive failed: error: "), "{error}");
    Ok(())
}

#[test]
fn a_deploy_key_may_fetch_and_nothing_else() -> Result<()> {
    let mut forge = Forge::start()?;
    let repository = infra(&forge);
    let revision = repository.commit("first")?;
    repository.push("main")?;
    let ssh = format!(
        "ssh -F none -i {} -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile={}",
        forge.deploy_key().display(),
        forge.known_hosts().display()
    );
    let git = |arguments: &[&str]| {
        let mut command = Git::new(repository.work()).command(arguments);
        finish(command.env("GIT_SSH_COMMAND", &ssh))
    };
    let listed = git(&["ls-remote", &repository.ssh_url()?])?;
    assert!(
        String::from_utf8_lossy(&listed.stdout).contains(&revision),
        "{listed:?}"
    );
    let missing = git(&["ls-remote", &forge.url("infra-team/nothing")])?;
    assert!(
        String::from_utf8_lossy(&missing.stderr).contains("Cannot find repository"),
        "{missing:?}"
    );
    let pushed = git(&["push", &repository.ssh_url()?, "HEAD:refs/heads/other"])?;
    assert!(
        String::from_utf8_lossy(&pushed.stderr).contains("not authorized to write"),
        "{pushed:?}"
    );
    forge.stop_ssh()?;
    assert!(
        !git(&["ls-remote", &repository.ssh_url()?])?
            .status
            .success()
    );
    forge.start_ssh()?;
    assert!(
        git(&["ls-remote", &repository.ssh_url()?])?
            .status
            .success()
    );
    Ok(())
}
