//! Subjects whose tokens from before a time are not taken any more (`plank.revoke`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use super::principal::Principal;

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Revoked {
    /// By subject: Unix time in seconds.
    before: RwLock<HashMap<String, f64>>,
    /// Rises with every change.
    version: AtomicU64,
}

impl Revoked {
    /// Takes what the database has that is new; an earlier time than the known one changes nothing.
    pub fn add(&self, list: impl IntoIterator<Item = (String, f64)>) {
        let mut before = self.before.write().unwrap_or_else(PoisonError::into_inner);
        let mut has_changed = false;
        for (sub, time) in list {
            let known = before.entry(sub).or_insert(f64::NEG_INFINITY);
            has_changed |= time > *known;
            *known = known.max(time);
        }
        drop(before);
        if has_changed {
            self.version.fetch_add(1, Ordering::Release);
        }
    }

    /// Whether a token is one that was taken back. One that does not say when it was issued is taken for an old one.
    pub fn has(&self, principal: &Principal) -> bool {
        let before = self.before.read().unwrap_or_else(PoisonError::into_inner);
        let time = before.get(&principal.sub);
        time.is_some_and(|time| principal.iat.is_none_or(|iat| iat < *time))
    }

    /// Another one after every change.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}
