//! Deliveries.

use super::super::row::Row;
use super::*;
use crate::Novelty;

fn ids(deliveries: &[ReceivedDelivery]) -> Vec<&str> {
    deliveries
        .iter()
        .map(|delivery| delivery.id.as_str())
        .collect()
}

#[tokio::test]
async fn a_delivery_waits_for_its_fetch_over_a_restart() {
    let fresh = Fresh::new().await;
    assert_eq!(
        fresh.record_delivery(&delivery("one", 1)).await.unwrap(),
        Novelty::First
    );
    let fresh = fresh.reopened().await;
    let waiting = fresh.deliveries_to_fetch(&infra()).await.unwrap();
    assert_eq!(waiting, [delivery("one", 1)]);
    fresh
        .mark_fetched(&infra(), &[waiting[0].id.clone()])
        .await
        .unwrap();
    let fresh = fresh.reopened().await;
    assert_eq!(fresh.deliveries_to_fetch(&infra()).await.unwrap(), []);
}

#[tokio::test]
async fn a_repeated_delivery_says_so_and_rings_again() {
    let fresh = Fresh::new().await;
    fresh.record_delivery(&delivery("one", 1)).await.unwrap();
    // Before the fetch the first time counts: the push is as old as that.
    assert_eq!(
        fresh.record_delivery(&delivery("one", 5)).await.unwrap(),
        Novelty::Repeated
    );
    let waiting = fresh.deliveries_to_fetch(&infra()).await.unwrap();
    assert_eq!(waiting, [delivery("one", 1)]);
    fresh
        .mark_fetched(&infra(), &[waiting[0].id.clone()])
        .await
        .unwrap();
    // After it, this ring is a new one.
    assert_eq!(
        fresh.record_delivery(&delivery("one", 9)).await.unwrap(),
        Novelty::Repeated
    );
    assert_eq!(
        fresh.deliveries_to_fetch(&infra()).await.unwrap(),
        [delivery("one", 9)]
    );
}

#[tokio::test]
async fn a_replay_under_another_deliverys_id_hides_nothing() {
    let fresh = Fresh::new().await;
    fresh.record_delivery(&delivery("one", 1)).await.unwrap();
    let forged = ReceivedDelivery {
        repository: "other/thing".to_owned(),
        branch: Some("old".to_owned()),
        ..delivery("one", 2)
    };
    assert_eq!(
        fresh.record_delivery(&forged).await.unwrap(),
        Novelty::First
    );
    fresh
        .mark_fetched(
            &"other/thing".parse().unwrap(),
            std::slice::from_ref(&forged.id),
        )
        .await
        .unwrap();
    assert_eq!(
        fresh.deliveries_to_fetch(&infra()).await.unwrap(),
        [delivery("one", 1)]
    );
}

#[tokio::test]
async fn what_arrives_during_a_fetch_is_fetched_for_again() {
    let fresh = Fresh::new().await;
    fresh.record_delivery(&delivery("one", 1)).await.unwrap();
    let before: Vec<_> = fresh.deliveries_to_fetch(&infra()).await.unwrap();
    fresh.record_delivery(&delivery("two", 2)).await.unwrap();
    let fetched: Vec<_> = before.into_iter().map(|delivery| delivery.id).collect();
    fresh.mark_fetched(&infra(), &fetched).await.unwrap();
    assert_eq!(
        ids(&fresh.deliveries_to_fetch(&infra()).await.unwrap()),
        ["two"]
    );
    // Nothing to mark is nothing to do.
    fresh.mark_fetched(&infra(), &[]).await.unwrap();
}

#[tokio::test]
async fn a_repository_is_found_whatever_case_gitea_sends() {
    let fresh = Fresh::new().await;
    let sent = ReceivedDelivery {
        repository: "Infra-Team/Infra".to_owned(),
        ..delivery("one", 1)
    };
    fresh.record_delivery(&sent).await.unwrap();
    assert_eq!(
        fresh.deliveries_to_fetch(&infra()).await.unwrap(),
        std::slice::from_ref(&sent)
    );
    fresh.mark_fetched(&infra(), &[sent.id]).await.unwrap();
    assert_eq!(fresh.deliveries_to_fetch(&infra()).await.unwrap(), []);
}

#[tokio::test]
async fn whatever_a_sender_writes_is_recorded_within_bounds() {
    let fresh = Fresh::new().await;
    let sent = ReceivedDelivery {
        id: "'; DROP TABLE deliveries; --".parse().unwrap(),
        event: "e".repeat(100_000),
        repository: "漢\0".repeat(100_000),
        branch: Some("\u{1b}[2J".repeat(100_000)),
        received_at: at(0),
    };
    fresh.record_delivery(&sent).await.unwrap();
    let query = sqlx::query("SELECT repository, branch FROM deliveries");
    let texts = |row: Row<'_>| Ok((row.text("repository")?, row.text("branch")?));
    let stored = fresh.connections.all("test", query, texts).await.unwrap();
    let [(repository, branch)] = &stored[..] else {
        panic!("{stored:?}");
    };
    assert!(repository.len() <= 255 && !repository.contains('\0'));
    assert!(branch.len() <= 1024);
    let none = ReceivedDelivery {
        branch: None,
        ..delivery("two", 2)
    };
    fresh.record_delivery(&none).await.unwrap();
    assert_eq!(fresh.deliveries_to_fetch(&infra()).await.unwrap(), [none]);
}

#[tokio::test]
async fn a_question_is_answered_in_bounded_pieces_oldest_first() {
    let fresh = Fresh::new().await;
    let mut write = fresh.connections.write("test").await.unwrap();
    for number in 0..1500_i64 {
        let query = "INSERT INTO deliveries \
                     (id, event, repository, repository_key, branch, received_at, fetched) \
                     VALUES ($1, 'push', 'infra-team/infra', 'infra-team/infra', 'main', $2, 0)";
        let query = sqlx::query(query).bind(number.to_string()).bind(number);
        write.execute(query).await.unwrap();
    }
    write.commit().await.unwrap();
    let first = fresh.deliveries_to_fetch(&infra()).await.unwrap();
    assert_eq!((first.len(), first[0].id.as_str()), (1000, "0"));
    let fetched: Vec<_> = first.into_iter().map(|delivery| delivery.id).collect();
    fresh.mark_fetched(&infra(), &fetched).await.unwrap();
    let rest = fresh.deliveries_to_fetch(&infra()).await.unwrap();
    assert_eq!((rest.len(), rest[0].id.as_str()), (500, "1000"));
}
