//! The keys that tokens are signed with: a secret (HS256), or public keys in a JWKS (RFC 7517) that comes from a file or from a
//! URL. Each key is pinned to one algorithm: what a token's header asks for only says which key to try.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use jsonwebtoken::{Algorithm, DecodingKey, Header};
use sha2::{Digest as _, Sha256};

use crate::limits::KEYS_LOOK_INTERVAL;

use file::Kind;
use remote::Remote;

mod file;
mod jwks;
mod remote;

/// Why keys can't be used. The text is for the operator, and has nothing of what is in the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(String);

/// A key, with the one algorithm that it is for.
#[derive(Clone, Debug)]
struct Key {
    kid: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// A file, and what it had when it was read last.
#[derive(Clone, Debug)]
struct Source {
    kind: Kind,
    path: PathBuf,
    /// Of the bytes that were read last, usable or not; a time of change may stay the same, and change for nothing.
    content: [u8; 32],
    /// Whether the last look found nothing in it: it may just be written.
    was_empty: bool,
    /// Why it can't be used, so that the log has it once.
    trouble: Option<KeyError>,
    keys: Vec<Arc<Key>>,
}

/// All keys there are.
#[derive(Clone, Debug, Default)]
struct Loaded {
    files: Vec<Source>,
    remote: Vec<Arc<Key>>,
}

/// The keys of a server. A file whose content changes is read again; one that can't be read leaves the keys as they were,
/// and one that has no keys any more takes them back.
#[derive(Debug)]
pub struct Keys {
    loaded: RwLock<(Instant, Arc<Loaded>)>,
    remote: Option<Remote>,
}

impl Keys {
    /// Reads the files. The keys of `jwks_url` come later, see [`Self::is_time`]; only its place for the log is kept here.
    ///
    /// # Errors
    /// If one can't be read, or has no key that can be used.
    pub fn load(
        secret_file: Option<PathBuf>,
        jwks_file: Option<PathBuf>,
        jwks_url: Option<String>,
    ) -> Result<Self, KeyError> {
        super::provider::install();
        let files = [(Kind::Secret, secret_file), (Kind::Public, jwks_file)];
        let files = files
            .into_iter()
            .filter_map(|(kind, path)| Some(Source::load(kind, path?)))
            .collect::<Result<_, _>>()?;
        let loaded = Loaded {
            files,
            remote: Vec::new(),
        };
        Ok(Self {
            loaded: RwLock::new((Instant::now(), Arc::new(loaded))),
            remote: jwks_url.map(Remote::new),
        })
    }

    /// The key that a token of this header has to be signed with.
    pub(super) fn of(&self, header: &Header) -> Option<(Algorithm, DecodingKey)> {
        let loaded = self.now();
        let of_algorithm = || loaded.keys().filter(|k| k.algorithm == header.alg);
        let is_named = |key: &&Arc<Key>| key.kid.is_some() && key.kid == header.kid;
        if let Some(key) = of_algorithm().find(is_named) {
            return Some((key.algorithm, key.key.clone()));
        }
        let mut fits = of_algorithm().filter(|key| match (&key.kid, &header.kid) {
            (Some(_), Some(_)) => false,
            // A secret has no name, and neither has the only key of a file.
            (None, _) => true,
            (Some(_), None) => false,
        });
        let key = fits.next()?;
        // Which of several it is has to be said.
        fits.next()
            .is_none()
            .then(|| (key.algorithm, key.key.clone()))
    }

    /// What they are called, for people.
    pub(super) fn names(&self) -> String {
        let loaded = self.now();
        let name = |key: &Arc<Key>| match &key.kid {
            Some(kid) => format!("{:?} with kid {kid:?}", key.algorithm),
            None => format!("{:?} without kid", key.algorithm),
        };
        match loaded.keys().next() {
            Some(_) => loaded.keys().map(name).collect::<Vec<_>>().join(", "),
            None => "none".into(),
        }
    }

    /// Whether keys come from a URL.
    pub(super) fn has_url(&self) -> bool {
        self.remote.is_some()
    }

    /// Whether a key that is not known may be one that the URL has by now.
    pub(super) fn may_know_more(&self) -> bool {
        self.remote.as_ref().is_some_and(Remote::may_know_more)
    }

    /// Whether the keys of the URL have never come.
    pub(super) fn are_away(&self) -> bool {
        self.remote.as_ref().is_some_and(|r| !r.has_keys())
    }

    /// Asks at the URL for a key that is not known, and does not wait.
    pub(super) fn want(&self) {
        if let Some(remote) = &self.remote {
            remote.want();
        }
    }

    /// Asks at the URL, and waits for the answer.
    pub(super) async fn ask(&self) {
        if let Some(remote) = &self.remote {
            remote.ask().await;
        }
    }

    /// Waits until it is time to ask at the URL; for ever without one.
    pub async fn is_time(&self) {
        match &self.remote {
            Some(remote) => remote.is_time().await,
            None => std::future::pending().await,
        }
    }

