//! What is in every stored state file: a week of two hosts, told by the store's own methods.

use std::time::Duration;

use desired_state::{
    BranchState, Built, Cause, Collection, CollectionResult, Deployment, HistoryEntry,
    HistoryFilter, HostName, NixStore, Pin, ReceivedDelivery, RepositoryName, Revision, Store,
    StoreError, Suspension, Unannounced, Wish,
};
use jiff::Timestamp;

type Told = Result<(), Box<dyn std::error::Error>>;

/// The schema since which garbage collections are kept.
const COLLECTIONS: i64 = 4;

/// The document of a host's memory, which the store keeps without reading it.
const DOCUMENT: &str = r#"{"failures":2,"machine_id":"0123456789abcdef0123456789abcdef"}"#;

/// So many seconds after the story's beginning.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap_or_default()
}

fn host(name: &str) -> Result<HostName, Box<dyn std::error::Error>> {
    Ok(name.parse()?)
}

fn infra() -> Result<RepositoryName, Box<dyn std::error::Error>> {
    Ok("infra-team/infra".parse()?)
}

/// The revision whose digits are all this one.
fn revision(digit: char) -> Result<Revision, Box<dyn std::error::Error>> {
    Ok(digit.to_string().repeat(40).parse()?)
}

fn toplevel(name: &str) -> String {
    format!("/nix/store/0c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-nixos-system-{name}")
}

fn deliveries() -> Result<Vec<ReceivedDelivery>, Box<dyn std::error::Error>> {
    let delivery = |id: &str, seconds| -> Result<_, Box<dyn std::error::Error>> {
        Ok(ReceivedDelivery {
            id: id.parse()?,
            event: "push".to_owned(),
            repository: "Infra-Team/infra".to_owned(),
            branch: Some("main".to_owned()),
            received_at: at(seconds),
        })
    };
    Ok(vec![
        delivery("11111111-fetched", 0)?,
        delivery("22222222-to-fetch", 500)?,
    ])
}

fn wishes() -> Result<Vec<Wish>, Box<dyn std::error::Error>> {
    let wish = |name: &str, digit, branch_state, cause| -> Result<_, Box<dyn std::error::Error>> {
        Ok(Wish {
            host: host(name)?,
            repository: infra()?,
            branch: "main".parse()?,
            revision: Some(revision(digit)?),
            branch_state,
            cause,
            requested_at: at(1),
            recorded_at: at(2),
        })
    };
    let pushed = Cause::Delivery("11111111-fetched".parse()?);
    let rewound = BranchState::Rewound { to: revision('9')? };
    let untrusted = BranchState::Untrusted {
        to: revision('8')?,
        why: "it is not signed".to_owned(),
    };
    Ok(vec![
        wish("cyt-pi", '1', BranchState::Present, pushed)?,
        wish("lazyworkhorse", '2', rewound, Cause::Poll)?,
        wish("uconsole", '3', untrusted, Cause::Poll)?,
    ])
}

fn pin() -> Result<Pin, Box<dyn std::error::Error>> {
    Ok(Pin {
        host: host("cyt-pi")?,
        revision: revision('a')?,
        action: "switch".to_owned(),
        branch: Some("try-this".parse()?),
        by: "ada".to_owned(),
        since: at(100),
    })
}

fn suspension() -> Result<Suspension, Box<dyn std::error::Error>> {
    Ok(Suspension {
        host: host("lazyworkhorse")?,
        why: "a new disk".to_owned(),
        by: "bob".to_owned(),
        since: at(200),
    })
}

fn deployment() -> Result<Deployment, Box<dyn std::error::Error>> {
    Ok(Deployment {
        id: "20270115t080500z-01234567".to_owned(),
        host: host("uconsole")?,
        revision: revision('3')?,
        toplevel: toplevel("new"),
        old_toplevel: toplevel("old"),
        action: "switch".to_owned(),
        boot_id: "the-boot-id".to_owned(),
        destination: "uconsole".to_owned(),
        started_at: at(300),
        trigger: "poll".to_owned(),
    })
}

fn ended() -> Result<HistoryEntry, Box<dyn std::error::Error>> {
    let mut entry = HistoryEntry::new(at(50), "deployment");
    entry.host = Some(host("cyt-pi")?);
    entry.revision = Some(revision('1')?);
    entry.toplevel = Some(toplevel("new"));
    entry.action = Some("switch".to_owned());
    entry.outcome = Some("converged".to_owned());
    entry.detail = "converged".to_owned();
    entry.cause = Some("delivery 11111111-fetched".to_owned());
    entry.deployment = Some("20270115t080000z-01234567".to_owned());
    entry.started_at = Some(at(40));
    Ok(entry)
}

