//! The metrics of the servers' backend alone.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use coupon_store::metrics::Exposition;
use coupon_store::settings::Role;
use coupon_store::timekeeping::ClockOffset;
use coupon_store::{OwnMetrics, Repairs};

use super::counts;
use super::tasks::Background;

/// The counts of tasks and queues, and the clock.
pub(super) struct ServersMetrics {
    pub(super) background: Arc<Background>,
    pub(super) role: Role,
}

fn expose_clock(clock_offset: &ClockOffset, page: &mut Exposition) {
    #[expect(clippy::cast_precision_loss, reason = "a difference of clocks, in milliseconds")]
    let offset = clock_offset.offset_ms() as f64 / 1_000.0;
    page.gauge(
        "coupon_clock_offset_seconds",
        "By how much this process's clock is ahead of the main database's, when they were last compared.",
    )
    .is(&[], offset);
}

impl OwnMetrics for ServersMetrics {
    fn repairs(&self) -> Repairs {
        let counts = &self.background.counts;
        Repairs {
            reconciled: counts.reconciled.load(Ordering::Relaxed),
            restored: counts.restored.load(Ordering::Relaxed),
        }
    }

    fn expose(&self, page: &mut Exposition) {
        let Background { counts, gates, queues, time, .. } = &*self.background;
        expose_clock(&time.clock_offset, page);
        page.histogram(
            "coupon_catalogue_change_seconds",
            "Time from asking this process for a change of the catalogue until the gate enforced it and every process knew.",
        )
        .holds(&[], &counts.catalogue);
        let epochs = gates.count().each(|gate| gates.get(gate).epoch.number());
        counts::expose(counts, &epochs, self.role, page);
        let mut connections =
            page.gauge("coupon_queue_connections", "Connections of this process to each node of RabbitMQ.");
        for (node, count) in queues.server.connections() {
            connections.is(&[("node", &node)], count);
        }
    }
}
