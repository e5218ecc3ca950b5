//! Windows that DataFusion refuses, as those that it computes.

mod case_keys;
mod exclusion;
mod frame;
mod peers;
mod recomputed;

use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;

pub use exclusion::{Exclusion, mark};

pub(crate) use frame::named;

/// The builder with the rules for windows: one before types are coerced, one after.
pub(crate) fn with_rules(mut builder: SessionStateBuilder) -> SessionStateBuilder {
    if let Some(analyzer) = builder.analyzer() {
        analyzer.rules.insert(0, Arc::new(peers::PeerFrames));
        analyzer.rules.push(Arc::new(recomputed::RecomputedFrames));
        analyzer.rules.push(Arc::new(case_keys::CaseKeys));
    }
    builder
}
