//! With real processes that start others.

use super::*;
use std::path::Path;

const LONG: Duration = Duration::from_secs(30);

fn shell(script: &str, limit: Duration) -> Command {
    Command::new("/bin/sh", limit).arguments(["-c", script])
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + LONG;
    while !condition() {
        assert!(
            std::time::Instant::now() < deadline,
            "waited in vain until {what}"
        );
        sleep(Duration::from_millis(5)).await;
    }
}

/// The process whose number is in the file, once the file is whole.
fn number_in(file: &Path) -> Option<i32> {
    std::fs::read_to_string(file)
        .ok()?
        .strip_suffix('\n')?
        .parse()
        .ok()
}

/// A zombie has ended too: its parent (init, in the end) has only not looked yet.
fn runs(number: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{number}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap()
            .trim_start()
            .starts_with('Z')
    })
}

#[tokio::test]
async fn output_errors_and_exit_code_are_reported() {
    let finished = shell("echo out; echo err >&2; exit 7", LONG)
        .run()
        .await
        .unwrap();
    assert_eq!(finished.stdout, b"out\n");
    assert_eq!(finished.stderr, "err\n");
    assert_eq!(finished.status.code(), Some(7));
}

#[tokio::test]
async fn standard_input_is_empty_or_what_was_given() {
    let nothing = shell("cat", LONG).run().await.unwrap();
    assert_eq!(nothing.stdout, b"");
    let mut command = shell("cat", LONG);
    command.stdin = vec![b'x'; 300_000];
    assert_eq!(command.run().await.unwrap().stdout, command.stdin);
    // A command that does not read it is not held up.
    command.arguments = ["-c", "exit 3"].map(OsString::from).to_vec();
    assert_eq!(command.run().await.unwrap().status.code(), Some(3));
}

#[tokio::test]
async fn variables_are_set_and_removed() {
    let mut command = shell("echo \"$RECONCILE_A-${HOME-none}\"", LONG);
    command.environment = vec![
        ("RECONCILE_A".into(), Some("a b".into())),
        ("HOME".into(), None),
    ];
    assert_eq!(command.run().await.unwrap().stdout, b"a b-none\n");
}

#[tokio::test]
async fn what_may_use_all_memory_is_ended_for_it_before_us() {
    let ours = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    let ours: i32 = ours.trim().parse().unwrap();
    // The kernel is told just after the command was started.
    let told = format!(
        "until read score < /proc/self/oom_score_adj && [ $score -gt {ours} ]; do sleep 0.01; done; echo $score"
    );
    let mut command = shell(&told, LONG);
    command.short_of_memory = ShortOfMemory::EndItFirst;
    let score = String::from_utf8(command.run().await.unwrap().stdout).unwrap();
    assert!(score.trim().parse::<i32>().unwrap() > ours, "{score}");
    let like_us = shell("cat /proc/self/oom_score_adj", LONG).run().await;
    assert_eq!(like_us.unwrap().stdout, format!("{ours}\n").as_bytes());
}

#[tokio::test]
async fn what_goes_on_writing_outlives_the_limit_of_its_silence() {
    let limit = Duration::from_secs(1);
    let mut command = shell(
        "i=0; while [ $i -lt 25 ]; do echo x >/dev/null; sleep 0.1; i=$((i+1)); done; echo all",
        limit,
    );
    command.patience = Patience::Silence;
    assert_eq!(command.run().await.unwrap().stdout, b"all\n");
    command.patience = Patience::Whole;
    assert!(matches!(
        command.run().await,
        Err(CommandError::TimedOut { .. })
    ));
    let mut silent = shell("echo x; sleep 1000", limit);
    silent.patience = Patience::Silence;
    assert!(matches!(
        silent.run().await,
        Err(CommandError::TimedOut { .. })
    ));
}

#[tokio::test]
async fn a_missing_program_is_named() {
    let error = Command::new("no-such-program-here", LONG)
        .run()
        .await
        .unwrap_err();
    assert!(matches!(error, CommandError::NotFound { .. }), "{error:?}");
    assert!(error.to_string().contains("no-such-program-here"));
    let error = Command::new("/", LONG).run().await.unwrap_err();
    assert!(matches!(error, CommandError::Start { .. }), "{error:?}");
}

#[tokio::test]
async fn only_the_end_of_a_long_error_stream_is_kept() {
    let mut command = shell("seq 1 100000 >&2", LONG);
    command.stderr_limit = 12;
    assert_eq!(command.run().await.unwrap().stderr, "9999\n100000\n");
}

#[tokio::test]
async fn endless_output_is_an_error_and_ends_the_group() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("number");
    let mut command = shell(
        &format!("sleep 1000 & echo $! > '{}'; yes", file.display()),
        LONG,
    );
    command.stdout_limit = 10_000;
    let error = command.run().await.unwrap_err();
    assert!(
        matches!(error, CommandError::TooMuchOutput { limit: 10_000, .. }),
        "{error:?}"
    );
    let sleeper = number_in(&file).unwrap();
    until("the sleeper ends", || !runs(sleeper)).await;
}

#[tokio::test]
async fn the_time_limit_ends_grandchildren_too_even_those_that_ignore_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("number");
    let script = format!(
        "sh -c 'trap \"\" TERM; echo $$ > \"$0\"; while :; do sleep 0.05; done' '{}' & echo working >&2; wait",
        file.display()
    );
    let error = shell(&script, Duration::from_millis(500))
        .run()
        .await
        .unwrap_err();
    let CommandError::TimedOut { stderr, after, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(
        (stderr.as_str(), after),
        ("working\n", Duration::from_millis(500))
    );
    let stubborn = number_in(&file).unwrap();
    until("the stubborn grandchild ends", || !runs(stubborn)).await;
}

#[tokio::test]
async fn dropping_the_future_ends_the_whole_group() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("number");
    let command = shell(
        &format!("sh -c 'echo $$ > \"{}\"; sleep 1000; :'", file.display()),
        LONG,
    );
    let running = tokio::spawn(async move { command.run().await.map(|_| ()) });
    until("the grandchild runs", || number_in(&file).is_some()).await;
    let grandchild = number_in(&file).unwrap();
    assert!(runs(grandchild));
    running.abort();
    until("the grandchild ends", || !runs(grandchild)).await;
}

#[test]
fn the_end_of_the_runtime_ends_the_whole_group() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("number");
    let stubborn = format!(
        "trap '' TERM; echo $$ > '{}'; while :; do sleep 0.05; done",
        file.display()
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.spawn(async move { shell(&stubborn, LONG).run().await.map(|_| ()) });
    runtime.block_on(until("the child runs", || number_in(&file).is_some()));
    drop(runtime);
    let child = number_in(&file).unwrap();
    let deadline = std::time::Instant::now() + LONG;
    while runs(child) {
        assert!(
            std::time::Instant::now() < deadline,
            "the child survived the runtime"
        );
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_descendant_that_stays_behind_does_not_hold_the_result_up() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("number");
    let script = format!("sleep 1000 & echo $! > '{}'; echo done", file.display());
    let finished = timeout(Duration::from_secs(10), shell(&script, LONG).run())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(finished.stdout, b"done\n");
    let sleeper = number_in(&file).unwrap();
    ::nix::sys::signal::kill(Pid::from_raw(sleeper), Signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn a_program_stands_where_everybody_may_stand() {
    let finished = shell("pwd", LONG).run().await.unwrap();
    assert_eq!(finished.stdout, b"/\n");
}
