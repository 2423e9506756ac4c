//! Pruning.

use super::*;
use crate::{Built, HistoryEntry, HistoryFilter, Pruned};

const DAY: i64 = 24 * 3600;

#[tokio::test]
async fn deliveries_and_findings_older_than_thirty_days_go() {
    let fresh = Fresh::new().await;
    for (id, seconds) in [("old", 0), ("young", DAY)] {
        fresh.record_delivery(&delivery(id, seconds)).await.unwrap();
    }
    fresh
        .note_unannounced(&infra(), &"test".parse().unwrap(), &revision('1'), at(0))
        .await
        .unwrap();
    let pruned = fresh.prune(at(30 * DAY + 1)).await.unwrap();
    assert_eq!(
        pruned,
        Pruned {
            deliveries: 1,
            unannounced: 1,
            ..Pruned::default()
        }
    );
    assert_eq!(
        fresh.deliveries_to_fetch(&infra()).await.unwrap(),
        [delivery("young", DAY)]
    );
    assert_eq!(
        fresh.prune(at(30 * DAY + 1)).await.unwrap(),
        Pruned::default()
    );
}

#[tokio::test]
async fn a_flood_of_deliveries_is_cut_to_the_newest() {
    let fresh = Fresh::new().await;
    let mut write = fresh.connections.write("test").await.unwrap();
    for number in 0..10_050_i64 {
        let query = "INSERT INTO deliveries \
                     (id, event, repository, repository_key, branch, received_at, fetched) \
                     VALUES ($1, 'push', 'infra-team/infra', 'infra-team/infra', 'main', $2, 0)";
        let query = sqlx::query(query)
            .bind(number.to_string())
            .bind(at(number).as_microsecond());
        write.execute(query).await.unwrap();
    }
    write.commit().await.unwrap();
    assert_eq!(fresh.prune(at(0)).await.unwrap().deliveries, 50);
    let oldest = fresh.deliveries_to_fetch(&infra()).await.unwrap().remove(0);
    assert_eq!(oldest.id.as_str(), "50");
}

#[tokio::test]
async fn each_host_keeps_its_newest_history_and_a_busy_one_does_not_push_out_a_quiet_one() {
    let fresh = Fresh::new().await;
    let mut write = fresh.connections.write("test").await.unwrap();
    for (name, count) in [(Some("quiet"), 1), (Some("busy"), 5010), (None, 5001)] {
        for seconds in 0..count {
            let entry = HistoryEntry {
                host: name.map(host),
                ..HistoryEntry::new(at(seconds), "test")
            };
            super::super::history::insert(&mut write, &entry)
                .await
                .unwrap();
        }
    }
    write.commit().await.unwrap();
    assert_eq!(fresh.prune(at(0)).await.unwrap().history, 11);
    assert_eq!(fresh.prune(at(0)).await.unwrap().history, 0);
    let newest = |name: &str| HistoryFilter {
        host: Some(host(name)),
        ..HistoryFilter::default()
    };
    assert_eq!(fresh.history(&newest("quiet")).await.unwrap().len(), 1);
    assert_eq!(
        fresh.history(&newest("busy")).await.unwrap()[0].at,
        at(5009)
    );
    // Afterwards the history is as closed as before, and no id is used twice.
    let mut write = fresh.connections.write("test").await.unwrap();
    write
        .execute(sqlx::query("DELETE FROM history"))
        .await
        .unwrap_err();
    drop(write);
    let id = fresh
        .append(&HistoryEntry::new(at(0), "test"))
        .await
        .unwrap();
    assert_eq!(id, 1 + 5010 + 5001 + 1);
}

#[tokio::test]
async fn each_attribute_keeps_its_newest_builds() {
    let fresh = Fresh::new().await;
    let built = |number: u32| Built {
        repository: infra(),
        attribute: ".#a".to_owned(),
        revision: format!("{number:040x}").parse().unwrap(),
        derivation: "/nix/store/a.drv".to_owned(),
        toplevel: "/nix/store/a".to_owned(),
        system: "x86_64-linux".to_owned(),
        built_at: None,
    };
    for number in 1..=203 {
        fresh.record_built(&[built(number)]).await.unwrap();
    }
    assert_eq!(fresh.prune(at(0)).await.unwrap().built, 3);
    for (number, known) in [(3, false), (4, true), (203, true)] {
        let found = fresh
            .built(&infra(), ".#a", &built(number).revision)
            .await
            .unwrap();
        assert_eq!(found.is_some(), known, "{number}");
    }
}
