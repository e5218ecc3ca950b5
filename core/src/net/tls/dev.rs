//! Certificates that a server on somebody's own machine makes for itself: an authority, kept so that
//! whoever trusts it does so after a restart, and a certificate of it, renewed in time.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Datelike, Days, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use ring::digest::{SHA256, digest};
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::pki_types::{ServerName, UnixTime};
use tokio_rustls::rustls::sign::CertifiedKey;

use super::trust::roots_of_file;
use super::{pem, provider};
use crate::error::{Error, Result, SqlState};

const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
const AUTHORITY_DAYS: u64 = 3_650;
const CERTIFICATE_DAYS: u64 = 365;
/// What ends sooner than this is renewed at the start.
const RENEWAL_DAYS: u64 = 30;

/// A certificate for the names of this machine, its key, and the authority that issued it.
#[derive(Debug, Clone)]
pub struct DevCertificate {
    folder: PathBuf,
}

impl DevCertificate {
    /// Keeps them in a folder: made where they are missing, cannot be used, or end within 30 days.
    /// They are for this machine's loopback names and for the names and addresses given.
    pub fn keep(folder: &Path, names: &[String], now: DateTime<Utc>) -> Result<Self> {
        let kept = Self {
            folder: folder.to_owned(),
        };
        let names: Vec<String> = NAMES
            .map(str::to_owned)
            .into_iter()
            .chain(names.iter().filter(|name| is_name(name)).cloned())
            .collect();
        let failed = |error: io::Error| unwritten(folder, &error);
        fs::create_dir_all(folder).map_err(failed)?;
        // Two servers may be started on one folder.
        let lock = File::create(kept.path("lock")).map_err(failed)?;
        lock.lock().map_err(failed)?;
        if kept.serves(&names, now) {
            return Ok(kept);
        }
        if let Some(key) = kept.authority_key() {
            kept.issue(&names, &key, now)?;
            if kept.serves(&names, now) {
                return Ok(kept);
            }
        }
        let key = kept.make_authority(now)?;
        kept.issue(&names, &key, now)?;
        Ok(kept)
    }

    /// The authority's certificate: what clients are to trust.
    pub fn authority(&self) -> PathBuf {
        self.path("ca.pem")
    }

    pub fn certificate(&self) -> PathBuf {
        self.path("certificate.pem")
    }

    pub fn key(&self) -> PathBuf {
        self.path("key.pem")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Whether clients that trust the authority accept the certificate, today and for a while.
    fn serves(&self, names: &[String], now: DateTime<Utc>) -> bool {
        let files = || {
            let chain = pem::certificates(&self.certificate())?;
            let key = pem::private_key(&self.key())?;
            Ok::<_, Error>((chain, key, roots_of_file(&self.authority())?))
        };
        let Ok((chain, key, roots)) = files() else {
            return false;
        };
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        let (Some(certificate), Ok(verifier)) = (chain.first(), verifier) else {
            return false;
        };
        let accepted = |name: &str, at: DateTime<Utc>| {
            let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(
                u64::try_from(at.timestamp()).unwrap_or_default(),
            ));
            ServerName::try_from(name).is_ok_and(|name| {
                verifier
                    .verify_server_cert(certificate, &[], &name, &[], at)
                    .is_ok()
            })
        };
        let later = now + Days::new(RENEWAL_DAYS);
        names
            .iter()
            .all(|name| accepted(name, now) && accepted(name, later))
            && CertifiedKey::from_der(chain.clone(), key, &provider()).is_ok()
    }

    fn authority_key(&self) -> Option<KeyPair> {
        let text = fs::read_to_string(self.path("ca-key.pem")).ok()?;
        KeyPair::from_pem(&text).ok()
    }

    fn make_authority(&self, now: DateTime<Utc>) -> Result<KeyPair> {
        let key = KeyPair::generate().map_err(unmade)?;
        let mut params = authority(&key);
        set_validity(&mut params, now, AUTHORITY_DAYS);
        let certificate = params.self_signed(&key).map_err(unmade)?;
        self.write_secret("ca-key.pem", &key.serialize_pem())?;
        self.write("ca.pem", &certificate.pem())?;
        Ok(key)
    }

    fn issue(&self, names: &[String], authority_key: &KeyPair, now: DateTime<Utc>) -> Result<()> {
        let key = KeyPair::generate().map_err(unmade)?;
        let mut params = CertificateParams::new(names).map_err(unmade)?;
        params.distinguished_name = named("Watershed dev");
        set_validity(&mut params, now, CERTIFICATE_DAYS);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let issuer = Issuer::new(authority(authority_key), authority_key);
        let certificate = params.signed_by(&key, &issuer).map_err(unmade)?;
        self.write_secret("key.pem", &key.serialize_pem())?;
        self.write("certificate.pem", &certificate.pem())
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        self.replace(name, text, 0o644)
    }

