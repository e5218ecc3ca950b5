//! What gRPC and Arrow Flight report, as Watershed's error.

use arrow_flight::error::FlightError;
use tonic::{Code, Status};
use watershed_core::net;
use watershed_core::{Error, SqlState};

/// The error in a reply of the server at `url`, or of the connection to it.
pub fn from_status(url: &str, status: &Status) -> Error {
    if let Some(error) = net::explain_tls(url, status) {
        return error;
    }
    let error = net::from_status(status);
    // A status that was not sent but made here has the cause as its source.
    let cause = std::error::Error::source(status);
    if cause.is_none() && status.code() != Code::Unavailable {
        return error;
    }
    if cause.is_none() && error.message() != status.message() {
        // The server itself says that it is unavailable, and why.
        return error;
    }
    let mut detail = status.message().to_owned();
    let mut source = cause;
    while let Some(cause) = source {
        let text = cause.to_string();
        if !detail.contains(&text) {
            detail = format!("{detail}: {text}");
        }
        source = cause.source();
    }
    unreachable(url, detail)
}

/// The error of decoding a stream of batches.
pub fn from_flight(url: &str, error: FlightError) -> Error {
    match error {
        FlightError::Tonic(status) => from_status(url, &status),
        other => protocol(url, other),
    }
}

/// Nobody answers at `url`, or does not anymore.
pub(crate) fn unreachable(url: &str, detail: impl Into<String>) -> Error {
    Error::new(
        SqlState::CannotConnectNow,
        format!("cannot reach a server at {url}"),
    )
    .with_detail(detail)
    .with_hint("Check the address, and that a server runs there: `watershed dev` starts one.")
}

/// The server says what Flight SQL does not foresee.
pub(crate) fn protocol(url: &str, detail: impl std::fmt::Display) -> Error {
    Error::internal(format!("cannot understand the answer of {url}")).with_detail(detail.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_connection_names_the_address() {
        let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
        let status = Status::from_error(Box::new(refused));
        let error = from_status("http://localhost:1", &status);
        assert_eq!(error.code(), SqlState::CannotConnectNow);
        assert!(error.message().contains("http://localhost:1"), "{error}");
        assert!(error.detail().is_some_and(|detail| detail.contains("refused")));
    }

    #[test]
    fn what_the_server_says_stays_as_it_is() {
        for error in [
            Error::new(SqlState::CannotConnectNow, "no executor is alive").with_hint("Start one."),
            Error::new(SqlState::UndefinedTable, "table \"t\" does not exist"),
        ] {
            assert_eq!(from_status("http://h:1", &net::to_status(&error)), error);
        }
    }
}
