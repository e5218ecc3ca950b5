//! The ways in which people write a server's address.

use watershed_core::{Error, Result, SqlState};

/// The address as an `http://` or `https://` URL.
pub(super) fn normalize(address: &str) -> Result<String> {
    if address.contains('@') {
        // It may hold a password, so it is not repeated.
        return Err(
            Error::new(SqlState::InvalidParameterValue, "an address holds no user").with_hint(
                "Write it as https://host:port, and say who you are by other means, such as --user.",
            ),
        );
    }
    let address = address.trim().trim_end_matches('/');
    let (scheme, authority) = address.split_once("://").unwrap_or(("http", address));
    let scheme = match scheme {
        "http" | "grpc" | "grpc+tcp" => "http",
        "https" | "grpcs" | "grpc+tls" => "https",
        _ => return Err(invalid(address)),
    };
    let port = authority.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    match port {
        Some(Ok(_)) if !authority.contains('/') => Ok(format!("{scheme}://{authority}")),
        _ => Err(invalid(address)),
    }
}

fn invalid(address: &str) -> Error {
    Error::new(
        SqlState::InvalidParameterValue,
        format!("invalid address \"{address}\""),
    )
    .with_hint("Write it as http://host:port, or https://host:port for TLS.")
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
        check("https://localhost:1", "https://localhost:1");
        check("grpcs://localhost:1/", "https://localhost:1");
        check("grpc+tls://[::1]:1", "https://[::1]:1");
        check("ftp://localhost:1", "22023");
        check("localhost", "22023");
        check("http://localhost:1/path", "22023");
        check("http://user:secret@localhost:1", "22023");
        check("", "22023");
    }

    #[test]
    fn a_password_in_an_address_is_not_repeated() {
        let error = normalize("http://user:secret@localhost:1").unwrap_err();
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}