    /// What came from the URL: a set that replaces the one before, keys that are not in it any more are gone. Without one the
    /// old keys stay.
    pub fn take_answer(&self, answer: Result<Vec<u8>, String>) {
        let Some(remote) = &self.remote else { return };
        let place = remote.place();
        match answer.and_then(|bytes| jwks::parse(place, &bytes)) {
            Ok(keys) => {
                let is_first = !remote.has_keys();
                let was_away = remote.succeed();
                let count = keys.len();
                let mut guard = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
                let kids = |keys: &[Arc<Key>]| keys.iter().map(|k| k.kid.clone()).collect();
                let old: Vec<_> = kids(&guard.1.remote);
                let mut loaded = Loaded::clone(&guard.1);
                loaded.remote = keys.into_iter().map(Arc::new).collect();
                let is_news = old != kids(&loaded.remote);
                guard.1 = Arc::new(loaded);
                drop(guard);
                if count == 0 && (is_first || is_news) {
                    log::error!(
                        "key set {}, no token of it is taken from={place}",
                        jwks::NO_KEY
                    );
                } else if is_first || is_news || was_away {
                    log::info!("key set read keys={count} from={place}");
                }
            }
            Err(why) => {
                if remote.fail(&why) {
                    log::error!(
                        "key set can't be read, the old keys stay from={place} reason=\"{why}\""
                    );
                }
            }
        }
        remote.tell();
    }

    /// The keys, looked at again if the last look was long ago.
    fn now(&self) -> Arc<Loaded> {
        let (looked, loaded) = {
            let guard = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
            (guard.0, guard.1.clone())
        };
        if looked.elapsed() < KEYS_LOOK_INTERVAL {
            return loaded;
        }
        let mut guard = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        if guard.0.elapsed() < KEYS_LOOK_INTERVAL {
            return guard.1.clone();
        }
        guard.0 = Instant::now();
        let mut loaded = Loaded::clone(&guard.1);
        let mut has_changed = false;
        for source in &mut loaded.files {
            has_changed |= source.look();
        }
        if has_changed {
            guard.1 = Arc::new(loaded);
        }
        guard.1.clone()
    }
}

impl Loaded {
    fn keys(&self) -> impl Iterator<Item = &Arc<Key>> {
        let files = self.files.iter().flat_map(|source| &source.keys);
        files.chain(&self.remote)
    }
}

impl Source {
    fn load(kind: Kind, path: PathBuf) -> Result<Self, KeyError> {
        let bytes = file::read(kind, &path)?;
        let content = Sha256::digest(&bytes).into();
        let keys = keys_of(kind, &path, bytes)?;
        // Afterwards that is how an operator takes keys back; at the start it is a mistake.
        if keys.is_empty() {
            return Err(kind.fail(&path, jwks::NO_KEY));
        }
        Ok(Self {
            kind,
            path,
            content,
            was_empty: false,
            trouble: None,
            keys,
        })
    }

    /// Reads the file again; whether anything is different.
    fn look(&mut self) -> bool {
        let was_empty = self.was_empty;
        let read = file::read(self.kind, &self.path).and_then(|bytes| {
            let content = <[u8; 32]>::from(Sha256::digest(&bytes));
            if content == self.content && self.trouble.is_none() {
                self.was_empty = false;
                return Ok(None);
            }
            if bytes.iter().all(u8::is_ascii_whitespace) {
                // A program that writes it in place empties it first. The second look decides.
                self.was_empty = true;
                return Ok(was_empty.then(|| (content, Vec::new())));
            }
            let keys = keys_of(self.kind, &self.path, bytes)?;
            Ok(Some((content, keys)))
        });
        match read {
            Ok(None) => self.was_empty != was_empty,
            Ok(Some((content, keys))) => {
                match keys.len() {
                    0 => log::error!(
                        "no key is left in the file, its tokens are not taken any more file={}",
                        self.path.display()
                    ),
                    n => log::info!("keys read again keys={n} file={}", self.path.display()),
                }
                (self.content, self.keys) = (content, keys);
                (self.was_empty, self.trouble) = (false, None);
                true
            }
            Err(error) if self.trouble.as_ref() == Some(&error) => false,
            Err(error) => {
                log::error!("keys can't be read again, the old ones stay reason=\"{error}\"");
                self.trouble = Some(error);
                true
            }
        }
    }
}

fn keys_of(kind: Kind, path: &Path, bytes: Vec<u8>) -> Result<Vec<Arc<Key>>, KeyError> {
    let keys = match kind {
        Kind::Secret => vec![Key {
            kid: None,
            algorithm: Algorithm::HS256,
            key: DecodingKey::from_secret(&file::secret(path, bytes)?),
        }],
        Kind::Public => {
            let place = path.display().to_string();
            jwks::parse(&place, &bytes).map_err(|why| kind.fail(path, why))?
        }
    };
    Ok(keys.into_iter().map(Arc::new).collect())
}

/// All bytes of a file with a secret.
pub(super) fn raw_secret(path: &Path) -> Result<Vec<u8>, KeyError> {
    file::read(Kind::Secret, path)
}

/// The secret in a file, as a server reads it.
///
/// # Errors
/// If it can't be read, is open to others, or is too short to be a secret.
pub fn secret(path: &Path) -> Result<Vec<u8>, KeyError> {
    file::secret(path, file::read(Kind::Secret, path)?)
}