    fn write_secret(&self, name: &str, text: &str) -> Result<()> {
        self.replace(name, text, 0o600)
    }

    /// Writes a file whole or not at all, and never with more permissions than it is to have.
    fn replace(&self, name: &str, text: &str, mode: u32) -> Result<()> {
        let draft = self.path(&format!("{name}.new"));
        let written = || {
            fs::remove_file(&draft).or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            })?;
            let mut file = File::options()
                .write(true)
                .create_new(true)
                .mode(mode)
                .open(&draft)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&draft, self.path(name))
        };
        written().map_err(|error| unwritten(&self.folder, &error))
    }
}

/// The authority of a key. It follows from the key alone, so that a restart finds the same; and no two
/// have one name, since clients look for an authority by its name.
fn authority(key: &KeyPair) -> CertificateParams {
    let fingerprint = digest(&SHA256, key.public_key_raw());
    let short: String = fingerprint
        .as_ref()
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let mut params = CertificateParams::default();
    params.distinguished_name = named(&format!("Watershed dev authority {short}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// Whether a certificate can be for it: not every name that a machine has is one of the network's.
fn is_name(name: &str) -> bool {
    name.parse::<IpAddr>().is_ok() || ServerName::try_from(name).is_ok()
}

/// Valid for so many days, and since yesterday: clocks differ.
fn set_validity(params: &mut CertificateParams, now: DateTime<Utc>, days: u64) {
    let day = |at: DateTime<Utc>| {
        let part = |number: u32| u8::try_from(number).unwrap_or(1);
        rcgen::date_time_ymd(at.year(), part(at.month()), part(at.day()))
    };
    params.not_before = day(now - Days::new(1));
    params.not_after = day(now + Days::new(days));
}

fn unmade(error: rcgen::Error) -> Error {
    Error::internal("a certificate cannot be made").with_detail(error.to_string())
}

fn unwritten(folder: &Path, error: &io::Error) -> Error {
    Error::new(
        SqlState::IoError,
        format!("cannot keep certificates in {}", folder.display()),
    )
    .with_detail(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct Kept {
        authority: String,
        certificate: String,
    }

    #[track_caller]
    fn keep(folder: &Path, names: &[&str], now: DateTime<Utc>) -> Kept {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let kept = DevCertificate::keep(folder, &names, now).unwrap();
        assert!(kept.serves(&names, now));
        Kept {
            authority: fs::read_to_string(kept.authority()).unwrap(),
            certificate: fs::read_to_string(kept.certificate()).unwrap(),
        }
    }

    #[test]
    fn the_authority_stays_and_the_certificate_is_renewed() {
        let folder = tempfile::tempdir().unwrap();
        let now: DateTime<Utc> = "2026-02-03T04:05:06Z".parse().unwrap();
        let first = keep(folder.path(), &["machine"], now);
        let later = keep(folder.path(), &["machine"], now + Days::new(300));
        assert_eq!(later.certificate, first.certificate);
        let now = now + Days::new(340);
        let renewed = keep(folder.path(), &["machine"], now);
        assert_ne!(renewed.certificate, first.certificate);
        assert_eq!(renewed.authority, first.authority);
        // Fewer names are served as well, others are not.
        assert_eq!(keep(folder.path(), &[], now).certificate, renewed.certificate);
        let moved = keep(folder.path(), &["other", "10.1.2.3"], now);
        assert_ne!(moved.certificate, renewed.certificate);
        assert_eq!(moved.authority, first.authority);
    }

    #[test]
    fn what_is_damaged_is_made_anew() {
        let now = Utc::now();
        for damaged in ["certificate.pem", "key.pem", "ca.pem", "ca-key.pem"] {
            let folder = tempfile::tempdir().unwrap();
            let first = keep(folder.path(), &[], now);
            fs::write(folder.path().join(damaged), "-----BEGIN").unwrap();
            let second = keep(folder.path(), &[], now);
            let is_needed = damaged != "ca-key.pem";
            assert_eq!(first.certificate != second.certificate, is_needed, "{damaged}");
            assert_eq!(
                first.authority != second.authority,
                damaged == "ca.pem",
                "{damaged}"
            );
        }
    }

    #[test]
    fn keys_are_for_their_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        keep(folder.path(), &[], Utc::now());
        for (name, mode) in [("ca.pem", 0o644), ("ca-key.pem", 0o600), ("key.pem", 0o600)] {
            let file = fs::metadata(folder.path().join(name)).unwrap();
            assert_eq!(file.permissions().mode() & 0o777 & !mode, 0, "{name}");
        }
        assert!(!pem::is_open_to_all(&folder.path().join("key.pem")));
        assert!(pem::is_open_to_all(&folder.path().join("ca.pem")));
    }

    #[test]
    fn names_that_no_certificate_can_have_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["a b".to_owned(), String::new(), "größe".to_owned()];
        DevCertificate::keep(folder.path(), &names, Utc::now()).unwrap();
    }
}
