//! Names of fragments, and of what they came to.

use ring::digest::{Context, SHA256, digest as hash};

/// Names a fragment, or what it came to over something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FragmentDigest(pub(super) [u8; 32]);

impl FragmentDigest {
    pub(super) fn of(text: &str) -> Self {
        let mut digest = [0; 32];
        digest.copy_from_slice(hash(&SHA256, text.as_bytes()).as_ref());
        Self(digest)
    }

    /// The same with something added.
    pub(super) fn with(&self, text: &str) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&self.0);
        context.update(text.as_bytes());
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        Self(digest)
    }
}
