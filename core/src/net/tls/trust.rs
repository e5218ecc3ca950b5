//! Whom a client trusts, and whether a port speaks TLS at all.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use super::{VERSIONS, pem, provider};
use crate::error::{Error, Result, SqlState};

const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// The authorities in a PEM file.
pub(in crate::net) fn roots_of_file(path: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(pem::certificates(path)?);
    if usable == 0 {
        return Err(Error::new(
            SqlState::InvalidParameterValue,
            format!("no certificate in {} can be used", path.display()),
        )
        .with_hint("Give the certificate of the authority that issued the server's."));
    }
    Ok(roots)
}

/// The authorities that this machine trusts. `SSL_CERT_FILE` and `SSL_CERT_DIR` name others.
pub(in crate::net) fn roots_of_system() -> Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    if usable > 0 {
        return Ok(roots);
    }
    let why: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
    let error = Error::new(
        SqlState::InvalidParameterValue,
        "this machine has no list of authorities to trust",
    )
    .with_hint("Give --ca with the certificate of the authority that issued the server's.");
    Err(match why.as_slice() {
        [] => error,
        why => error.with_detail(why.join("; ")),
    })
}

/// Whether what listens at `url` answers the first message of TLS with the second. It trusts nobody
/// and hangs up at once.
pub async fn speaks_tls(url: &str) -> bool {
    let probe = async {
        let uri: Uri = url.parse().ok()?;
        let host = uri.host()?.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host.clone()).ok()?;
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&VERSIONS)
            .ok()?
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let stream = TcpStream::connect((host, uri.port_u16()?)).await.ok()?;
        let answer = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        let refused = answer.err()?;
        let cause = refused.get_ref()?.downcast_ref::<rustls::Error>()?;
        matches!(
            cause,
            rustls::Error::InvalidCertificate(_) | rustls::Error::AlertReceived(_)
        )
        .then_some(())
    };
    matches!(tokio::time::timeout(PROBE_TIMEOUT, probe).await, Ok(Some(())))
}

/// A connection of one protocol to a port with TLS.
#[cfg(test)]
pub(in crate::net) async fn connect_trusting(
    url: &str,
    authorities: &Path,
    version: &'static rustls::SupportedProtocolVersion,
    protocol: &[u8],
) -> tokio_rustls::client::TlsStream<TcpStream> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots_of_file(authorities).unwrap())
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(url.trim_start_matches("https://"))
        .await
        .unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(ServerName::try_from("localhost").unwrap(), stream)
        .await
        .unwrap()
}
