//! Observation and activation on the test bed's real hosts (`cargo xtask hosts` says what to set).

use std::time::{Duration, Instant};

use crate::fleet::{Host, LIMIT, fresh_id};
use deploy::{
    Action, ActivationReport, ActivationRequest, ActivationVerdict, Connection, DeploymentId,
    MinFree, Outcome, Proof, RebootReason, RemoteCommand, RollbackReason, RunsAs, Started, Sudo,
    SwitchLock, Toplevel, clean_up, observe, start, wait,
};
use xtask::flake::{Exit, Hang, Marker};

pub async fn running(connection: &Connection) -> Toplevel {
    observe(connection, LIMIT).await.unwrap().running.unwrap()
}

pub fn request(action: Action, new: &Toplevel, observed: &Toplevel) -> ActivationRequest {
    ActivationRequest {
        id: fresh_id(),
        action,
        new: new.clone(),
        runs_as: RunsAs::Base,
        observed: observed.clone(),
        timeout: Duration::from_secs(60),
        proof: Proof::NONE,
        min_free_boot: MinFree::BOOT,
    }
}

pub async fn activate(connection: &Connection, request: &ActivationRequest) -> ActivationReport {
    assert_eq!(start(connection, request).await.unwrap(), Started::New);
    wait(connection, &request.id, LIMIT).await.unwrap()
}

/// That a deployment left nothing on a host and that the host is well.
pub async fn assert_clean(host: &Host, connection: &Connection, id: &DeploymentId) {
    clean_up(connection, id).await.unwrap();
    let left = host.console(&format!(
        "ls -A /run/reconcile /nix/var/nix/gcroots/reconcile 2>/dev/null | grep -v -e lock -e starting -e : ; \
         systemctl list-units --all --plain --no-legend 'reconcile-*'; ls /run/systemd/transient | grep {id}; true"
    )).unwrap();
    assert_eq!(left.trim(), "");
    let seen = observe(connection, LIMIT).await.unwrap();
    assert_eq!(seen.deployments, []);
    assert_eq!(seen.switch_lock, SwitchLock::Free);
}

#[tokio::test]
async fn a_switch_is_done_and_read_back_and_leaves_nothing() {
    let host = Host::lease("cyt-pi");
    let connections = host.connections();
    let destinations = host.as_root();
    let connection = connections.reach(&destinations, LIMIT).await.unwrap();
    let before = observe(&connection, LIMIT).await.unwrap();
    let old = before.running.clone().unwrap();
    assert_eq!(before.profile.as_ref(), Some(&old));
    assert_eq!(before.booted.as_ref(), Some(&old));
    assert_eq!(before.system_state, "running");
    assert_eq!(before.machine_id.len(), 32);
    assert_eq!(before.reboot_reasons, []);
    assert!(before.free_bytes["/nix"] > 0);

    let new = host.build(|system| system.kernel = "6.13".to_owned());
    let request = request(Action::Switch, &new, &old);
    let report = activate(&connection, &request).await;
    assert_eq!(report.verdict, ActivationVerdict::Done, "{report:?}");
    assert_eq!(report.exit_code, Some(0));
    assert_eq!(report.boot_id, before.boot_id);
    assert!(
        report.output_tail.contains("updating the boot default"),
        "{report:?}"
    );
    assert_eq!(
        Outcome::of_activation(&report),
        Some(Outcome::Converged),
        "{report:?}"
    );

    let fresh = connections.reach_fresh(&destinations, LIMIT).await.unwrap();
    let after = observe(&fresh, LIMIT).await.unwrap();
    assert_eq!(after.running.as_ref(), Some(&new));
    assert_eq!(after.profile.as_ref(), Some(&new));
    assert_eq!(after.booted.as_ref(), Some(&old));
    assert_eq!(
        after.reboot_reasons,
        [
            RebootReason::Kernel,
            RebootReason::Initrd,
            RebootReason::KernelModules
        ]
    );
    assert!(!after.unfinished_lists);
    assert_eq!(after.deployments[0].id, request.id.as_str());
    assert_eq!(after.deployments[0].verdict.as_deref(), Some("done"));
    assert_eq!(
        host.console("cat /boot/testbed-default").unwrap().trim(),
        new.as_str()
    );
    assert_clean(&host, &fresh, &request.id).await;
}

