//! Which errors are a lost executor's or the network's, and how errors of an executor reach others.
//!
//! Errors are told apart by what they are, never by words: a value that cannot be cast is shown in the error
//! of the cast, and may have any words in it.

use datafusion::common::DataFusionError;
use tonic::{Code, Status};
use watershed_core::{Error, SqlState};
use watershed_storage::error::{from_datafusion, of_another_process, portable};

/// Begins the error of a worker that was asked for rows of a plan that it never got. datafusion-distributed
/// makes it outside of any plan (`Worker::execute_task`).
const NO_PLAN: &str = "Worker::execute_task timed-out while waiting for the plan";

/// Whether another executor may do better: the error is one of the network, or one that another process gave
/// this meaning.
pub fn is_transport(error: &DataFusionError) -> bool {
    match error {
        DataFusionError::External(source) => {
            if let Some(inner) = source.downcast_ref::<DataFusionError>() {
                return is_transport(inner);
            }
            if let Some(status) = source.downcast_ref::<Status>() {
                return is_transport_status(status);
            }
            source
                .downcast_ref::<Error>()
                .is_some_and(|error| error.code() == SqlState::CannotConnectNow)
        }
        DataFusionError::Execution(text) => match of_another_process(text) {
            Some(error) => error.code() == SqlState::CannotConnectNow,
            None => text.starts_with(NO_PLAN),
        },
        DataFusionError::Shared(inner) => is_transport(inner),
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => is_transport(inner),
        DataFusionError::Collection(errors) => errors.iter().any(is_transport),
        _ => false,
    }
}

/// A status that this process made has the error of its connection as source. One that came over the wire
/// says by its code whether the other process could answer.
fn is_transport_status(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
        || matches!(
            status.code(),
            Code::Aborted
                | Code::Cancelled
                | Code::DataLoss
                | Code::DeadlineExceeded
                | Code::PermissionDenied
                | Code::Unauthenticated
                | Code::Unavailable
                | Code::Unknown
        )
}

/// What such an error says, without the forms that errors of connections have in memory.
pub fn reason(error: &DataFusionError) -> String {
    match error {
        DataFusionError::External(source) => {
            if let Some(inner) = source.downcast_ref::<DataFusionError>() {
                return reason(inner);
            }
            if let Some(status) = source.downcast_ref::<Status>() {
                let mut text = status.message().to_owned();
                let causes = std::iter::successors(std::error::Error::source(status), |cause| cause.source());
                for cause in causes.take(16) {
                    let cause = cause.to_string();
                    if !text.contains(&cause) {
                        text = if text.is_empty() {
                            cause
                        } else {
                            format!("{text}: {cause}")
                        };
                    }
                }
                return text;
            }
            source.to_string()
        }
        DataFusionError::Execution(text) => match of_another_process(text) {
            Some(error) => error.message().to_owned(),
            None => text.clone(),
        },
        DataFusionError::Shared(inner) => reason(inner),
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => reason(inner),
        DataFusionError::Collection(errors) => errors.first().map(reason).unwrap_or_default(),
        other => other.to_string(),
    }
}

/// An error that a plan of this executor ended in, as others are to get it.
pub fn to_others(error: DataFusionError) -> DataFusionError {
    let lost = is_transport(&error);
    let error = from_datafusion(error);
    portable(match lost && error.code() != SqlState::CannotConnectNow {
        true => Error::new(SqlState::CannotConnectNow, "another executor cannot be reached")
            .with_detail(error.message()),
        false => error,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::error::ArrowError;
    use watershed_storage::error::into_datafusion;

    use super::*;

    const NETWORK: [&str; 6] = [
        "connection refused",
        "transport error",
        "operation was canceled",
        "timed-out while waiting for the plan",
        "watershed-error:{\"code\":\"57P03\",\"message\":\"lost\"}",
        "Worker::execute_task timed-out while waiting for the plan",
    ];

    fn external(status: Status) -> DataFusionError {
        DataFusionError::External(Box::new(status))
    }

    #[test]
    fn what_the_network_does_is_told_by_kind() {
        let dropped = Status::from_error(Box::new(std::io::Error::from(std::io::ErrorKind::BrokenPipe)));
        assert!(is_transport(&external(dropped)));
        assert!(is_transport(&external(Status::unavailable("gone"))));
        assert!(is_transport(&external(Status::unknown(""))));
        assert!(!is_transport(&external(Status::internal("connection refused"))));
        assert!(!is_transport(&external(Status::invalid_argument(
            "transport error"
        ))));
        let gone = into_datafusion(Error::new(SqlState::CannotConnectNow, "gone"));
        let shared = DataFusionError::Shared(Arc::new(gone.context("reading")));
        assert!(is_transport(&shared));
        assert!(is_transport(&DataFusionError::Execution(format!(
            "{NO_PLAN} to be set"
        ))));
    }

    #[test]
    fn reasons_are_in_words() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let status =
            external(Status::from_error(Box::new(refused))).context("ConnectError(Os { code: 111 })");
        let text = reason(&status);
        assert!(
            text.contains("connection refused") && !text.contains('{'),
            "{text}"
        );
    }

    #[test]
    fn data_with_words_of_the_network_is_data() {
        for text in NETWORK {
            let message = format!("Cannot cast string '{text}' to value of Int64 type");
            for error in [
                DataFusionError::from(ArrowError::CastError(message.clone())),
                DataFusionError::Execution(message.clone()),
                DataFusionError::Internal(message.clone()),
                DataFusionError::External(message.clone().into()),
            ] {
                assert!(!is_transport(&error), "{error}");
                let given_on = to_others(error);
                assert!(!is_transport(&given_on), "{given_on}");
                assert!(!is_transport(&to_others(given_on)), "{text}");
            }
        }
    }

    #[test]
    fn a_lost_executor_stays_one_on_its_way() {
        let told = to_others(external(Status::unavailable("gone")));
        assert!(is_transport(&told));
        let again = to_others(DataFusionError::Shared(Arc::new(told)));
        assert!(is_transport(&again));
        assert_eq!(from_datafusion(again).code(), SqlState::CannotConnectNow);
    }

    #[test]
    fn errors_keep_their_code_over_several_processes() {
        let error = Error::new(SqlState::NotNullViolation, "null in \"a\"").with_hint("Give a value.");
        let told = to_others(to_others(into_datafusion(error.clone())).context("twice"));
        assert_eq!(from_datafusion(told), error);
    }
}
