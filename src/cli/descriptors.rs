//! Descriptors of files and connections, of which a process may have so many.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use watershed_core::net::limit_connections;

/// With fewer, a busy server runs out of them.
const ENOUGH: u64 = 16_384;
/// A port's connections take a quarter of the descriptors at most: two ports for clients leave half to files and members.
const SHARE: u64 = 4;

/// Takes as many descriptors as the system allows, and bounds connections by them.
pub(super) fn take_all() {
    let limits = getrlimit(Resource::RLIMIT_NOFILE);
    let (soft, hard) = match limits {
        Ok(limits) => limits,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be read");
            return;
        }
    };
    let mut now = soft;
    if soft < hard {
        match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
            Ok(()) => now = hard,
            Err(error) => tracing::warn!(%error, soft, hard, "the limit of open files cannot be raised"),
        }
    }
    if now < ENOUGH {
        tracing::warn!(
            limit = now,
            "few files and connections may be open at a time: raise the hard limit of open files, such as with ulimit -Hn \
             65536 or LimitNOFILE=65536"
        );
    }
    limit_connections(usize::try_from(now / SHARE).unwrap_or(usize::MAX));
}
