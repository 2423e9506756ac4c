//! The document that is kept of each host, in each of its forms: what `status` says of it, and what a pass of the
//! daemon leaves of it. `documents/` has a file for each way in which an attempt ends, for each reason of a rollback, for
//! each that holds a reboot up, and for each that a host waits for; a host is called as its file.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::database;
use crate::record::{Record, folder};
use crate::scene::{Scene, written};
use crate::served::pass_over_every_host;

/// What all their hosts want: the tip of `main`.
const WANTED: &str = "78f76367f8f6cb91002440c1a6c5cad575f28089";

/// What a host runs once it is there, where its document does not say.
const TOPLEVEL: &str = "/nix/store/3333aaaa0c2wdbdjv3dsqnw5q1j9vkdk-nixos-system-26.05.3";

/// The documents, by host.
fn documents() -> BTreeMap<String, String> {
    let files = fs::read_dir(folder().join("documents")).unwrap();
    let read = |file: fs::DirEntry| {
        let host = file
            .path()
            .file_stem()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        (host, fs::read_to_string(file.path()).unwrap())
    };
    let mut documents: BTreeMap<String, String> = files.map(|file| read(file.unwrap())).collect();
    documents.insert("no-document".to_owned(), "{".to_owned());
    documents
}

/// A fleet of which nothing is known but these documents.
fn fleet_of(documents: &BTreeMap<String, String>) -> Scene {
    let scene = Scene::new();
    let mut config = written("fleet.toml")
        .split_once("[hosts.")
        .unwrap()
        .0
        .to_owned();
    let mut sql = String::new();
    for (host, document) in documents {
        let value: Value = serde_json::from_str(document).unwrap_or_default();
        let action = value["target"]["action"].as_str().unwrap_or("switch");
        config.push_str(&format!("[hosts.{host}]\naction = \"{action}\"\n"));
        let toplevel = value["wanted"].as_str().unwrap_or(TOPLEVEL);
        let document = document.replace('\'', "''");
        sql.push_str(&format!(
            "INSERT INTO wishes (host, repository, branch, revision, branch_state, cause, requested_at, recorded_at) \
             VALUES ('{host}', 'infra-team/infra', 'main', '{WANTED}', 'present', 'poll', 1768464100000000, 1768464101000000);
             INSERT INTO host_memories (host, document) VALUES ('{host}', '{document}');
             INSERT INTO built (repository, attribute, revision, derivation, toplevel, system) \
             VALUES ('infra-team/infra', '.#{host}', '{WANTED}', '{toplevel}.drv', '{toplevel}', 'x86_64-linux');\n"
        ));
    }
    scene.write_config(&config);
    scene.remember(&sql);
    scene
}

#[test]
fn status_tells_what_each_document_says() {
    let (scene, mut record) = (fleet_of(&documents()), Record::default());
    record.json("documents/status.json", &scene.json(&["status --json"]));
    record.text("documents/status.txt", &scene.transcript(&["status"]));
    record.finish();
}

#[test]
fn a_pass_keeps_what_each_document_says_but_for_what_it_finds_out() {
    let (given, mut record) = (documents(), Record::default());
    let scene = fleet_of(&given);
    let mut daemon = pass_over_every_host(&scene);
    assert_eq!(daemon.stop().code(), Some(0));
    let mut changes = BTreeMap::new();
    for (host, kept) in database::documents(&scene.path("state/state.db")) {
        let Some(before) = given.get(&host) else {
            continue;
        };
        let before: Value = serde_json::from_str(before).unwrap_or_default();
        let kept = scene.normal.json(&kept.to_string());
        changes.insert(host, changed(&before, &kept));
    }
    record.json("documents/after-a-pass.json", &json!(changes));
    record.finish();
}

/// The fields that are not as they were: what they are now, or that they are gone.
fn changed(before: &Value, after: &Value) -> Value {
    let fields = after.as_object().unwrap();
    let mut changed = BTreeMap::new();
    for (field, value) in fields {
        if before.get(field) != Some(value) {
            changed.insert(field.clone(), value.clone());
        }
    }
    for field in before.as_object().into_iter().flat_map(|one| one.keys()) {
        if !fields.contains_key(field) {
            changed.insert(field.clone(), json!("<gone>"));
        }
    }
    json!(changed)
}
