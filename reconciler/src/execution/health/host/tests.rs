use std::time::Duration;

use super::*;

fn probe_of(what: ProbeKind, from: Viewpoint) -> ProbeConfig {
    ProbeConfig {
        name: "web".into(),
        what,
        from,
        attempts: 3,
        pause: Duration::from_secs(2),
        timeout: Duration::from_secs(10),
    }
}

fn http() -> ProbeKind {
    ProbeKind::Http("https://localhost/health".into())
}

#[test]
fn a_host_waits_for_the_login_as_long_as_the_config_says_and_our_probes_take() {
    let mut config = ProofConfig::built_in();
    let acknowledge = |config: &ProofConfig| of_config(config).acknowledge;
    assert_eq!(acknowledge(&config), Some(config.timeout));
    config.probes = vec![probe_of(http(), Viewpoint::Controller)];
    let probes = Duration::from_secs(3 * 12);
    assert_eq!(acknowledge(&config), Some(config.timeout + probes));
    config.acknowledge = Acknowledge::No;
    assert_eq!(acknowledge(&config), None);
}

#[test]
fn a_host_is_told_of_what_it_has_to_look_at_itself_as_commands() {
    let tcp = ProbeKind::Tcp {
        host: "localhost".into(),
        port: 25,
    };
    for (what, command) in [
        (ProbeKind::Command(vec!["true".into()]), "true"),
        (
            ProbeKind::Unit("nginx.service".into()),
            "systemctl is-active --quiet -- nginx.service",
        ),
        (tcp, "bash -c exec 3<>\"/dev/tcp/$0/$1\" localhost 25"),
        (
            http(),
            "curl --fail --silent --show-error --output /dev/null -- https://localhost/health",
        ),
    ] {
        let ours = probe_of(http(), Viewpoint::Controller);
        let config = ProofConfig {
            probes: vec![ours, probe_of(what, Viewpoint::Host)],
            ..ProofConfig::built_in()
        };
        let [told] = &of_config(&config).probes[..] else {
            panic!("not the one probe of the host");
        };
        assert_eq!(told.command.join(" "), command);
        assert_eq!((told.name.as_str(), told.attempts), ("web", 3));
    }
}
