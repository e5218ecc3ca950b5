//! Certificates of the ports that clients use: given, or made for this machine.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use chrono::Utc;
use clap::Args;
use watershed_core::Result;
use watershed_core::net::{DevCertificate, ServerTls};
use watershed_core::store::StoreRoot;

use super::work_dir::WorkDir;

/// A certificate that is given.
#[derive(Debug, Clone, Args)]
pub struct TlsOptions {
    /// Serve Flight SQL and HTTP over TLS with this chain of certificates, a PEM file that is read anew
    /// when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The certificate's private key, a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

impl TlsOptions {
    pub(super) fn load(&self) -> Result<Option<ServerTls>> {
        let files = self.tls_cert.as_ref().zip(self.tls_key.as_ref());
        files
            .map(|(certificate, key)| ServerTls::load(certificate, key))
            .transpose()
    }
}

/// A certificate for this machine, kept beside the tables, or in the folder to work in where those lie
/// elsewhere.
pub(super) fn dev_certificate(
    store: &StoreRoot,
    work_dir: &WorkDir,
    ports: [SocketAddr; 2],
) -> Result<DevCertificate> {
    let local = store.url().to_file_path();
    let folder = local.unwrap_or_else(|()| work_dir.path().to_owned()).join("tls");
    let mut names: Vec<String> = host_name().into_iter().collect();
    let addresses = ports.iter().map(SocketAddr::ip);
    names.extend(
        addresses
            .filter(|address| !address.is_unspecified())
            .map(|address| address.to_string()),
    );
    DevCertificate::keep(&folder, &names, Utc::now())
}

/// What this machine is called. Without a name, the certificate is for its addresses.
fn host_name() -> Option<String> {
    let told = Command::new("uname").arg("-n").output();
    let told = told.inspect_err(|error| tracing::debug!(%error, "this machine's name is not known"));
    let name = String::from_utf8(told.ok()?.stdout).ok()?;
    Some(name.trim().to_owned())
}
