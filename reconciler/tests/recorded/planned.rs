//! `plan` for hosts that do not answer.

use crate::record::Record;
use crate::scene::Scene;

#[test]
fn plan_says_what_would_be_done_and_changes_nothing() {
    let (scene, mut record) = (Scene::new(), Record::default());
    let before = scene.json(&["history --json --limit 1000", "status --json"]);
    record.json(
        "plan.json",
        &scene.json(&[
            "plan --all --json",
            "plan --json --host cyt-pi --host vault --host cyt-pi",
        ]),
    );
    record.text(
        "plan.txt",
        &scene.transcript(&[
            "plan --all",
            "plan --host build-wanted --host attic",
            "plan --host moved",
            "plan --host cyt-p",
            "plan --host uconsole",
            "plan",
            "plan --all --host cyt-pi",
        ]),
    );
    let after = scene.json(&["history --json --limit 1000", "status --json"]);
    assert_eq!(after, before);
    record.finish();
}
