//! `[defaults.proof]` and `[hosts.NAME.proof]`.

use std::time::Duration;

use deploy::{OnDegraded, OnRollbackFailed};
use planning::model::health_checks::{Acknowledge, ProbeKind, Viewpoint};

use crate::config::testing::{BASE, config, mistakes};

#[test]
fn a_host_takes_from_the_defaults_what_it_does_not_say() {
    let config = config(&format!(
        r#"{BASE}
[hosts.cyt-pi.proof]
settle = "3s"
probes = [
    {{ name = "web", http = "https://localhost/health", attempts = 2, pause = "0s", timeout = "4s" }},
    {{ name = "six", tcp = "[::1]:25" }},
    {{ name = "unit", unit = "postgresql.service" }},
    {{ name = "disk", command = ["mountpoint", "-q", "/my data"] }},
    {{ name = "outside", tcp = "cyt-pi.lan:443", from = "controller" }},
]
[defaults.proof]
acknowledge = "every-route"
timeout = "1m"
on_degraded = "keep"
on_rollback_failed = "reboot"
ignored_units = ["backup.service", "home-manager-*.service"]
"#
    ));
    let of = |name: &str| &config.hosts[name].proof;
    let spare = of("spare");
    assert_eq!(spare.acknowledge, Acknowledge::EveryRoute);
    assert_eq!(spare.on_degraded, OnDegraded::Keep);
    assert_eq!(spare.on_rollback_failed, OnRollbackFailed::Reboot);
    assert_eq!(
        spare.ignored_units,
        ["backup.service", "home-manager-*.service"]
    );
    assert!(spare.probes.is_empty());
    let pi = of("cyt-pi");
    assert_eq!(pi.timeout, Duration::from_secs(60));
    assert_eq!(pi.settle, Duration::from_secs(3));
    let kinds: Vec<_> = pi.probes.iter().map(|probe| probe.what.clone()).collect();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    assert_eq!(
        kinds,
        [
            ProbeKind::Http("https://localhost/health".into()),
            ProbeKind::Tcp {
                host: "::1".into(),
                port: 25
            },
            ProbeKind::Unit("postgresql.service".into()),
            ProbeKind::Command(words(&["mountpoint", "-q", "/my data"])),
            ProbeKind::Tcp {
                host: "cyt-pi.lan".into(),
                port: 443
            },
        ]
    );
    assert_eq!(pi.probes[0].from, Viewpoint::Host);
    assert_eq!(pi.probes[4].from, Viewpoint::Controller);
    assert_eq!(
        (pi.probes[0].attempts, pi.probes[0].pause),
        (2, Duration::ZERO)
    );
    assert_eq!(pi.probes[1].attempts, 5);
}

#[test]
fn what_cannot_be_a_proof_is_told_with_its_mend() {
    let found = mistakes(&format!(
        r#"{BASE}
[hosts.spare.proof]
acknowledge = "some-route"
timeout = "0s"
setle = "3s"
ignored_units = ["backup"]
probes = [
    {{ name = "two words", unit = "a.service" }},
    {{ name = "nothing" }},
    {{ name = "both", unit = "a.service", tcp = "localhost:1" }},
    {{ name = "port", tcp = "localhost" }},
    {{ name = "url", http = "ftp://localhost" }},
    {{ name = "lines", command = ["a\nb"] }},
    {{ name = "shell", command = ["mountpoint /data"] }},
    {{ name = "zero", tcp = "localhost:0" }},
    {{ name = "from", unit = "a.service", from = "controller" }},
    {{ name = "twice", unit = "a.service" }},
    {{ name = "twice", unit = "b.service" }},
]
"#
    ))
    .to_string();
    for part in [
        "`some-route` is not one of the choices",
        "unknown key `setle`",
        "did you mean `settle`?",
        "`backup` is not the name of a unit",
        "`two words` cannot be the name of a probe",
        "the probe looks at nothing",
        "the probe looks at several things",
        "`localhost` is not a host and a port",
        "it is neither http nor https",
        "has a control character",
        "`mountpoint /data` is one word of a command",
        "`localhost:0` is not a host and a port",
        "there are two probes `twice`",
        "the probe asks the controller for something of the host",
    ] {
        assert!(found.contains(part), "expected {part:?} in:\n{found}");
    }
}

#[test]
fn a_probe_from_the_controller_needs_a_host_that_waits_for_it() {
    let found = mistakes(&format!(
        r#"{BASE}
[hosts.spare.proof]
acknowledge = "none"
probes = [{{ name = "web", tcp = "spare:443", from = "controller" }}]
"#
    ))
    .to_string();
    assert!(found.contains("the host does not wait for it"), "{found}");
}