fn built() -> Result<Built, Box<dyn std::error::Error>> {
    Ok(Built {
        repository: infra()?,
        attribute: ".#cyt-pi".to_owned(),
        revision: revision('1')?,
        derivation: format!("{}.drv", toplevel("new")),
        toplevel: toplevel("new"),
        system: "aarch64-linux".to_owned(),
        built_at: None,
    })
}

fn unannounced() -> Result<Unannounced, Box<dyn std::error::Error>> {
    Ok(Unannounced {
        repository: infra()?,
        branch: "unheard-of".parse()?,
        revision: revision('5')?,
        found_at: at(400),
    })
}

fn collections() -> Result<[(NixStore, Collection); 2], Box<dyn std::error::Error>> {
    let collection = |result, freed, detail: &str| Collection {
        began_at: at(600),
        ended_at: at(700),
        result,
        freed,
        detail: detail.to_owned(),
    };
    Ok([
        (
            NixStore::Controller,
            collection(CollectionResult::Done, 5_000_000_000, ""),
        ),
        (
            NixStore::Host(host("cyt-pi")?),
            collection(CollectionResult::Failed, 0, "the disk is full"),
        ),
    ])
}

/// Tells the story to a store that is empty.
pub async fn tell(store: &Store) -> Told {
    let deliveries = deliveries()?;
    for delivery in &deliveries {
        store.record_delivery(delivery).await?;
    }
    let fetched: Vec<_> = deliveries
        .iter()
        .take(1)
        .map(|one| one.id.clone())
        .collect();
    store.mark_fetched(&infra()?, &fetched).await?;
    store.set_wishes(&wishes()?).await?;
    store.append(&ended()?).await?;
    store.pin_all(&[pin()?]).await?;
    store.suspend(&suspension()?).await?;
    store
        .record_documents(&[(host("cyt-pi")?, DOCUMENT.to_owned())])
        .await?;
    store.begin_deployment(&deployment()?).await?;
    store.record_built(&[built()?]).await?;
    let found = unannounced()?;
    store
        .note_unannounced(
            &found.repository,
            &found.branch,
            &found.revision,
            found.found_at,
        )
        .await?;
    for (of, collection) in collections()? {
        store.record_collection(&of, &collection).await?;
    }
    Ok(())
}

/// Checks that a store knows all that could be told to one of this schema, and that one can go on with it.
pub async fn assert_known(store: &Store, schema: i64) -> Told {
    for (of, collection) in collections()? {
        let known = (schema >= COLLECTIONS).then_some(collection);
        assert_eq!(store.last_collection(&of).await?, known);
    }
    assert_eq!(store.wishes().await?, wishes()?);
    assert_eq!(store.pins().await?, [pin()?]);
    let (suspended, in_flight) = (suspension()?, deployment()?);
    let known = store.suspended(&suspended.host).await?;
    assert_eq!(known, Some(suspended));
    let known = store.host_record(&in_flight.host).await?;
    assert_eq!(known.in_flight, Some(in_flight));
    let known = store.host_record(&host("cyt-pi")?).await?;
    assert_eq!(known.document.as_deref(), Some(DOCUMENT));
    let known = store.built(&infra()?, ".#cyt-pi", &revision('1')?).await?;
    assert_eq!(known, Some(built()?));
    let missed = store
        .settle_unannounced(at(1000), Duration::from_secs(30))
        .await?;
    assert_eq!(missed, [unannounced()?]);

    let [fetched, to_fetch] = &deliveries()?[..] else {
        return Err("the story has two deliveries".into());
    };
    assert_eq!(
        store.deliveries_to_fetch(&infra()?).await?,
        std::slice::from_ref(to_fetch)
    );
    let again = store.record_delivery(fetched).await?;
    assert_eq!(again, desired_state::Novelty::Repeated);

    let past = store.history(&HistoryFilter::default()).await?;
    let kinds: Vec<&str> = past.iter().rev().map(|entry| entry.kind.as_str()).collect();
    assert_eq!(
        kinds,
        ["wish", "wish", "wish", "deployment", "pin", "suspend"]
    );
    let mut entry = past[2].clone();
    entry.id = 0;
    assert_eq!(entry, ended()?);
    let proven = store
        .hosts_that_ended(&revision('1')?, &["converged"])
        .await?;
    assert_eq!(proven, [host("cyt-pi")?]);

    go_on(store, past[0].id).await?;
    Ok(())
}

/// What comes next is taken like what came before.
async fn go_on(store: &Store, newest: i64) -> Result<(), StoreError> {
    let mut entry = HistoryEntry::new(at(1000), "resume");
    entry.detail = "the disk is in".to_owned();
    assert!(store.append(&entry).await? > newest, "no id is used twice");
    let pin = store.pins().await?.remove(0);
    assert_eq!(store.unpin(&pin.host, "ada", at(1001)).await?, Some(pin));
    store.prune(at(1002)).await?;
    Ok(())
}
