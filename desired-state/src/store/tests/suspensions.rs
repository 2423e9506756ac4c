//! Suspensions.

use super::*;
use crate::{HistoryFilter, Suspension};

pub(super) fn suspension(name: &str, why: &str) -> Suspension {
    Suspension {
        host: host(name),
        why: why.to_owned(),
        by: "ada".to_owned(),
        since: at(1),
    }
}

#[tokio::test]
async fn a_suspension_lasts_over_a_restart_until_it_is_ended_and_all_is_in_the_history() {
    let fresh = Fresh::new().await;
    let first = suspension("a", "moving house");
    fresh.suspend(&first).await.unwrap();
    fresh
        .suspend(&suspension("b", "\u{1b}[31m\0"))
        .await
        .unwrap();
    let fresh = fresh.reopened().await;
    assert_eq!(
        fresh.suspended(&host("a")).await.unwrap(),
        Some(first.clone())
    );
    assert!(fresh.suspended(&host("b")).await.unwrap().is_some());
    let resumed = fresh
        .resume(&host("a"), "bob", "moved", at(5))
        .await
        .unwrap();
    assert_eq!(resumed, Some(first));
    assert_eq!(
        fresh
            .resume(&host("a"), "bob", "moved", at(6))
            .await
            .unwrap(),
        None
    );
    assert_eq!(kinds(&fresh).await, ["suspend", "suspend", "resume"]);
    let newest = fresh
        .history(&HistoryFilter::default())
        .await
        .unwrap()
        .remove(0);
    assert_eq!((newest.detail.as_str(), newest.at), ("moved", at(5)));
}

#[tokio::test]
async fn a_persons_long_explanation_is_cut_and_the_suspension_recorded() {
    let fresh = Fresh::new().await;
    fresh
        .suspend(&suspension("a", &"ä".repeat(10_000)))
        .await
        .unwrap();
    let why = fresh.suspended(&host("a")).await.unwrap().unwrap().why;
    assert!(why.len() <= 4096 && why.ends_with('…'));
}
