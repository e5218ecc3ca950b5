//! Which errors are worth another try: those of the executors, not those of the statement.

use datafusion::common::DataFusionError;
use watershed_cluster::fault::{is_transport, reason};
use watershed_core::{Error, SqlState};
use watershed_storage::error::from_datafusion;

/// Tries in all, the first one included.
pub(crate) const MAX_TRIES: u32 = 4;

/// What an error says about the executor it came from.
pub(crate) enum Fault {
    /// The statement's own: it would come again.
    Statement(Error),
    /// The executor's, or the network's: another executor may do better.
    Executor(DataFusionError),
}

/// Tells the two apart. A transport error is the executor's; so is a transport error that an executor reports.
/// Everything else came from evaluating the statement.
pub(crate) fn judge(error: DataFusionError) -> Fault {
    if is_transport(&error) {
        Fault::Executor(error)
    } else {
        Fault::Statement(from_datafusion(error))
    }
}

/// The error of a statement whose executors all failed.
pub(crate) fn exhausted(last: &DataFusionError) -> Error {
    Error::new(
        SqlState::CannotConnectNow,
        "the executors that ran the statement were lost",
    )
    .with_detail(reason(last))
    .with_hint("Run it again once executors are back: SELECT * FROM system.executors.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retried(error: DataFusionError) -> bool {
        matches!(judge(error), Fault::Executor(_))
    }

    #[test]
    fn executors_faults_are_tried_again_and_the_statements_are_not() {
        assert!(retried(DataFusionError::External(Box::new(
            tonic::Status::unavailable("gone")
        ))));
        assert!(retried(DataFusionError::External(Box::new(
            tonic::Status::unknown("transport error")
        ))));
        assert!(!retried(DataFusionError::Execution(
            "cannot cast string 'connection refused'".into()
        )));
        assert!(retried(DataFusionError::Context(
            "reading".into(),
            Box::new(DataFusionError::External(Box::new(Error::new(
                SqlState::CannotConnectNow,
                "cannot connect"
            )))),
        )));
        assert!(!retried(DataFusionError::Execution("Divide by zero".into())));
        assert!(!retried(DataFusionError::External(Box::new(Error::new(
            SqlState::NotNullViolation,
            "null"
        )))));
        assert!(!retried(DataFusionError::ResourcesExhausted("too much".into())));
    }
}