#[tokio::test]
async fn a_user_with_sudo_can_do_all_and_one_without_can_look() {
    let host = Host::lease("lazyworkhorse");
    let connections = host.connections();
    let plain = host.as_worker(Sudo::No);
    let connection = connections.reach(&plain, LIMIT).await.unwrap();
    let old = running(&connection).await;
    let with_sudo = host.as_worker(Sudo::Yes);
    let connection = connections.reach(&with_sudo, LIMIT).await.unwrap();
    let new = host.build(|_| {});
    let request = request(Action::Test, &new, &old);
    let report = activate(&connection, &request).await;
    assert_eq!(report.verdict, ActivationVerdict::Done, "{report:?}");
    let seen = observe(&connection, LIMIT).await.unwrap();
    assert_eq!(seen.running.as_ref(), Some(&new));
    assert_eq!(seen.profile.as_ref(), Some(&old));
    assert_clean(&host, &connection, &request.id).await;
    // Without root nothing starts, and nothing is left.
    let connection = connections.reach(&plain, LIMIT).await.unwrap();
    assert!(start(&connection, &request).await.is_err());
    assert_eq!(
        host.console("ls -A /run/reconcile | grep -v -e lock -e starting; true")
            .unwrap(),
        ""
    );
}

#[tokio::test]
async fn a_host_that_runs_something_else_or_is_locked_is_left_alone() {
    let host = Host::lease("lazyworkhorse");
    let connections = host.connections();
    let destinations = host.as_root();
    let connection = connections.reach(&destinations, LIMIT).await.unwrap();
    let old = running(&connection).await;
    let new = host.build(|_| {});
    let late = request(Action::Switch, &old, &new);
    let report = activate(&connection, &late).await;
    assert_eq!(
        report.verdict,
        ActivationVerdict::ObservedChanged {
            running: old.to_string()
        }
    );
    assert_clean(&host, &connection, &late.id).await;

    let missing = Toplevel::try_from(new.to_string().replace("-system-", "-elsewhere-")).unwrap();
    let absent = request(Action::Switch, &missing, &old);
    let report = activate(&connection, &absent).await;
    assert!(
        matches!(&report.verdict, ActivationVerdict::Refused { reason } if reason.contains("not on this host")),
        "{report:?}"
    );
    assert_clean(&host, &connection, &absent.id).await;

    host.console(
        "systemd-run --quiet --unit=somebody-else --setenv=PATH=/usr/bin flock /run/nixos/switch-to-configuration.lock sleep 1000",
    ).unwrap();
    host.until(
        "the lock is held",
        "! flock -n /run/nixos/switch-to-configuration.lock true",
    )
    .await;
    let locked = request(Action::Switch, &new, &old);
    let report = activate(&connection, &locked).await;
    let ActivationVerdict::Locked { by } = &report.verdict else {
        panic!("{report:?}")
    };
    assert!(
        by.starts_with("pid ")
            && by.contains("flock /run/nixos/")
            && by.ends_with("in somebody-else.service"),
        "{by}"
    );
    let seen = observe(&connection, LIMIT).await.unwrap();
    assert_eq!(seen.switch_lock, SwitchLock::Held { by: by.clone() });
    // Also without root.
    let worker = host.as_worker(Sudo::No);
    let worker = connections.reach(&worker, LIMIT).await.unwrap();
    let seen = observe(&worker, LIMIT).await.unwrap();
    assert_eq!(seen.switch_lock, SwitchLock::Held { by: by.clone() });
    host.console("systemctl stop somebody-else").unwrap();
    assert_clean(&host, &connection, &locked.id).await;
    assert_eq!(host.begun("test", &new), 0);
}

#[tokio::test]
async fn every_way_in_which_an_activation_ends_is_told_apart() {
    let host = Host::lease("uConsole");
    let connections = host.connections();
    let destinations = host.as_root();
    let connection = connections.reach(&destinations, LIMIT).await.unwrap();
    let old = running(&connection).await;
    for (exit, label, moves) in [
        (None, "degraded", true),
        (Some(Exit::ChecksRefuse), "activation_refused", false),
        (Some(Exit::ActivationFails), "rolled_back", false),
        (Some(Exit::Panics), "rolled_back", false),
        (Some(Exit::NeedsReboot), "reboot_required", false),
    ] {
        let new = host.build(|system| match exit {
            Some(exit) => system.exit = exit,
            None => system.marker = Marker::Fails,
        });
        let request = request(Action::Switch, &new, &old);
        let report = activate(&connection, &request).await;
        let outcome = Outcome::of_activation(&report).unwrap();
        assert_eq!(outcome.label(), label, "{exit:?}: {report:?}");
        if let Outcome::Degraded { units } = &outcome {
            assert_eq!(units, &["testbed-marker.service"]);
        }
        let seen = observe(&connection, LIMIT).await.unwrap();
        assert_eq!(seen.running.as_ref() == Some(&new), moves, "{exit:?}");
        assert_eq!(
            seen.profile.as_ref() == Some(&new),
            outcome.is_in_sync(),
            "{exit:?}"
        );
        assert_clean(&host, &connection, &request.id).await;
        host.reset().unwrap();
    }
    let new = host.build(|system| {
        system.exit = Exit::BootLoaderFails;
        system.exit_on = "boot".to_owned();
    });
    let request = request(Action::Switch, &new, &old);
    let report = activate(&connection, &request).await;
    assert_eq!(
        report.verdict,
        ActivationVerdict::RolledBack {
            reason: RollbackReason::Failed {
                step: "boot".to_owned(),
                code: Some(1)
            }
        },
        "{report:?}"
    );
    let seen = observe(&connection, LIMIT).await.unwrap();
    assert_eq!(
        (seen.running.as_ref(), seen.profile.as_ref()),
        (Some(&old), Some(&old))
    );
    assert_eq!(host.boot_default().unwrap(), old.as_str());
    assert_clean(&host, &connection, &request.id).await;
}

