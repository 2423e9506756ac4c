//! Values that are wrong, and what the person is told.

use anyhow::{Result, ensure};
use xtask::process::said;

use super::helm::render_with;

/// A value that is wrong, and what the message has to name.
type Wrong<'a> = (&'a str, &'a [&'a str]);

fn check(wrong: &[Wrong<'_>]) -> Result<()> {
    for (values, names) in wrong {
        let refused = render_with(values)?;
        ensure!(!refused.status.success(), "{values} is let pass");
        for name in *names {
            ensure!(
                said(&refused).contains(name),
                "{values}: {name} is not in: {}",
                said(&refused)
            );
        }
    }
    Ok(())
}

#[test]
#[ignore = "long"]
fn the_schema_refuses_wrong_values_and_names_the_key() -> Result<()> {
    check(&[
        ("webhok: { enabled: true }", &["webhok"]),
        ("webhook: { servic: {} }", &["webhook", "servic"]),
        (
            "webhook: { service: { port: '80' } }",
            &["webhook", "port", "string"],
        ),
        (
            "webhook: { service: { port: 70000 } }",
            &["webhook", "port"],
        ),
        ("webhook: { path: hook }", &["webhook", "path"]),
        ("webhook: { enabled: 'false' }", &["enabled", "boolean"]),
        ("replicas: 2", &["replicas"]),
        ("replicaCount: 2", &["replicaCount"]),
        ("image: { pullPolicy: always }", &["pullPolicy", "Always"]),
        ("image: { digest: 'sha256:12' }", &["digest"]),
        (
            "persistence: { nix: { size: 50 GB } }",
            &["persistence", "nix", "size"],
        ),
        (
            "persistence: { nix: { accessModes: [ReadOnlyMany] } }",
            &["accessModes"],
        ),
        (
            "terminationGracePeriodSeconds: 0",
            &["terminationGracePeriodSeconds"],
        ),
        ("ingress: { hosts: [a.example] }", &["ingress", "hosts"]),
        ("config: { webhok: {} }", &["config", "webhok"]),
        (
            "config: { webhook: { listen: '0.0.0.0:1' } }",
            &["webhook", "listen"],
        ),
        (
            "config: { operator: { listen: 'off' } }",
            &["config", "operator"],
        ),
        ("config: { hosts: { cyt-pi: true } }", &["hosts", "cyt-pi"]),
        ("config: { hosts: { 'my host': {} } }", &["my host"]),
        ("files: { ../passwd: x }", &["../passwd"]),
        (
            "ingress: { enabled: true, host: 'https://a.example' }",
            &["ingress", "host"],
        ),
        (
            "networkPolicy: { extraIngress: { ports: [] } }",
            &["extraIngress", "array"],
        ),
    ])
}

#[test]
#[ignore = "long"]
fn secrets_in_values_are_refused() -> Result<()> {
    let key = "-----BEGIN OPENSSH PRIVATE KEY-----\\nAAAA\\n-----END OPENSSH PRIVATE KEY-----\\n";
    check(&[
        (
            "config: { webhook: { secret: hunter2 } }",
            &["webhook", "secret"],
        ),
        (
            "config: { repositories: { infra-team/infra: { token: hunter2 } } }",
            &["infra-team", "token"],
        ),
        (
            "config: { repositories: { infra-team/infra: { url: 'https://me:hunter2@gitea.example/a/b' } } }",
            &["infra-team", "url"],
        ),
        (
            "secrets: [{ name: a, value: hunter2, items: [{ key: a, path: a }] }]",
            &["secrets", "value"],
        ),
        (
            "secrets: [{ name: a, items: [{ key: a, path: a/b }] }]",
            &["secrets", "path"],
        ),
        (
            "secrets: { webhook-secret: hunter2 }",
            &["secrets", "array"],
        ),
        (
            &format!("files: {{ login-key: \"{key}\" }}"),
            &["login-key", "private key", "`secrets`"],
        ),
        (
            "{ files: { hook: 0123456789abcdef }, config: { webhook: { secret_files: [/etc/reconcile/hook] } } }",
            &["files.hook", "in the clear", "`secrets`"],
        ),
    ])
}

#[test]
#[ignore = "long"]
fn what_a_schema_cannot_say_is_said_in_words() -> Result<()> {
    check(&[
        (
            "config: { repositories: null }",
            &["config.repositories is empty"],
        ),
        ("config: { hosts: null }", &["config.hosts is empty"]),
        ("files: { reconcile.toml: x }", &["configText"]),
        ("ingress: { enabled: true }", &["ingress.host is empty"]),
        (
            "config: { webhook: { secret_files: [/etc/reconcile/nowhere] } }",
            &["/etc/reconcile/nowhere", "nothing brings it", "`secrets`"],
        ),
        (
            "{ files: { twice: x }, secrets: [{ name: a, items: [{ key: a, path: twice }] }] }",
            &["files.twice", "`secrets`"],
        ),
        (
            "{ serviceMonitor: { enabled: true }, networkPolicy: { enabled: true } }",
            &["networkPolicy.metricsFrom is empty"],
        ),
        (
            "httpRoute: { enabled: true, hostnames: [a.example] }",
            &["httpRoute.parentRefs is empty"],
        ),
        (
            "httpRoute: { enabled: true, parentRefs: [{ name: a }] }",
            &["httpRoute.hostnames is empty"],
        ),
        (
            "{ webhook: { enabled: false }, ingress: { enabled: true, host: a.example } }",
            &["webhook.enabled is false"],
        ),
    ])
}
