//! What stands behind the webhook receiver: a verified delivery is written down, then the bell of
//! its repository rings.

use std::sync::Arc;

use arc_swap::ArcSwap;
use desired_state::{DeliveryId, ReceivedDelivery};
use webhook::{Delivery, Doorbell, Event, NotRecorded, Secrets, Verdict};

use crate::clock;
use crate::world::World;

/// The daemon's side of the receiver.
#[derive(Debug)]
pub struct Bell {
    world: Arc<World>,
    secrets: ArcSwap<Secrets>,
}

impl Bell {
    /// A bell that knows these secrets.
    pub fn new(world: Arc<World>, secrets: Secrets) -> Self {
        Self {
            world,
            secrets: ArcSwap::from_pointee(secrets),
        }
    }

    /// The secret files have changed.
    pub fn take_up_secrets(&self, secrets: Secrets) {
        self.secrets.store(Arc::new(secrets));
    }
}

impl Doorbell for Bell {
    fn secrets(&self) -> Arc<Secrets> {
        self.secrets.load_full()
    }

    async fn ring(&self, delivery: Delivery) -> Result<(), NotRecorded> {
        let setup = self.world.setup();
        // Hooks of an organisation or of the whole server tell of repositories that nobody follows.
        let repository = setup
            .repositories
            .values()
            .find(|repository| repository.name.is_called(&delivery.repository));
        let Some(repository) = repository else {
            tracing::info!(
                repository = delivery.repository,
                "no host follows this repository; nothing to look at"
            );
            return Ok(());
        };
        let (event, is_a_test) = match &delivery.event {
            Event::Pushed { .. } => ("push", false),
            Event::Deleted { .. } => ("delete", false),
            Event::Test { .. } => ("test", true),
            Event::Ignored { .. } => return Ok(()),
        };
        let received_at = clock::now();
        // The header with the id is not signed; a strange one must not keep a push from counting.
        let id = delivery.id.parse::<DeliveryId>().or_else(|_| {
            format!("without-id-{}", received_at.as_microsecond()).parse::<DeliveryId>()
        });
        let received = ReceivedDelivery {
            id: id.map_err(NotRecorded::new)?,
            event: event.to_owned(),
            repository: repository.name.to_string(),
            branch: delivery.event.branch().map(ToOwned::to_owned),
            received_at,
        };
        self.world
            .store
            .record_delivery(&received)
            .await
            .map_err(NotRecorded::new)?;
        self.world.metrics.delivery_accepted(received_at);
        if !is_a_test {
            repository.bell.notify_one();
        }
        Ok(())
    }

    fn answered(&self, event: &'static str, verdict: Verdict) {
        self.world.metrics.delivery_answered(event, verdict.label());
    }
}