#[tokio::test]
async fn an_activation_that_hangs_ends_with_all_its_processes_and_the_host_stays_well() {
    let host = Host::lease("spare");
    let connections = host.connections();
    let destinations = host.as_root();
    let connection = connections.reach(&destinations, LIMIT).await.unwrap();
    let old = running(&connection).await;
    let new = host.build(|system| system.hang = Some(Hang::Stop));
    let mut slow = request(Action::Switch, &new, &old);
    slow.timeout = Duration::from_secs(3);
    let began = Instant::now();
    let report = activate(&connection, &slow).await;
    assert_eq!(
        report.verdict,
        ActivationVerdict::RolledBack {
            reason: RollbackReason::TimedOut {
                step: "test".to_owned()
            }
        },
        "{report:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_clean(&host, &connection, &slow.id).await;
    let seen = observe(&connection, LIMIT).await.unwrap();
    assert_eq!(seen.system_state, "running", "{seen:?}");
    assert_eq!(seen.running.as_ref(), Some(&old));
    assert!(!seen.unfinished_lists);

    // A person who stops the unit, and one who kills its main process.
    for line in ["systemctl stop", "systemctl kill --kill-whom=main -s KILL"] {
        let hung = request(Action::Test, &new, &old);
        start(&connection, &hung).await.unwrap();
        host.until("it hangs", "pgrep -f '^sleep infinity'").await;
        host.console(&format!("{line} reconcile-{}.service", hung.id))
            .unwrap();
        let report = wait(&connection, &hung.id, LIMIT).await.unwrap();
        assert!(
            matches!(
                report.verdict,
                ActivationVerdict::RolledBack {
                    reason: RollbackReason::Interrupted { .. }
                }
            ),
            "{report:?}"
        );
        assert_eq!(running(&connection).await, old);
        assert_eq!(
            host.console("pgrep -f '^sleep infinity' || true").unwrap(),
            ""
        );
        assert_clean(&host, &connection, &hung.id).await;
        assert_eq!(
            observe(&connection, LIMIT).await.unwrap().system_state,
            "running"
        );
    }
    // And the next one is not disturbed by any of it.
    let good = host.build(|_| {});
    let request = request(Action::Switch, &good, &old);
    let report = activate(&connection, &request).await;
    assert_eq!(report.verdict, ActivationVerdict::Done, "{report:?}");
    assert!(!observe(&connection, LIMIT).await.unwrap().unfinished_lists);
    assert_clean(&host, &connection, &request.id).await;
}

#[tokio::test]
async fn a_unit_that_inherits_no_coreutils_finds_its_programs() {
    let host = Host::lease("cyt-pi");
    let connections = host.connections();
    let destinations = host.as_root();
    let connection = connections.reach(&destinations, LIMIT).await.unwrap();
    // Otherwise this host would prove nothing.
    host.console(
        "! systemd-run --quiet --collect --pipe --wait /bin/sh -c 'command -v sleep || command -v nix-env'",
    )
    .unwrap();
    let old = running(&connection).await;
    let new = host.build(|system| system.seconds = 1);
    let request = request(Action::Switch, &new, &old);
    start(&connection, &request).await.unwrap();
    let environment = host
        .console(&format!(
            "systemctl show -p Environment --value reconcile-{}",
            request.id
        ))
        .unwrap();
    assert!(
        environment.contains(&format!("PATH={old}/sw/bin:{new}/sw/bin:"))
            && environment.contains("HOME=/root"),
        "{environment}"
    );
    let report = wait(&connection, &request.id, LIMIT).await.unwrap();
    assert_eq!(report.verdict, ActivationVerdict::Done, "{report:?}");
    assert_clean(&host, &connection, &request.id).await;
    // A command over ssh finds them too, as any user.
    let worker = host.as_worker(Sudo::Yes);
    let worker = connections.reach(&worker, LIMIT).await.unwrap();
    let found = worker
        .run(RemoteCommand::new("sync").arguments(["--version"]))
        .await
        .unwrap();
    assert_eq!(found.code, 0, "{}", found.complaint());
}
