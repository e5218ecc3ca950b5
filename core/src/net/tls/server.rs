//! A server's certificate, taken anew from its files whenever they change.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_util::sync::CancellationToken;

use super::{VERSIONS, pem, provider};
use crate::error::{Error, Result, SqlState};

/// A certificate and its key. Clones share them, and so see them change.
#[derive(Clone)]
pub struct ServerTls(Arc<Shared>);

struct Shared {
    certificate: PathBuf,
    key: PathBuf,
    current: Arc<Current>,
    /// The files as they were when they were last read.
    seen: Mutex<Stamps>,
    grpc: Arc<ServerConfig>,
    http: Arc<ServerConfig>,
}

/// What new connections are shown.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read()))
    }
}

impl ServerTls {
    /// Takes a chain of certificates, the server's own first, and its key, both from PEM files.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self> {
        let seen = stamps(certificate, key);
        let current = Arc::new(Current(RwLock::new(Arc::new(read(certificate, key)?))));
        Ok(Self(Arc::new(Shared {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            seen: Mutex::new(seen),
            grpc: config(&current, b"h2")?,
            http: config(&current, b"http/1.1")?,
            current,
        })))
    }

    pub(in crate::net) fn for_grpc(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.grpc)
    }

    pub(in crate::net) fn for_http(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.http)
    }

    /// Looks at the files this often. What they hold is shown to connections made from then on; if it
    /// cannot be used, that is logged, and the certificate stays as it is.
    pub async fn watch(self, interval: Duration, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(interval) => self.look(false).await,
            }
        }
    }

    /// Reads the files at each SIGHUP. It never ends, and from then on SIGHUP does not end the process.
    pub async fn read_at_hangups(self) {
        match signal(SignalKind::hangup()) {
            Ok(mut hangups) => {
                while hangups.recv().await.is_some() {
                    self.look(true).await;
                }
            }
            Err(error) => tracing::warn!(%error, "SIGHUP cannot be heard"),
        }
        std::future::pending().await
    }

    async fn look(&self, in_any_case: bool) {
        let tls = self.clone();
        // Reading files blocks.
        if let Err(error) = tokio::task::spawn_blocking(move || tls.refresh(in_any_case)).await {
            tracing::warn!(%error, "the certificate could not be looked at");
        }
    }

    /// Reads the files if they have changed, or in any case.
    fn refresh(&self, in_any_case: bool) {
        let Shared { certificate, key, .. } = &*self.0;
        let found = stamps(certificate, key);
        let mut seen = self.0.seen.lock();
        if *seen == found && !in_any_case {
            return;
        }
        // Broken files are told of once, not at every look.
        *seen = found;
        match read(certificate, key) {
            Ok(new) => {
                *self.0.current.0.write() = Arc::new(new);
                tracing::info!(certificate = %certificate.display(), "the certificate was read anew");
            }
            Err(error) => tracing::warn!(
                %error,
                detail = error.detail(),
                "the new certificate cannot be used; the old one stays"
            ),
        }
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls")
            .field("certificate", &self.0.certificate)
            .field("key", &self.0.key)
            .finish_non_exhaustive()
    }
}

