//! Windows that DataFusion refuses, as those that it computes.

mod case_keys;
mod computed;
mod distances;
mod exclusion;
mod frame;
mod peers;
mod recomputed;
mod shifted;
mod zoned;

use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;

pub use exclusion::{Exclusion, mark};

pub(crate) use frame::named;
pub(crate) use shifted::register;

/// The builder with the rules for windows, some before types are coerced and some after.
pub(crate) fn with_rules(mut builder: SessionStateBuilder) -> SessionStateBuilder {
    if let Some(analyzer) = builder.analyzer() {
        analyzer.rules.insert(0, Arc::new(peers::PeerFrames));
        analyzer.rules.insert(1, Arc::new(distances::Distances));
        analyzer.rules.push(Arc::new(recomputed::RecomputedFrames));
        analyzer.rules.push(Arc::new(case_keys::CaseKeys));
    }
    builder
}
