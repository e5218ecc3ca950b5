//! Errors of delta-rs, told as ours.

use deltalake_core::DeltaTableError;
use watershed_core::error::{Error, SqlState};

use crate::error::{chain, from_object_store};

/// `what` completes "cannot …" and names the table's folder.
pub(super) fn from_delta(what: &str, error: &DeltaTableError) -> Error {
    let text = chain(error);
    if let Some(store) = store_error(error) {
        let translated = from_object_store(store);
        let error = Error::new(translated.code(), format!("cannot {what}"))
            .with_detail(translated.detail().unwrap_or(&text));
        return match translated.hint() {
            Some(hint) => error.with_hint(hint),
            None => error,
        };
    }
    let missing = matches!(
        error,
        DeltaTableError::NotATable(_) | DeltaTableError::InvalidTableLocation(_)
    ) || text.contains("No files in log segment")
        || text.contains("No such file or directory");
    if missing {
        return Error::new(SqlState::IoError, format!("cannot {what}: there is no Delta log"))
            .with_detail(text)
            .with_hint("Was the folder removed or moved? Restore it, or drop the table.");
    }
    if text.contains("nsupported") || text.contains("not supported") {
        return Error::unsupported(format!("cannot {what}: it uses a feature that is not supported"))
            .with_detail(text);
    }
    let damaged = matches!(
        error,
        DeltaTableError::InvalidJsonLog { .. }
            | DeltaTableError::InvalidStatsJson { .. }
            | DeltaTableError::KernelError(_)
            | DeltaTableError::Parquet { .. }
            | DeltaTableError::InvalidData { .. }
    );
    let code = if damaged {
        SqlState::DataCorrupted
    } else {
        SqlState::IoError
    };
    Error::new(code, format!("cannot {what}")).with_detail(text)
}

/// The error of the object store that is behind `error`, if one is.
fn store_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a object_store::Error> {
    std::iter::successors(Some(error), |error: &&'a (dyn std::error::Error + 'static)| {
        error.source()
    })
    .take(32)
    .find_map(|error| error.downcast_ref::<object_store::Error>())
    .filter(|error| !matches!(error, object_store::Error::NotFound { .. }))
}
