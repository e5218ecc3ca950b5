//! The ways in which people write a server's address.

use watershed_core::{Error, Result, SqlState};

/// The address as an `http://` URL.
pub(super) fn normalize(address: &str) -> Result<String> {
    let address = address.trim().trim_end_matches('/');
    let (scheme, authority) = address.split_once("://").unwrap_or(("http", address));
    match scheme {
        "http" | "grpc" | "grpc+tcp" => {}
        "https" | "grpcs" | "grpc+tls" => {
            return Err(Error::unsupported("connections with TLS are not available yet")
                .with_hint("Write the address as http://host:port."));
        }
        _ => return Err(invalid(address)),
    }
    let port = authority.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    match port {
        Some(Ok(_)) if !authority.contains('/') => Ok(format!("http://{authority}")),
        _ => Err(invalid(address)),
    }
}

fn invalid(address: &str) -> Error {
    Error::new(
        SqlState::InvalidParameterValue,
        format!("invalid address \"{address}\""),
    )
    .with_hint("Write it as http://host:port.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, expected: &str) {
        let url = normalize(address).unwrap_or_else(|error| error.code().to_string());
        assert_eq!(url, expected, "{address}");
    }

    #[test]
    fn addresses() {
        check("http://127.0.0.1:32010", "http://127.0.0.1:32010");
        check("grpc://db.example:1/", "http://db.example:1");
        check("grpc+tcp://db.example:1", "http://db.example:1");
        check("localhost:32010", "http://localhost:32010");
        check("[::1]:32010", "http://[::1]:32010");
        check("https://localhost:1", "0A000");
        check("ftp://localhost:1", "22023");
        check("localhost", "22023");
        check("http://localhost:1/path", "22023");
        check("", "22023");
    }
}
