//! `status` and `history` of a fleet in every situation.

use crate::record::Record;
use crate::scene::Scene;

#[test]
fn status_shows_every_situation_of_a_host() {
    let (scene, mut record) = (Scene::new(), Record::default());
    record.json("status.json", &scene.json(&["status --json"]));
    record.text("status.txt", &scene.transcript(&["status"]));
    record.finish();
}

#[test]
fn history_shows_every_kind_of_entry_with_every_outcome() {
    let (scene, mut record) = (Scene::new(), Record::default());
    let told = [
        "history",
        "history --limit 1000",
        "history --limit 3",
        "history --host lazyworkhorse --limit 1000",
        "history --host cyt-pi",
        "history --host retired-host",
        "history --kind branch",
        "history --kind deployment",
        "history --kind drift",
        "history --kind pin",
        "history --kind reboot",
        "history --kind resume",
        "history --kind suspend",
        "history --kind unpin",
        "history --kind wait",
        "history --kind wish --limit 20",
        "history --kind drift --host half",
        "history --kind pin --host cyt-pi",
        "history --host cyt-p",
        "history --host no-such-name",
        "history --host -",
        "history --kind nonsense",
        "history --limit 0",
        "history --limit 1001",
    ];
    record.text("history.txt", &scene.transcript(&told));
    let json = [
        "history --json --limit 1000",
        "history --json --limit 2",
        "history --json --host kernel",
        "history --json --host kiosk --kind branch",
        "history --json --kind wait",
        "history --json --kind reboot --host cyt-pi --limit 1",
        "history --json --kind drift --host cyt-pi",
    ];
    record.json("history.json", &scene.json(&json));
    record.finish();
}
