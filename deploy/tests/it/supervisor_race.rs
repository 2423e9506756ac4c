//! An acknowledgement and its deadline at the same instant: one of them decides.

use std::sync::Barrier;

use crate::fakehost::{FakeHost, ID, NEW, OLD, shells, until};

/// Kills the unit's main process and all its children, as a whole cgroup.
#[test]
fn acknowledgement_and_deadline_at_the_same_instant_never_both_win() {
    race(2);
}

#[test]
#[ignore = "long"]
fn acknowledgement_and_deadline_never_both_win_in_two_hundred_tries() {
    race(67);
}

/// So many tries in each shell. Seeds are no use here: what decides is the kernel. Many tries near the
/// instant are.
fn race(attempts: u64) {
    let (mut given, mut late) = (0, 0);
    for attempt in 0..attempts {
        for shell in shells() {
            let host = FakeHost::that_waits(&shell, 1);
            assert_eq!(host.begin("switch"), "new");
            until("it waits", || {
                host.path(&format!("run/reconcile/{ID}/awaiting")).exists()
            });
            let barrier = Barrier::new(3);
            let answers = std::thread::scope(|scope| {
                let both: Vec<_> = (0..2)
                    .map(|_| {
                        scope.spawn(|| {
                            barrier.wait();
                            host.call(&["acknowledge", ID, "20"])
                        })
                    })
                    .collect();
                // The deadline is a second after the wait began: come a little before or after.
                std::thread::sleep(std::time::Duration::from_millis(
                    860 + 140 * attempt / attempts,
                ));
                barrier.wait();
                both.into_iter()
                    .map(|one| one.join().unwrap())
                    .collect::<Vec<_>>()
            });
            let verdict = host.verdict();
            for answer in &answers {
                let said = answer.lines().next().unwrap();
                match verdict.as_str() {
                    "done" => assert_eq!(said, "acknowledgement given", "{answer}"),
                    "rolled-back not-acknowledged" => {
                        assert_eq!(said, "acknowledgement late", "{answer}");
                    }
                    other => panic!("{other}: {answer}"),
                }
                assert!(
                    answer.contains(&format!("\nverdict {verdict}\n")),
                    "{answer}"
                );
            }
            let expected = if verdict == "done" { NEW } else { OLD };
            assert_eq!(
                (host.running().as_str(), host.profile().as_str()),
                (expected, expected)
            );
            if verdict == "done" {
                given += 1
            } else {
                late += 1
            }
        }
    }
    println!("{given} given, {late} late");
}
