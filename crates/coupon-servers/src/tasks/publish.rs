//! Publishing with an eye on what comes of it.

use std::sync::Arc;

use async_trait::async_trait;
use coupon_core::PerGate;

use super::handles::Gates;
use crate::gate::EpochCell;
use crate::seam::{Publish, PublishError, Route, Until};

/// A way to publish that raises the gatekeeper where a message finds no queue: the queue was deleted, or the gate has been
/// filled anew, and what this one granted was never granted. A grab or a task may have published it: it is looked into.
pub(crate) struct Watched {
    publisher: Box<dyn Publish>,
    epochs: PerGate<Arc<EpochCell>>,
}

impl Watched {
    pub(crate) fn new(publisher: Box<dyn Publish>, gates: &Gates) -> Self {
        let epochs = gates.count().each(|gate| Arc::clone(&gates.get(gate).epoch));
        Self { publisher, epochs }
    }
}

#[async_trait]
impl Publish for Watched {
    fn refusal(&self) -> Option<PublishError> {
        self.publisher.refusal()
    }

    fn refusal_of(&self, route: Route) -> Option<PublishError> {
        self.publisher.refusal_of(route)
    }

    async fn send(&self, route: Route, body: Vec<u8>, until: Until) -> Result<(), PublishError> {
        let sent = self.publisher.send(route, body, until).await;
        if sent == Err(PublishError::NoRoute) {
            match route {
                Route::Results(epoch, _) => self.epochs.of_epoch(epoch).suspect(),
                // Any of them makes the queues anew.
                Route::Queue(_) | Route::Parking => self.epochs.iter().for_each(|epoch| epoch.suspect()),
            }
        }
        sent
    }
}
