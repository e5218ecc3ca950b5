//! Errors of tasks. Ballista reports them as debugging text, in which quotes and line ends are escaped,
//! maybe more than once; so they travel in letters and digits alone.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use datafusion::common::DataFusionError;
use watershed_core::Error;
use watershed_storage::error::{from_datafusion, into_datafusion};

const BEGIN: &str = "watershed-task-error:";

/// An error of a plan as one that [`recover`] finds in whatever text it ends up in. Its own text may be data,
/// and is not looked into.
pub fn portable(error: DataFusionError) -> DataFusionError {
    let json = from_datafusion(error).to_json();
    // A plain execution error is never tried again by Ballista, whose tries would meet the same files.
    DataFusionError::Execution(format!("{BEGIN}{}.", URL_SAFE_NO_PAD.encode(json)))
}

/// The error of a whole task: that of its plan, wherever Ballista has put it, or one of Ballista's own.
pub fn of_task(error: DataFusionError) -> DataFusionError {
    let text = error.to_string();
    match text.contains(BEGIN) {
        true => DataFusionError::Execution(text),
        false => portable(error),
    }
}

/// The error inside a text, or the text as an error.
pub fn recover(text: &str) -> DataFusionError {
    let own = text.split_once(BEGIN).and_then(|(_, rest)| {
        let encoded = rest.split('.').next()?;
        let json = URL_SAFE_NO_PAD.decode(encoded).ok()?;
        Error::from_json(std::str::from_utf8(&json).ok()?)
    });
    match own {
        Some(error) => into_datafusion(error),
        None => DataFusionError::Execution(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use watershed_core::SqlState;

    use super::*;

    #[test]
    fn errors_survive_being_debugged() {
        let error = Error::new(SqlState::NotNullViolation, "null in \"a\"").with_detail("line\nline");
        let portable = portable(into_datafusion(error));
        let portable = of_task(portable.context("twice"));
        let text = format!(
            "stage 2 failed: {:?}",
            format!("{:?}", DataFusionError::Shared(portable.into()))
        );
        let back = from_datafusion(recover(&text));
        assert_eq!(back.code(), SqlState::NotNullViolation);
        assert_eq!(back.to_string(), "null in \"a\"");
        assert_eq!(back.detail(), Some("line\nline"));
        assert!(recover("watershed-task-error:%%%.").to_string().contains("%%%"));
    }

    #[test]
    fn data_is_not_taken_for_an_error() {
        let spoofed = portable(into_datafusion(Error::new(SqlState::CannotConnectNow, "lost")));
        let message = format!("Cannot cast string '{spoofed}' to value of Int64 type");
        let told = of_task(portable(DataFusionError::Execution(message)));
        let back = from_datafusion(recover(&told.to_string()));
        assert_eq!(back.code(), SqlState::InvalidTextRepresentation);
    }
}
