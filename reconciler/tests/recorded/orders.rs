//! What a person says to the program where no daemon runs, and what it leaves in the history.

use serde_json::Value;

use crate::record::Record;
use crate::scene::Scene;

/// What is appended to the history by the tests of this file.
const NEW_ENTRIES: &str = "history --json --limit 60";

#[test]
fn suspensions_and_pins_are_begun_and_ended_and_leave_history() {
    let (scene, mut record) = (Scene::new(), Record::default());
    let told = [
        "suspend --host cyt-pi --why 'a new disk'",
        "suspend --host cyt-pi --why 'a new disk'",
        "suspend --host cyt-pi --why 'a new fan'",
        "suspend --host spare --host tester --why 'both of them'",
        "resume --host cyt-pi --host lazyworkhorse --why 'it is in'",
        "resume --host cyt-pi --why 'it is in'",
        "unpin --host printer --host workbench --host cyt-pi",
        "unpin --host printer",
        "suspend --all --why 'nobody is there'",
        "resume --all --why 'all are back'",
        "unpin --all",
        "history --kind suspend --limit 5",
        "history --host cyt-pi --limit 5",
        "history --host printer --limit 3",
        "history --kind unpin",
    ];
    record.text("holds.txt", &scene.transcript(&told));
    record.json("holds.json", &scene.json(&[NEW_ENTRIES]));
    let hosts = ["cyt-pi", "printer", "spare", "workbench"];
    record.json("holds-status.json", &status_of(&scene, &hosts));
    record.finish();
}

#[test]
fn an_order_for_a_host_that_does_not_answer_says_so_and_its_pin_holds() {
    let (scene, mut record) = (Scene::new(), Record::default());
    let told = [
        "--host lazyworkhorse",
        "--host uConsole --force",
        "--host spare",
        "--host spare --branch try-this",
        "--host spare --revision 78f76367",
        "--host spare --revision e6e3760770b8565bca07881f15e8fd8b1313a81a --action test",
        "--host spare --branch main --action boot",
        "--host lazyworkhorse --branch try-this --action dry-activate",
        "--host sandbox",
        "--host sandbox --force",
        "--host kiosk --force",
        "--host vault",
        "--host vault --force",
        "--host attic",
        "--host fresh",
        "--host moved",
        "reboot --host tester",
        "reboot --host kernel --force",
        "rollback --host cyt-pi",
        "rollback --host cyt-pi --force",
        "rollback --host cyt-pi --to e6e3760",
        "rollback --host tester --to d78633bceb063bed4382935c53397e6a94adc8da",
        "unpin --host cyt-pi",
        "history --host spare --limit 8",
        "history --host cyt-pi --limit 5",
        "history --host sandbox --limit 2",
        "history --host fresh",
        "history --host moved",
    ];
    record.text("orders.txt", &scene.transcript(&told));
    let json = [
        "--host lazyworkhorse --json",
        "--host spare --branch try-this --json",
        "--host vault --json",
        "--host kiosk --json",
        "rollback --host cyt-pi --json",
        NEW_ENTRIES,
    ];
    record.json("orders.json", &scene.json(&json));
    let hosts = ["cyt-pi", "fresh", "moved", "sandbox", "spare", "tester"];
    record.json("orders-status.json", &status_of(&scene, &hosts));
    record.finish();
}

#[test]
fn an_order_to_build_needs_no_host_and_says_what_went_wrong_here() {
    let (scene, mut record) = (Scene::new(), Record::default());
    let told = [
        "--host build-wanted",
        "--host build-done",
        "--host build-suspended",
        "--host build-suspended --force",
        "--host build-failed",
        "--host build-failed --force",
        "--host build-backing-off",
        "--host build-not-evaluated",
        "--host build-without-nix",
        "--host lazyworkhorse --action build",
        "--host lazyworkhorse --revision e2a3f93 --action build",
        "history --host build-wanted",
        "history --host lazyworkhorse --limit 3",
    ];
    record.text(
        "builds.txt",
        &without_next_attempts(&scene.transcript(&told)),
    );
    let json = [
        "--host build-wanted --json",
        "--host build-not-evaluated --json",
    ];
    record.json("builds.json", &scene.json(&json));
    let hosts = ["build-failed", "build-wanted", "build-without-nix"];
    record.json("builds-status.json", &status_of(&scene, &hosts));
    record.finish();
}

/// What `status --json` says of some hosts.
fn status_of(scene: &Scene, hosts: &[&str]) -> Value {
    let status = scene.normal.json(&scene.reconcile("status --json").stdout);
    let all = status["hosts"].as_array().unwrap().iter();
    let is_one = |one: &&Value| hosts.contains(&one["host"].as_str().unwrap());
    all.filter(is_one).cloned().collect()
}

/// The backoff of a failed attempt begins now, and only its time of day is shown.
pub fn without_next_attempts(text: &str) -> String {
    const SAID: &str = "next attempt ";
    let mut parts = text.split(SAID);
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let of_a_clock = |c: char| c.is_ascii_digit() || c == ':';
        let rest = part.trim_start_matches(of_a_clock);
        let said = if rest.len() == part.len() {
            ""
        } else {
            "<time of day>"
        };
        shown.push_str(&format!("{SAID}{said}{rest}"));
    }
    shown
}

#[test]
fn of_several_hosts_the_worst_counts() {
    let scene = Scene::new();
    for (words, exit) in [
        ("--host build-suspended --host vault", 6),
        ("--host vault --host lazyworkhorse", 5),
        ("--host lazyworkhorse --host build-done", 3),
    ] {
        let ran = scene.reconcile(words);
        assert_eq!(ran.exit, exit, "{}", ran.told());
    }
}
