//! Why a connection with TLS did not come about, in words that say what to do.

use std::error::Error as Cause;
use std::io;
use std::net::IpAddr;

use chrono::DateTime;
use tokio_rustls::rustls::pki_types::UnixTime;
use tokio_rustls::rustls::{self, AlertDescription, CertificateError};

use crate::error::{Error, SqlState};

const DEV_HINT: &str = "Give --ca with the certificate of the authority that issued it; \
                        `watershed dev --tls` says where its own is.";

/// Some certificates are for a hundred.
const NAMES_SHOWN: usize = 20;

/// The error for a failure of TLS that is somewhere among the causes of `error`, if there is one.
pub fn explain_tls(url: &str, error: &(dyn Cause + 'static)) -> Option<Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        let inner = io.and_then(io::Error::get_ref);
        let tls = inner
            .and_then(|inner| inner.downcast_ref())
            .or_else(|| error.downcast_ref());
        if let Some(tls) = tls {
            return Some(explained(url, tls));
        }
        if io.is_some_and(|io| is_broken_off(io, url)) {
            return Some(plain(
                url,
                "it hung up instead of answering the first message of TLS",
            ));
        }
        // What an error of input and output holds is not its source.
        cause = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// How the connection ends during the handshake if the other side knows nothing of it.
fn is_broken_off(error: &io::Error, url: &str) -> bool {
    url.starts_with("https://")
        && error.kind() == io::ErrorKind::UnexpectedEof
        && error.to_string().contains("handshake")
}

fn explained(url: &str, error: &rustls::Error) -> Error {
    match error {
        rustls::Error::InvalidCertificate(why) => certificate(url, why),
        rustls::Error::InvalidMessage(_) => plain(url, "what it answers is not TLS"),
        rustls::Error::NoApplicationProtocol
        | rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol) => Error::new(
            SqlState::CannotConnectNow,
            format!("what listens at {url} does not speak Flight SQL"),
        )
        .with_detail("it has TLS, but not HTTP/2 in it")
        .with_hint("Check the port: Flight SQL's is 32010 by default."),
        other => Error::new(
            SqlState::CannotConnectNow,
            format!("TLS with {url} was not agreed on"),
        )
        .with_detail(other.to_string()),
    }
}

fn plain(url: &str, detail: &str) -> Error {
    Error::new(
        SqlState::CannotConnectNow,
        format!("what listens at {url} does not speak TLS"),
    )
    .with_detail(detail)
    .with_hint("Write the address as http://host:port, if it is meant that nothing is encrypted.")
}

fn certificate(url: &str, why: &CertificateError) -> Error {
    let (what, hint) = match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
            "has expired",
            "The server needs a new one; should it have one, compare the clocks of both machines.",
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            ("is not valid yet", "Compare the clocks of both machines.")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            "is for another name",
            "Write the address with a name that the certificate has.",
        ),
        // A signature that is wrong is of another authority of the same name.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            ("is of an authority that is not trusted", DEV_HINT)
        }
        _ => (
            "cannot be trusted",
            "Look at the certificate that the server was given.",
        ),
    };
    let error = Error::new(
        SqlState::CannotConnectNow,
        format!("the certificate of {url} {what}"),
    )
    .with_hint(hint);
    match detail(why) {
        Some(detail) => error.with_detail(detail),
        None => error,
    }
}

/// A name as people write it, where rustls has `DnsName("localhost")` and `IpAddress(0::1)`.
fn plain_name(name: &str) -> String {
    let inside = name
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'))
        .unwrap_or(name)
        .trim_matches('"');
    match inside.parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => inside.to_owned(),
    }
}

fn detail(why: &CertificateError) -> Option<String> {
    let date = |at: &UnixTime| {
        let seconds = i64::try_from(at.as_secs()).ok();
        let at = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        at.map(|at| at.format("%Y-%m-%d %H:%M UTC").to_string())
    };
    match why {
        CertificateError::ExpiredContext { not_after, .. } => {
            Some(format!("it was valid until {}", date(not_after)?))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            Some(format!("it is valid from {}", date(not_before)?))
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<String> = presented
                .iter()
                .take(NAMES_SHOWN)
                .map(|name| plain_name(name))
                .collect();
            Some(format!("it is for {}", names.join(", ")))
        }
        CertificateError::UnknownIssuer => None,
        CertificateError::BadSignature => {
            Some("one of the same name is trusted, but did not sign it".to_owned())
        }
        other => Some(other.to_string()),
    }
}
