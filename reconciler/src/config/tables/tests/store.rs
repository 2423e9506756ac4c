//! `[store]`, `[defaults.store]` and `[hosts.NAME.store]`.

use std::time::Duration;

use crate::config::testing::{BASE, config, mistakes, read_with};

#[test]
fn nothing_is_collected_and_nothing_signed_where_nobody_says_so() {
    let config = config(BASE);
    for care in [&config.store.care, &config.hosts["spare"].nix.care] {
        assert!(!care.is_on());
        assert_eq!(care.keep_for, Duration::from_secs(30 * 86_400));
        assert_eq!(care.keep_proven, 3);
    }
    assert_eq!(config.store.secret_key_file, None);
}

#[test]
fn this_machines_store_and_the_hosts_are_cared_for_apart() {
    let config = config(&format!(
        r#"{BASE}
[store]
collect_every = "1d"
collect_when_free_below = "5G"
keep_for = "14d"
keep_proven = 5
timeout = "1h"
secret_key_file = "store-key"
[hosts.own.store]
collect_every = "off"
[hosts.other.store]
keep_proven = 7
[defaults.store]
collect_every = "7d"
"#
    ));
    let day = Duration::from_secs(86_400);
    assert_eq!(config.store.care.collect_every, Some(day));
    assert_eq!(config.store.care.collect_when_free_below, 5 << 30);
    assert_eq!(config.store.care.keep_for, 14 * day);
    assert_eq!(config.store.care.keep_proven, 5);
    assert_eq!(config.store.care.timeout, Duration::from_secs(3600));
    let key = config.store.secret_key_file.as_deref();
    assert_eq!(key, Some(std::path::Path::new("/etc/reconcile/store-key")));
    let of = |name: &str| &config.hosts[name].nix.care;
    assert_eq!(of("spare").collect_every, Some(7 * day));
    assert_eq!(of("own").collect_every, None);
    assert_eq!(
        (of("other").collect_every, of("other").keep_proven),
        (Some(7 * day), 7)
    );
}

#[test]
fn the_environment_sets_what_the_image_needs() {
    let loaded = read_with(
        BASE,
        &[
            ("RECONCILE_STORE_COLLECT_EVERY", "1d"),
            ("RECONCILE_STORE_COLLECT_WHEN_FREE_BELOW", "5G"),
            ("RECONCILE_STORE_SECRET_KEY_FILE", "/run/secrets/store-key"),
        ],
    );
    let store = &loaded.unwrap().config.store;
    assert!(store.care.is_on() && store.secret_key_file.is_some());
}

#[test]
fn what_cannot_be_said_about_a_store_is_told_with_its_mend() {
    let found = mistakes(&format!(
        "{BASE}[hosts.spare.store]\ncollect_every = \"5m\"\nsecret_key_file = \"x\"\n[store]\ncollect_when_free_below = \"5GB\"\nkeep_proven = 0\ncollect_evry = \"1d\"\n"
    ))
    .to_string();
    for part in [
        "or \"off\" for never",
        "unknown key `secret_key_file`",
        "such as \"512M\" or \"2G\"",
        "0 is out of range",
        "did you mean `collect_every`?",
    ] {
        assert!(found.contains(part), "expected {part:?} in:\n{found}");
    }
}
