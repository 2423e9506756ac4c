//! The config: every key that is accepted, and what is said of those that are not.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use toml_span::Value;
use toml_span::value::ValueInner;

use crate::record::Record;
use crate::scene::{Scene, written};

/// Files that `every-key.toml` names, none of them of any use to anybody.
fn write_named_files(scene: &Scene) {
    scene.write_secret("webhook-secret-of-before", "a secret that everybody knew\n");
    scene.write_secret("deploy-key", "-----BEGIN NOTHING-----\nof nobody\n");
    scene.write_secret("gitea-token", "0123456789abcdef\n");
    scene.write_secret("store-key", format!("cache.example:{}==\n", "A".repeat(86)));
    scene.write_secret("known_hosts", "gitea.example ssh-ed25519 AAAA\n");
    // The first byte of an OpenPGP packet.
    scene.write_secret("signers.gpg", [0x99, 0x01]);
}

#[test]
fn every_key_is_accepted() {
    let (scene, mut record) = (Scene::without_state(), Record::default());
    write_named_files(&scene);
    scene.take_config("every-key.toml");
    record.text(
        "config/every-key.txt",
        &scene.transcript(&["check --offline"]),
    );
    scene.take_config("unheard-of.toml");
    let refused = scene.reconcile("check --offline");
    record.text("config/unheard-of.txt", &refused.told());

    let known = keys_known(&refused.told());
    let lines: String = known.iter().map(|key| format!("{key}\n")).collect();
    record.text("config/keys.txt", &lines);
    let mut used = BTreeSet::new();
    collect_keys(
        "",
        &toml_span::parse(&written("every-key.toml")).unwrap(),
        &mut used,
    );
    let forgotten: Vec<&String> = known.symmetric_difference(&used).collect();
    assert!(
        forgotten.is_empty(),
        "every-key.toml has to use {forgotten:?}"
    );
    record.finish();
}

/// The keys that the program says it knows where it refuses another.
fn keys_known(told: &str) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    let mut table = String::new();
    for line in told.lines() {
        if let Some((_, place)) = line.split_once("unknown key `unheard_of` ") {
            table = general(place.trim_start_matches("in [").trim_end_matches(']'));
        }
        if let Some((_, keys)) = line.split_once("known here: ") {
            known.extend(keys.split(", ").map(|key| format!("{table}{key}")));
        }
    }
    known
}

/// What keys of a table begin with, whichever host or repository it is of.
fn general(table: &str) -> String {
    let table = table
        .replace("repositories.\"infra-team/infra\"", "repositories.*")
        .replace("hosts.cyt-pi", "hosts.*");
    let is_list = ["destinations", "freezes", "probes", "windows"]
        .iter()
        .any(|list| table.ends_with(list));
    match table.as_str() {
        "at the top of the file" => String::new(),
        list if is_list => format!("{list}[]."),
        table => format!("{table}."),
    }
}

fn collect_keys(prefix: &str, value: &Value<'_>, keys: &mut BTreeSet<String>) {
    match value.as_ref() {
        ValueInner::Table(table) => {
            for (key, value) in table {
                let is_a_name = matches!(prefix, "repositories." | "hosts.");
                let key = format!("{prefix}{}", if is_a_name { "*" } else { &key.name });
                collect_keys(&format!("{key}."), value, keys);
                if !is_a_name {
                    keys.insert(key);
                }
            }
        }
        ValueInner::Array(elements) => {
            let prefix = format!("{}[].", prefix.trim_end_matches('.'));
            for element in elements {
                collect_keys(&prefix, element, keys);
            }
        }
        _ => {}
    }
}

#[test]
fn every_single_value_may_come_from_the_environment() {
    let (scene, mut record) = (Scene::without_state(), Record::default());
    write_named_files(&scene);
    let text = written("every-key.toml");
    let mut variables = Vec::new();
    collect_variables(
        "RECONCILE",
        &toml_span::parse(&text).unwrap(),
        &mut variables,
    );
    let mut is_of_host_or_repository = false;
    let rest = text.split_inclusive('\n').filter(|line| {
        if line.starts_with('[') {
            is_of_host_or_repository =
                line.starts_with("[hosts.") || line.starts_with("[repositories.");
        }
        is_of_host_or_repository
    });
    scene.write_config(&rest.collect::<String>());
    let names: String = variables
        .iter()
        .map(|(name, _)| format!("{name}\n"))
        .collect();
    let words = "check --offline";
    let mut check = scene.command(words);
    let accepted = scene.run(words, check.envs(variables)).told();
    let mut check = scene.command(words);
    check
        .env("RECONCILE_UNHEARD_OF", "1")
        .env("RECONCILE_DEFAULTS_INTERVALL", "1m")
        .env("RECONCILE_DEFAULTS_INTERVAL", "nonsense")
        .env("RECONCILE_DEFAULTS_REPOSITORY", "")
        .env("RECONCILE_WEBHOOK_LISTEN", "127.0.0.1:9080");
    let refused = scene.run(words, &mut check).told();
    let told = format!("{names}\n{accepted}\n{refused}");
    record.text("config/variables.txt", &told);
    record.finish();
}

