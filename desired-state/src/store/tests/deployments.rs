//! Deployments in flight, and what was built.

use super::*;
use crate::{Built, Deployment, HistoryEntry, HistoryFilter, Record, StoreError};

pub(super) fn deployment(id: &str, name: &str) -> Deployment {
    Deployment {
        id: id.to_owned(),
        host: host(name),
        revision: revision('1'),
        toplevel: "/nix/store/new".to_owned(),
        old_toplevel: "/nix/store/old".to_owned(),
        action: "switch".to_owned(),
        boot_id: "6f2b0c3e-0000-0000-0000-000000000000".to_owned(),
        destination: "ssh://ai-worker@host:2424".to_owned(),
        started_at: at(1),
        trigger: "delivery one".to_owned(),
    }
}

pub(super) fn ended() -> HistoryEntry {
    HistoryEntry {
        outcome: Some("converged".to_owned()),
        ..HistoryEntry::new(at(9), "deployment")
    }
}

/// How `d-1` on `a` ended.
fn end() -> Record {
    Record {
        document: Some("{}".to_owned()),
        ended: Some("d-1".to_owned()),
        history: vec![ended()],
        ..Record::new(host("a"))
    }
}

async fn in_flight(store: &Store, name: &str) -> Option<Deployment> {
    store.host_record(&host(name)).await.unwrap().in_flight
}

#[tokio::test]
async fn a_deployment_in_flight_is_found_after_a_restart_and_gone_when_it_has_ended() {
    let fresh = Fresh::new().await;
    fresh
        .begin_deployment(&deployment("d-1", "a"))
        .await
        .unwrap();
    let later = Deployment {
        started_at: at(2),
        ..deployment("d-0", "b")
    };
    fresh.begin_deployment(&later).await.unwrap();
    let fresh = fresh.reopened().await;
    assert_eq!(in_flight(&fresh, "b").await, Some(later));
    assert_eq!(in_flight(&fresh, "a").await, Some(deployment("d-1", "a")));
    fresh.record(&end()).await.unwrap();
    assert_eq!(in_flight(&fresh, "a").await, None);
    let entry = fresh
        .history(&HistoryFilter::default())
        .await
        .unwrap()
        .remove(0);
    assert_eq!(
        (entry.deployment.as_deref(), entry.host),
        (Some("d-1"), Some(host("a")))
    );
    assert_eq!(entry.outcome.as_deref(), Some("converged"));
}

#[tokio::test]
async fn a_second_deployment_of_a_host_is_refused_by_name() {
    let fresh = Fresh::new().await;
    fresh
        .begin_deployment(&deployment("d-1", "a"))
        .await
        .unwrap();
    let error = fresh
        .begin_deployment(&deployment("d-2", "a"))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, StoreError::AlreadyInFlight { host: named, deployment } if *named == host("a") && deployment == "d-1"),
        "{error:?}"
    );
    assert!(!error.is_worth_retrying());
    // Another host is not concerned, and the same deployment may be said twice.
    fresh
        .begin_deployment(&deployment("d-2", "b"))
        .await
        .unwrap();
    fresh
        .begin_deployment(&deployment("d-1", "a"))
        .await
        .unwrap();
    for (id, name) in [("d-1", "a"), ("d-2", "b")] {
        assert_eq!(in_flight(&fresh, name).await, Some(deployment(id, name)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_begin_at_once_on_one_host_exactly_one_does() {
    let fresh = Fresh::new().await;
    let mut beginners = tokio::task::JoinSet::new();
    for number in 0..20 {
        let store = fresh.store.clone();
        beginners.spawn(async move {
            store
                .begin_deployment(&deployment(&format!("d-{number}"), "a"))
                .await
                .is_ok()
        });
    }
    let begun = beginners.join_all().await;
    assert_eq!(begun.into_iter().filter(|begun| *begun).count(), 1);
}

#[tokio::test]
async fn an_end_leaves_the_deployment_in_flight_when_its_entry_cannot_be_recorded() {
    let fresh = Fresh::new().await;
    fresh
        .begin_deployment(&deployment("d-1", "a"))
        .await
        .unwrap();
    let mut write = fresh.connections.write("test").await.unwrap();
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON history \
                  BEGIN SELECT RAISE(ABORT, 'not today'); END";
    write.execute(sqlx::query(refuse)).await.unwrap();
    write.commit().await.unwrap();
    fresh.record(&end()).await.unwrap_err();
    assert!(in_flight(&fresh, "a").await.is_some());
    assert_eq!(remembered(&fresh, "a").await, None);
}

#[tokio::test]
async fn a_store_path_that_does_not_fit_is_refused_rather_than_cut() {
    let fresh = Fresh::new().await;
    let long = Deployment {
        toplevel: "x".repeat(1025),
        ..deployment("d-1", "a")
    };
    let error = fresh.begin_deployment(&long).await.unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::TooLong {
                field: "toplevel",
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(in_flight(&fresh, "a").await, None);
}

#[tokio::test]
async fn what_was_built_is_remembered_by_repository_attribute_and_revision() {
    let fresh = Fresh::new().await;
    let evaluated = Built {
        repository: infra(),
        attribute: ".#a".to_owned(),
        revision: revision('1'),
        derivation: "/nix/store/a.drv".to_owned(),
        toplevel: "/nix/store/a".to_owned(),
        system: "aarch64-linux".to_owned(),
        built_at: None,
    };
    fresh
        .record_built(std::slice::from_ref(&evaluated))
        .await
        .unwrap();
    assert_eq!(
        fresh.built(&infra(), ".#a", &revision('1')).await.unwrap(),
        Some(evaluated.clone())
    );
    let built = Built {
        built_at: Some(at(3)),
        ..evaluated
    };
    fresh
        .record_built(std::slice::from_ref(&built))
        .await
        .unwrap();
    let fresh = fresh.reopened().await;
    assert_eq!(
        fresh.built(&infra(), ".#a", &revision('1')).await.unwrap(),
        Some(built)
    );
    assert_eq!(
        fresh.built(&infra(), ".#a", &revision('2')).await.unwrap(),
        None
    );
    assert_eq!(
        fresh.built(&infra(), ".#b", &revision('1')).await.unwrap(),
        None
    );
}
