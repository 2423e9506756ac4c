use super::*;
use crate::host::activate::RollbackReason;

#[test]
fn a_report_with_steps_units_and_output_is_read() {
    let answer = b"boot-id 7d0e\nstep 100 begin check\nstep 101 end check 0\nstep 101 begin test\n\
        step 105 end test 4\nstep 106 begin boot\nstep 107 end boot 0\nstep 107 verdict degraded\nfailed-unit a.service\nverdict degraded\n\
        output\nverdict done\n\x1b[31mwarning\x1b[0m: a.service\n";
    let report = ActivationReport::read(answer).unwrap();
    assert_eq!(report.verdict, ActivationVerdict::Degraded);
    assert_eq!(report.exit_code, Some(4));
    assert_eq!(report.failed_units, ["a.service"]);
    assert_eq!(report.output_tail, "verdict done\nwarning: a.service\n");
    assert_eq!(report.steps.len(), 3);
    assert_eq!(report.steps[1].name, "test");
    assert_eq!(report.steps[1].ended_at, Some(105));
}

#[test]
fn a_step_that_has_not_ended_has_no_code() {
    let report =
        ActivationReport::read(b"boot-id b\nstep 7 begin test\nverdict running\noutput\n").unwrap();
    assert_eq!(report.verdict, ActivationVerdict::StillRunning);
    assert_eq!(report.steps[0].code, None);
    assert_eq!(report.exit_code, None);
}

#[test]
fn every_verdict_that_the_supervisor_writes_is_known() {
    let script = crate::host::activate::SUPERVISOR;
    let written = script.lines().filter_map(|line| {
        let (_, rest) = line.split_once("finish ")?;
        let verdict = rest.trim_end_matches(" ;;").trim_matches(['"', '\'', ';']);
        (!line.trim_start().starts_with('#')).then_some(verdict)
    });
    let mut count = 0;
    for verdict in written {
        count += 1;
        // As the script fills them in.
        let verdict = verdict
            .replace("$failed", "restore 2")
            .replace("$needed $free $boot_reserve", "3 2 1")
            .replace("$RESERVE $(free_bytes \"$dir\")", "3 2")
            .replace("refused$why", "refused why")
            .replace("$cause", "interrupted oom-kill");
        assert!(ActivationVerdict::read(&verdict).is_some(), "{verdict}");
    }
    assert!(count > 10, "found {count} verdicts");
}

#[test]
fn every_reason_to_go_back_that_the_supervisor_writes_is_known() {
    let script = crate::host::activate::SUPERVISOR;
    let given = script.lines().filter_map(|line| {
        let line = line.trim_start().split(" || ").next()?;
        let line = line.split("then ").last()?;
        let line = line.split(") ").last()?.split(" && ").next()?;
        let line = line.trim_end_matches(" ;;");
        let reason = line.strip_prefix("give_up ");
        let reason = reason.or_else(|| line.strip_prefix("amiss "))?;
        Some(reason.trim_matches(['"', '\'', ';']))
    });
    let mut count = 0;
    // Not those that only hand a reason on.
    for reason in given.filter(|reason| !reason.starts_with('$')) {
        count += 1;
        assert!(RollbackReason::read(reason).is_some(), "{reason}");
    }
    assert!(count > 8, "found {count} reasons");
}

#[test]
fn a_rollback_is_read_with_its_reason() {
    let read = ActivationVerdict::read;
    assert_eq!(
        read("rolled-back degraded a.service b.service"),
        Some(ActivationVerdict::RolledBack {
            reason: RollbackReason::Degraded {
                units: vec!["a.service".to_owned(), "b.service".to_owned()]
            }
        })
    );
    assert_eq!(
        read("rollback-failed restore 2 probe web"),
        Some(ActivationVerdict::RollbackFailed {
            step: "restore".to_owned(),
            code: Some(2),
            reason: RollbackReason::Probe {
                name: "web".to_owned()
            }
        })
    );
    for nonsense in ["rolled-back", "rolled-back x", "rollback-failed restore 2"] {
        assert_eq!(read(nonsense), None, "{nonsense}");
    }
}

#[test]
fn a_report_that_is_cut_off_is_refused() {
    assert_eq!(ActivationReport::read(b""), None);
    assert_eq!(
        ActivationReport::read(b"boot-id 7d0e\nstep 1 begin te"),
        None
    );
    assert_eq!(ActivationReport::read(b"boot-id 7d0e\noutput\n"), None);
}
