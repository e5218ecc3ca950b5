//! Certificates and keys in PEM files.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::{Error, Result, SqlState};

/// Chains and bundles of authorities are far smaller.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// All certificates of a file, at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let unreadable = |why: &dyn std::fmt::Display| {
        Error::new(
            SqlState::InvalidParameterValue,
            format!("there is no certificate in {}", path.display()),
        )
        .with_detail(why.to_string())
        .with_hint("The file has to be in PEM format: it starts with -----BEGIN CERTIFICATE-----.")
    };
    let certificates = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unreadable(&error))?;
    if certificates.is_empty() {
        return Err(unreadable(&"no section of the file is a certificate"));
    }
    Ok(certificates)
}

/// The first private key of a file.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| {
        Error::new(
            SqlState::InvalidParameterValue,
            format!("there is no private key in {}", path.display()),
        )
        .with_detail(error.to_string())
        .with_hint("The file has to be in PEM format, and the key not encrypted with a password.")
    })
}

/// Whether every user of this machine may read a file.
pub(super) fn is_open_to_all(path: &Path) -> bool {
    const READ_BY_OTHERS: u32 = 0o004;
    std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & READ_BY_OTHERS != 0)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = |why: String| {
        Error::new(SqlState::IoError, format!("cannot read {}", path.display())).with_detail(why)
    };
    let length = std::fs::metadata(path)
        .map_err(|error| failed(error.to_string()))?
        .len();
    if length > FILE_BYTES_MAX {
        return Err(failed(format!(
            "it has {length} bytes, more than any certificate file"
        )));
    }
    std::fs::read(path).map_err(|error| failed(error.to_string()))
}
