//! Wishes, and the reconciler's memory.

use super::*;
use crate::{BranchState, Cause, HistoryFilter, StoreError, Wish};

pub(super) fn wish(name: &str, digit: char) -> Wish {
    Wish {
        host: host(name),
        repository: infra(),
        branch: main_branch(),
        revision: Some(revision(digit)),
        branch_state: BranchState::Present,
        cause: Cause::Delivery("one".parse().unwrap()),
        requested_at: at(1),
        recorded_at: at(2),
    }
}

/// The kinds and details of the history, oldest first.
async fn history(store: &Store) -> Vec<(String, String)> {
    let entries = store.history(&HistoryFilter::default()).await.unwrap();
    let lines = entries.into_iter().map(|entry| (entry.kind, entry.detail));
    lines.rev().collect()
}

#[tokio::test]
async fn every_kind_of_wish_is_read_as_it_was_written() {
    let fresh = Fresh::new().await;
    assert_eq!(fresh.wish(&host("a")).await.unwrap(), None);
    let wishes = [
        wish("a", '1'),
        Wish {
            revision: None,
            cause: Cause::Poll,
            ..wish("b", '1')
        },
        Wish {
            branch_state: BranchState::Gone,
            cause: Cause::Configuration,
            ..wish("c", '1')
        },
        Wish {
            branch: "feature/größer".parse().unwrap(),
            branch_state: BranchState::Rewound { to: revision('2') },
            cause: Cause::Person("Ada \u{1f980}".to_owned()),
            ..wish("d", '1')
        },
        Wish {
            branch_state: BranchState::Untrusted {
                to: revision('2'),
                why: "it is not signed".to_owned(),
            },
            ..wish("e", '1')
        },
    ];
    for wish in &wishes {
        fresh.set_wish(wish).await.unwrap();
    }
    let fresh = fresh.reopened().await;
    assert_eq!(fresh.wishes().await.unwrap(), wishes);
    assert_eq!(
        fresh.wish(&host("d")).await.unwrap().as_ref(),
        Some(&wishes[3])
    );
}

#[tokio::test]
async fn a_wish_that_changes_is_an_entry_of_the_history_and_one_that_stays_is_none() {
    let fresh = Fresh::new().await;
    let again = Wish {
        requested_at: at(9),
        ..wish("a", '1')
    };
    let in_state = |branch_state| Wish {
        branch_state,
        ..wish("a", '2')
    };
    let rewound = in_state(BranchState::Rewound { to: revision('3') });
    let untrusted = BranchState::Untrusted {
        to: revision('3'),
        why: "it is not signed".to_owned(),
    };
    let other = Wish {
        branch: "test".parse().unwrap(),
        ..wish("a", '3')
    };
    for wish in [
        wish("a", '1'),
        again,
        wish("a", '2'),
        rewound.clone(),
        rewound,
        in_state(BranchState::Gone),
        in_state(untrusted),
        wish("a", '3'),
        other,
    ] {
        fresh.set_wish(&wish).await.unwrap();
    }
    let expected = [
        ("wish", "infra-team/infra main: 111111111111"),
        (
            "wish",
            "infra-team/infra main: 111111111111 -> 222222222222",
        ),
        (
            "branch",
            "infra-team/infra main; the branch was rewound, the host keeps its revision (the branch is at 333333333333)",
        ),
        (
            "branch",
            "infra-team/infra main; the branch is gone, the host keeps its revision",
        ),
        (
            "branch",
            "infra-team/infra main; its newest commit is not trusted, the host keeps its revision (the branch is at 333333333333): it is not signed",
        ),
        (
            "wish",
            "infra-team/infra main: 222222222222 -> 333333333333; the branch is followed",
        ),
        (
            "wish",
            "infra-team/infra test: followed from now on, the revision is the same",
        ),
    ];
    let expected = expected.map(|(kind, detail)| (kind.to_owned(), detail.to_owned()));
    assert_eq!(history(&fresh).await, expected);
}

#[tokio::test]
async fn an_entry_of_a_wish_says_of_whom_what_why_and_when() {
    let fresh = Fresh::new().await;
    fresh.set_wish(&wish("a", '3')).await.unwrap();
    let entries = fresh.history(&HistoryFilter::default()).await.unwrap();
    let newest = &entries[0];
    assert_eq!(newest.host, Some(host("a")));
    assert_eq!(newest.revision, Some(revision('3')));
    assert_eq!(newest.cause.as_deref(), Some("delivery one"));
    assert_eq!((newest.at, newest.started_at), (at(2), Some(at(1))));
}

#[tokio::test]
async fn a_wish_and_its_history_are_recorded_both_or_neither() {
    let fresh = Fresh::new().await;
    let mut write = fresh.connections.write("test").await.unwrap();
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON history \
                  BEGIN SELECT RAISE(ABORT, 'not today'); END";
    write.execute(sqlx::query(refuse)).await.unwrap();
    write.commit().await.unwrap();
    let error = fresh.set_wish(&wish("a", '1')).await.unwrap_err();
    assert!(matches!(error, StoreError::Query { .. }), "{error:?}");
    assert_eq!(fresh.wish(&host("a")).await.unwrap(), None);
}

#[tokio::test]
async fn a_persons_long_name_is_cut_and_the_wish_recorded() {
    let fresh = Fresh::new().await;
    let cause = Cause::Person("x".repeat(10_000));
    fresh
        .set_wish(&Wish {
            cause,
            ..wish("a", '1')
        })
        .await
        .unwrap();
    let read = fresh.wish(&host("a")).await.unwrap().unwrap();
    assert!(matches!(read.cause, Cause::Person(who) if who.len() <= 255 && who.ends_with('…')));
}

#[tokio::test]
async fn the_memory_of_a_host_is_kept_whole_or_refused() {
    let fresh = Fresh::new().await;
    assert_eq!(remembered(&fresh, "a").await, None);
    remember(&fresh, "a", "{\"failures\":1}").await;
    remember(&fresh, "a", "{\"failures\":2}").await;
    remember(&fresh, "b", "{}").await;
    let too_long = [(host("a"), "x".repeat((1 << 20) + 1))];
    let error = fresh.record_documents(&too_long).await.unwrap_err();
    let StoreError::TooLong { limit, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(limit, 1_048_576);
    let fresh = fresh.reopened().await;
    let document = remembered(&fresh, "a").await;
    assert_eq!(document.as_deref(), Some("{\"failures\":2}"));
}
