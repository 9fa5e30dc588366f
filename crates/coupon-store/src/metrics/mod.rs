//! Metrics: histograms, and the text that Prometheus reads.

mod buckets;
mod exposition;

pub use buckets::Buckets;
pub use exposition::{Exposition, MetricFamily};
