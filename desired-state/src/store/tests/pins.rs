//! Pins.

use super::*;
use crate::{HistoryFilter, Pin};

pub(super) fn pin(name: &str, digit: char) -> Pin {
    Pin {
        host: host(name),
        revision: revision(digit),
        action: "switch".to_owned(),
        branch: Some("hotfix".parse().unwrap()),
        by: "ada".to_owned(),
        since: at(1),
    }
}

#[tokio::test]
async fn a_pin_holds_over_a_restart_until_it_is_taken_away_and_all_is_in_the_history() {
    let fresh = Fresh::new().await;
    fresh.pin_all(&[pin("a", '1')]).await.unwrap();
    let second = Pin {
        branch: None,
        ..pin("a", '2')
    };
    fresh
        .pin_all(&[second.clone(), pin("b", '1')])
        .await
        .unwrap();
    let fresh = fresh.reopened().await;
    assert_eq!(
        fresh.pinned(&host("a")).await.unwrap(),
        Some(second.clone())
    );
    assert_eq!(fresh.pins().await.unwrap(), [second.clone(), pin("b", '1')]);
    assert_eq!(
        fresh.unpin(&host("a"), "bob", at(5)).await.unwrap(),
        Some(second)
    );
    assert_eq!(fresh.unpin(&host("a"), "bob", at(6)).await.unwrap(), None);
    assert_eq!(fresh.pinned(&host("a")).await.unwrap(), None);
    assert_eq!(kinds(&fresh).await, ["pin", "pin", "pin", "unpin"]);
    let newest = fresh
        .history(&HistoryFilter::default())
        .await
        .unwrap()
        .remove(0);
    assert_eq!(newest.cause.as_deref(), Some("person bob"));
    assert_eq!((newest.at, newest.started_at), (at(5), Some(at(1))));
    assert_eq!(newest.revision, Some(revision('2')));
}

#[tokio::test]
async fn of_several_pins_all_are_recorded_or_none() {
    let fresh = Fresh::new().await;
    let too_long = Pin {
        action: "switch".repeat(20),
        ..pin("b", '1')
    };
    assert!(fresh.pin_all(&[pin("a", '1'), too_long]).await.is_err());
    assert_eq!(fresh.pins().await.unwrap(), []);
    assert!(kinds(&fresh).await.is_empty());
}