/// The variables that say what a file says, outside of its tables of hosts and repositories.
fn collect_variables(name: &str, value: &Value<'_>, variables: &mut Vec<(String, String)>) {
    let text = match value.as_ref() {
        ValueInner::Table(table) => {
            for (key, value) in table {
                if !matches!(key.name.as_ref(), "hosts" | "repositories") {
                    let name = format!("{name}_{}", key.name.to_uppercase());
                    collect_variables(&name, value, variables);
                }
            }
            return;
        }
        ValueInner::Array(elements) if name.ends_with("_FILES") => {
            let paths: Vec<&str> = elements.iter().filter_map(Value::as_str).collect();
            paths.join(":")
        }
        ValueInner::Array(_) => return,
        ValueInner::String(text) => text.to_string(),
        ValueInner::Integer(number) => number.to_string(),
        ValueInner::Float(number) => number.to_string(),
        ValueInner::Boolean(truth) => truth.to_string(),
    };
    variables.push((name.to_owned(), text));
}

#[test]
fn every_mistake_is_told_at_once_with_the_mend() {
    let (scene, mut record) = (Scene::without_state(), Record::default());
    scene.take_config("mistakes.toml");
    let check = scene.reconcile("check --offline");
    record.text("config/mistakes.txt", &check.told());
    for words in ["status", "serve", "--all"] {
        let ran = scene.reconcile(words);
        assert_eq!((ran.exit, &ran.stderr), (2, &check.stderr), "{words}");
    }
    scene.take_config("every-key.toml");
    record.text(
        "config/missing-files.txt",
        &scene.transcript(&["check --offline", "serve"]),
    );
    write_named_files(&scene);
    for name in [
        "store-key",
        "gitea-token",
        "deploy-key",
        "signers.gpg",
        "webhook-secret",
    ] {
        scene.write_secret(name, "of no use\n");
    }
    record.text(
        "config/useless-files.txt",
        &scene.transcript(&["check --offline"]),
    );
    write_named_files(&scene);
    scene.write_secret("webhook-secret", "short\n");
    let for_all = fs::Permissions::from_mode(0o646);
    fs::set_permissions(scene.path("gitea-token"), for_all).unwrap();
    record.text(
        "config/warnings.txt",
        &scene.transcript(&["check --offline"]),
    );
    for (name, text) in [
        ("not-toml", "state_directory = \n"),
        ("twice", "[log]\nlevel = \"info\"\nlevel = \"warn\"\n"),
        ("nothing", ""),
        (
            "no-host",
            "[repositories.\"a/b\"]\nurl = \"file:///srv/git/b.git\"\n",
        ),
        ("no-repository", "[hosts.cyt-pi]\n"),
    ] {
        scene.write_config(text);
        let told = scene.transcript(&["check --offline"]);
        record.text(&format!("config/{name}.txt"), &told);
    }
    record.finish();
}

#[test]
fn check_asks_the_server_of_each_repository() {
    let (scene, mut record) = (Scene::new(), Record::default());
    let mut told = scene.transcript(&[
        "check",
        "check --offline",
        "check --config-only",
        "check --online",
    ]);
    let text = written("fleet.toml");
    let (before, after) = text.split_once("# A server that does not answer.").unwrap();
    let (_, after) = after.split_once("[defaults]").unwrap();
    let (hosts, _) = after.split_once("[hosts.attic]").unwrap();
    scene.write_config(&format!("{before}[defaults]{hosts}[hosts.cyt-pi]\n"));
    told.push_str(&format!("\n{}", scene.transcript(&["check"])));
    record.text("config/check.txt", &told);
    record.finish();
}
