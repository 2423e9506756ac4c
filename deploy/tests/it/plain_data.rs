//! What goes in and out of this crate is plain data: whoever stands in for a host or for Nix can make it.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, SystemTime};

use deploy::{
    ActivateError, ActivationReport, ActivationRequest, ActivationVerdict, BuildError, BuildRoot,
    CollectError, CollectOnHostError, CopyError, DeploymentTrace, DestinationFailure,
    EvaluateError, Evaluated, Freed, HostCollection, HostCollectionResult, LoginFault, MinFree,
    NixTrouble, Observation, ObserveError, Outcome, Proof, RebootError, RunsAs, SshError, Step,
    Told, Toplevel,
};

const SYSTEM: &str = "/nix/store/0c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-nixos-system-pi";

fn toplevel() -> Toplevel {
    SYSTEM.parse().unwrap()
}

fn timed_out() -> NixTrouble {
    NixTrouble::TimedOut {
        after: Duration::from_secs(1),
        last_words: String::new(),
    }
}

fn command_timed_out() -> SshError {
    SshError::CommandTimedOut {
        address: "pi".into(),
        program: "sh".into(),
        after: Duration::from_secs(1),
    }
}

#[test]
fn what_a_host_says_can_be_made() {
    let seen = Observation {
        running: Some(toplevel()),
        profile: Some(toplevel()),
        generation: Some(42),
        boot_id: "7d0e".into(),
        free_bytes: BTreeMap::from([("/".into(), 1)]),
        deployments: vec![DeploymentTrace {
            id: "d-12345678".into(),
            unit_state: "active".into(),
            verdict: None,
        }],
        ..Observation::default()
    };
    assert_eq!(
        seen.boot_entry().to_string(),
        format!("generation 42, {SYSTEM}")
    );
    let report = ActivationReport {
        verdict: ActivationVerdict::Done,
        steps: vec![Step {
            name: "test".into(),
            code: Some(0),
            began_at: 1,
            ended_at: Some(2),
        }],
        exit_code: Some(0),
        failed_units: Vec::new(),
        output_tail: String::new(),
        boot_id: seen.boot_id,
    };
    assert_eq!(Outcome::of_activation(&report), Some(Outcome::Converged));
    let collected = HostCollection {
        generations: 1,
        freed: Freed { paths: 2, bytes: 3 },
        result: HostCollectionResult::Done,
    };
    assert_eq!(collected.result, HostCollectionResult::Done);
    assert_ne!(Told::Reboots, Told::HasRebooted);
}

#[test]
fn what_is_asked_of_a_host_and_what_nix_answers_can_be_made() {
    let evaluated = Evaluated {
        derivation: format!("{SYSTEM}.drv").parse().unwrap(),
        toplevel: toplevel(),
        system: "aarch64-linux".into(),
    };
    let request = ActivationRequest {
        id: "d-12345678".parse().unwrap(),
        action: deploy::Action::Switch,
        new: evaluated.toplevel,
        runs_as: RunsAs::Base,
        observed: toplevel(),
        timeout: Duration::from_secs(60),
        proof: Proof::NONE,
        min_free_boot: MinFree::BOOT,
    };
    let root = BuildRoot {
        host: "pi".into(),
        revision: "a".repeat(40),
        toplevel: Some(request.new),
        built_at: SystemTime::UNIX_EPOCH,
        path: "/roots/pi/a".into(),
    };
    assert_eq!(root.toplevel, Some(request.observed));
}

#[test]
fn every_way_to_fail_that_depends_on_the_world_can_be_made() {
    let lost = || SshError::Lost {
        address: "pi".into(),
        program: "sh".into(),
    };
    let worth_retrying = [
        ActivateError::Ssh {
            step: "waiting",
            source: lost(),
        }
        .is_worth_retrying(),
        ActivateError::Unreadable {
            step: "waiting",
            detail: String::new(),
        }
        .is_worth_retrying(),
        ObserveError::Unreadable(String::new()).is_worth_retrying(),
        RebootError::Ssh(lost()).is_worth_retrying(),
        CollectOnHostError::Ssh(lost()).is_worth_retrying(),
        CollectError::Nix(timed_out()).is_worth_retrying(),
        SshError::Client {
            address: "pi".into(),
            source: io::ErrorKind::BrokenPipe.into(),
        }
        .is_worth_retrying(),
    ];
    assert!(worth_retrying.into_iter().all(|is_worth_it| is_worth_it));
    let refused = SshError::NotReached {
        failures: vec![DestinationFailure {
            address: "pi".into(),
            fault: LoginFault::PermissionDenied("publickey".into()),
        }],
    };
    assert!(refused.is_access_refused() && !refused.is_worth_retrying());
}

#[test]
fn a_limit_of_time_that_ran_out_is_seen_through_every_error() {
    assert!(EvaluateError::Nix(timed_out()).is_timeout());
    assert!(BuildError::OnTarget(timed_out()).is_timeout());
    assert!(BuildError::Copy(CopyError::Nix(timed_out())).is_timeout());
    assert!(BuildError::Ssh(command_timed_out()).is_timeout());
    assert!(CopyError::OnHost(timed_out()).is_timeout());
    assert!(CopyError::Ssh(command_timed_out()).is_timeout());
    assert!(ObserveError::Ssh(command_timed_out()).is_timeout());
    assert!(!EvaluateError::NoConfigurations.is_timeout());
    assert!(!BuildError::NoTarget.is_timeout());
    assert!(!CopyError::AwkwardPath.is_timeout());
    assert!(!ObserveError::Ssh(SshError::NoDestination).is_timeout());
}
