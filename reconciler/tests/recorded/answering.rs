//! Hosts that answer, as far as they can without Nix: what is decided about each, in `plan` and by a pass of the daemon,
//! and what that leaves in the history and in their documents. What would be built is not, for there is no Nix.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::daemon::{Daemon, wait_until};
use crate::database;
use crate::orders::without_next_attempts;
use crate::record::{Record, folder};
use crate::scene::{Scene, written};
use crate::served::{log, new_entries};
use crate::sshd::Sshd;

/// What these hosts would go back to is known.
const REFUGES: &str = "\
INSERT INTO built (repository, attribute, revision, derivation, toplevel, system) VALUES
('infra-team/infra', '.#rolled-failed', 'd78633bceb063bed4382935c53397e6a94adc8da',
 '/nix/store/2222bbbb0c2wdbdjv3dsqnw5q1j9vkdk-nixos-system-rolled-failed-26.05.2.drv',
 '/nix/store/2222aaaa0c2wdbdjv3dsqnw5q1j9vkdk-nixos-system-rolled-failed-26.05.2', 'x86_64-linux'),
('infra-team/infra', '.#rolled-probe', 'd78633bceb063bed4382935c53397e6a94adc8da',
 '/nix/store/2222bbbb0c2wdbdjv3dsqnw5q1j9vkdk-nixos-system-rolled-probe-26.05.2.drv',
 '/nix/store/2222aaaa0c2wdbdjv3dsqnw5q1j9vkdk-nixos-system-rolled-probe-26.05.2', 'x86_64-linux');";

/// As many hosts have rolled the wanted commit back that the others would wait.
const UNBRAKED: &str = "limits.rollbacks = 100\n";

/// Its reboot would be carried out.
const KERNEL: &str = "[hosts.kernel]\n";
const FROZEN: &str = "freezes = [{ from = \"2000-01-01\", to = \"2100-01-01\", time_zone = \"UTC\", why = \"nobody is there\" }]\n";

/// The hosts for which a system would be built.
const DEPLOYED: [&str; 7] = [
    "attic",
    "brake",
    "ended-superseded",
    "lazyworkhorse",
    "newcomer",
    "newer-commit",
    "tester",
];

/// The hosts that answer.
fn hosts() -> Vec<String> {
    let answers = fs::read_dir(folder().join("scene/answers")).unwrap();
    let name = |file: fs::DirEntry| file.file_name().into_string().unwrap();
    let mut hosts: Vec<String> = answers.map(|file| name(file.unwrap())).collect();
    hosts.sort();
    hosts
}

/// The fleet without those that do not answer.
fn fleet() -> (Scene, Sshd) {
    let (scene, hosts) = (Scene::new(), hosts());
    let text = written("fleet.toml").replace(KERNEL, &format!("{KERNEL}{FROZEN}"));
    let mut is_of_the_fleet = true;
    let lines = text.split_inclusive('\n').filter(|line| {
        if let Some(name) = line.strip_prefix("[hosts.") {
            is_of_the_fleet = hosts.iter().any(|host| name == format!("{host}]\n"));
        }
        is_of_the_fleet
    });
    scene.write_config(&format!("{UNBRAKED}{}", lines.collect::<String>()));
    scene.remember(REFUGES);
    let sshd = Sshd::start(&scene, &hosts);
    (scene, sshd)
}

#[test]
fn plan_says_what_would_be_done_about_a_host_that_answers() {
    let (scene, _sshd) = fleet();
    let mut record = Record::default();
    record.json("answering/plan.json", &scene.json(&["plan --all --json"]));
    scene.take_config("fleet.toml");
    let braked = "plan --host brake --host lazyworkhorse --host router --host rolled-probe";
    record.text("answering/plan.txt", &scene.transcript(&[braked]));
    record.finish();
}

#[test]
fn a_pass_over_a_host_that_answers_is_shown_and_remembered() {
    let (scene, _sshd) = fleet();
    let mut record = Record::default();
    let mut daemon = Daemon::start(&scene);
    wait_until("it has passed over every host", || {
        let status = daemon.get("/v1/status");
        let hosts = status["hosts"].as_array().unwrap();
        hosts.iter().all(is_passed_over).then_some(())
    });
    record.json(
        "answering/status.json",
        &daemon.told("GET", "/v1/status", ""),
    );
    record.json("answering/history.json", &new_entries(&daemon));
    let told = scene.transcript(&["status", "history --kind drift", "history --host rebooting"]);
    record.text("answering/status.txt", &without_next_attempts(&told));
    assert_eq!(daemon.stop().code(), Some(0));
    record.json("answering/log.json", &log(&scene, &daemon));
    let mut documents = database::documents(&scene.path("state/state.db"));
    documents.retain(|host, _| hosts().contains(host));
    let read = |(host, document): (String, Value)| (host, scene.normal.json(&document.to_string()));
    let documents: BTreeMap<String, Value> = documents.into_iter().map(read).collect();
    record.json("answering/documents.json", &json!(documents));
    record.finish();
}

/// Whether nothing more comes of a first pass over a host.
fn is_passed_over(host: &Value) -> bool {
    // Times are told as RFC 3339, so that their texts are in order; the scene's are of January.
    let is_of_this_run = |field: &str| host[field].as_str().is_some_and(|at| at > "2026-02");
    let says = |words: &str| {
        host["unreachable"]
            .as_str()
            .is_some_and(|why| why.contains(words))
    };
    let name = host["host"].as_str().unwrap();
    match name {
        "sandbox" => says("cannot be read"),
        "stranger" => says("is 00000000000000000000000000000003"),
        "kernel" => is_of_this_run("last_seen") && !host["reboot_waits"].is_null(),
        name if DEPLOYED.contains(&name) => is_of_this_run("outcome_at"),
        _ => is_of_this_run("last_seen") && host["reboot_waits"].is_null(),
    }
}

#[test]
fn an_order_for_a_host_that_answers_is_carried_out_as_far_as_it_goes() {
    let (scene, _sshd) = fleet();
    let mut record = Record::default();
    let told = [
        "--host cyt-pi",
        "--host sick",
        "--host lazyworkhorse",
        "--host lazyworkhorse",
        "--host uConsole",
        "--host stranger",
        "--host stranger --force",
        "--host rolled-failed",
        "--host rolled-failed --force",
        "--host frozen",
        "--host frozen --force",
        "--host frozen --action build",
        "--host spare",
        "--host builder",
        "--host kernel",
        "--host dry",
        "--host rebooting",
        "--host vault --force",
        "reboot --host kernel",
        "reboot --host held-locked",
        "rollback --host cyt-pi",
        "rollback --host cyt-pi --to 41",
        "history --host stranger",
        "history --host rebooting",
        "history --host cyt-pi --limit 3",
    ];
    record.text("answering/orders.txt", &scene.transcript(&told));
    let json = [
        "--host cyt-pi --json",
        "--host away --json",
        "--host uConsole --json",
    ];
    record.json("answering/orders.json", &scene.json(&json));
    record.finish();
}