/// No session is resumed: who connects anew sees the certificate, also where it has just changed.
fn config(current: &Arc<Current>, protocol: &[u8]) -> Result<Arc<ServerConfig>> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&VERSIONS)
        .map_err(|error| Error::internal("TLS cannot be set up").with_detail(error.to_string()))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::<Current>::clone(current));
    config.alpn_protocols = vec![protocol.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey> {
    let chain = pem::certificates(certificate)?;
    let private_key = pem::private_key(key)?;
    if pem::is_open_to_all(key) {
        tracing::warn!(
            key = %key.display(),
            "every user of this machine can read the private key; take that away with chmod 600"
        );
    }
    CertifiedKey::from_der(chain, private_key, &provider()).map_err(|error| {
        Error::new(
            SqlState::InvalidParameterValue,
            format!(
                "the certificate in {} and the key in {} cannot be used",
                certificate.display(),
                key.display()
            ),
        )
        .with_detail(error.to_string())
        .with_hint("The first certificate of the file has to be the server's, and the key has to be its key.")
    })
}

/// What tells one state of a file from the next: where it lies, its length, and when it was written.
type Stamp = Option<(u64, u64, u64, i64, i64)>;
type Stamps = [Stamp; 2];

fn stamps(certificate: &Path, key: &Path) -> Stamps {
    [certificate, key].map(|path| {
        let file = std::fs::metadata(path).ok()?;
        Some((
            file.dev(),
            file.ino(),
            file.len(),
            file.mtime(),
            file.mtime_nsec(),
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use chrono::Utc;

    use super::super::DevCertificate;
    use super::*;

    /// A pair of files, and where others can be put in their place.
    struct Files(tempfile::TempDir);

    impl Files {
        fn new() -> Self {
            let files = Self(tempfile::tempdir().unwrap());
            files.put(Self::made());
            files
        }

        fn made() -> (Vec<u8>, Vec<u8>) {
            let folder = tempfile::tempdir().unwrap();
            let made = DevCertificate::keep(folder.path(), &[], Utc::now()).unwrap();
            (
                fs::read(made.certificate()).unwrap(),
                fs::read(made.key()).unwrap(),
            )
        }

        fn put(&self, (certificate, key): (Vec<u8>, Vec<u8>)) {
            fs::write(self.certificate(), certificate).unwrap();
            fs::write(self.key(), key).unwrap();
        }

        fn certificate(&self) -> PathBuf {
            self.0.path().join("certificate.pem")
        }

        fn key(&self) -> PathBuf {
            self.0.path().join("key.pem")
        }

        fn load(&self) -> Result<ServerTls> {
            ServerTls::load(&self.certificate(), &self.key())
        }
    }

    fn shown(tls: &ServerTls) -> Vec<u8> {
        tls.0.current.0.read().cert[0].to_vec()
    }

    #[test]
    fn a_new_pair_is_taken_and_a_broken_one_is_not() {
        let files = Files::new();
        let tls = files.load().unwrap();
        let first = shown(&tls);
        tls.refresh(false);
        assert_eq!(shown(&tls), first);

        let (certificate, key) = Files::made();
        // Written one after the other: in between they do not fit.
        fs::write(files.certificate(), &certificate).unwrap();
        tls.refresh(false);
        assert_eq!(shown(&tls), first);
        fs::write(files.key(), &key).unwrap();
        tls.refresh(false);
        let second = shown(&tls);
        assert_ne!(second, first);

        for broken in [b"no certificate".as_slice(), b""] {
            fs::write(files.certificate(), broken).unwrap();
            tls.refresh(true);
            assert_eq!(shown(&tls), second);
        }
        fs::remove_file(files.key()).unwrap();
        tls.refresh(false);
        assert_eq!(shown(&tls), second);
        files.put((certificate, key));
        tls.refresh(false);
        assert_eq!(shown(&tls), second);
    }

    #[test]
    fn what_cannot_be_used_is_refused_at_the_start() {
        #[track_caller]
        fn check(files: &Files, code: SqlState, part: &str) {
            let error = files.load().unwrap_err();
            assert_eq!(error.code(), code, "{error:?}");
            assert!(error.message().contains(part), "{error:?}");
        }
        let files = Files::new();
        let other_key = Files::made().1;
        fs::write(files.key(), other_key).unwrap();
        check(&files, SqlState::InvalidParameterValue, "cannot be used");
        fs::write(files.key(), b"-----BEGIN NOTHING-----").unwrap();
        check(&files, SqlState::InvalidParameterValue, "no private key");
        fs::write(files.certificate(), fs::read(files.key()).unwrap()).unwrap();
        check(&files, SqlState::InvalidParameterValue, "no certificate");
        fs::remove_file(files.certificate()).unwrap();
        check(&files, SqlState::IoError, "certificate.pem");
    }

    #[tokio::test]
    async fn files_are_watched() {
        let files = Files::new();
        let tls = files.load().unwrap();
        let first = shown(&tls);
        let shutdown = CancellationToken::new();
        let watching = tokio::spawn(tls.clone().watch(Duration::from_millis(5), shutdown.clone()));
        files.put(Files::made());
        let changed = async {
            while shown(&tls) == first {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), changed)
            .await
            .unwrap();
        shutdown.cancel();
        watching.await.unwrap();
    }
}
