//! What stands behind the webhook receiver: a verified delivery is written down, then the bell of
//! its repository rings.

use crate::context::Context;
use std::sync::Arc;

use arc_swap::ArcSwap;
use desired_state::{DeliveryId, ReceivedDelivery};
use webhook::{Delivery, Doorbell, Event, NotRecorded, Secrets, Verdict};

/// The daemon's side of the receiver.
#[derive(Debug)]
pub struct Receiver {
    context: Arc<Context>,
    secrets: ArcSwap<Secrets>,
}

impl Receiver {
    /// One that knows these secrets.
    pub fn new(context: Arc<Context>, secrets: Secrets) -> Self {
        Self {
            context,
            secrets: ArcSwap::from_pointee(secrets),
        }
    }

    /// The secret files have changed.
    pub fn take_up_secrets(&self, secrets: Secrets) {
        self.secrets.store(Arc::new(secrets));
    }
}

impl Doorbell for Receiver {
    fn secrets(&self) -> Arc<Secrets> {
        self.secrets.load_full()
    }

    async fn ring(&self, delivery: Delivery) -> Result<(), NotRecorded> {
        let clients = self.context.clients();
        // Hooks of an organisation or of the whole server tell of repositories that nobody follows.
        let repository = clients
            .repositories
            .values()
            .find(|repository| repository.name.is_called(&delivery.repository));
        let Some(repository) = repository else {
            tracing::info!(
                repository = delivery.repository,
                "no host follows this repository; nothing to look at"
            );
            if let Some(head) = delivery.head.and_then(|head| head.parse().ok()) {
                let strangers = &self.context.registries.strangers;
                strangers.note(&delivery.repository, head);
            }
            return Ok(());
        };
        let (event, is_a_test) = match &delivery.event {
            Event::Pushed { .. } => ("push", false),
            Event::Deleted { .. } => ("delete", false),
            Event::Test { .. } => ("test", true),
            Event::Ignored { .. } => return Ok(()),
        };
        let received_at = self.context.now();
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
        self.context
            .store
            .record_delivery(&received)
            .await
            .map_err(NotRecorded::new)?;
        self.context.metrics.delivery_accepted(received_at);
        if !is_a_test {
            repository.bell.notify_one();
        }
        Ok(())
    }

    fn answered(&self, event: &'static str, verdict: Verdict) {
        self.context
            .metrics
            .delivery_answered(event, verdict.label());
    }
}

#[cfg(test)]
mod tests;
