//! Collections: the last one of each store counts, also after a restart.

use super::*;
use crate::{Collection, CollectionResult, NixStore};

pub(super) fn collection(seconds: i64, result: CollectionResult) -> Collection {
    Collection {
        began_at: at(seconds),
        ended_at: at(seconds + 7),
        result,
        freed: 5 << 40,
        detail: "12 paths".to_owned(),
    }
}

#[tokio::test]
async fn the_last_collection_of_each_store_is_known_after_a_restart() {
    let fresh = Fresh::new().await;
    let pi = NixStore::Host(host("cyt-pi"));
    assert_eq!(fresh.last_collection(&pi).await.unwrap(), None);
    for (of, seconds, result) in [
        (&NixStore::Controller, 1, CollectionResult::Done),
        (&pi, 2, CollectionResult::Done),
        (&pi, 3, CollectionResult::Failed),
    ] {
        let collection = collection(seconds, result);
        fresh.record_collection(of, &collection).await.unwrap();
    }
    let fresh = fresh.reopened().await;
    assert_eq!(
        fresh.last_collection(&NixStore::Controller).await.unwrap(),
        Some(collection(1, CollectionResult::Done))
    );
    assert_eq!(
        fresh.last_collection(&pi).await.unwrap(),
        Some(collection(3, CollectionResult::Failed))
    );
}
