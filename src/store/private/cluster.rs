//! The data directory: who owns what in it, and the lock that keeps a second plank out.
//!
//! ```text
//! <data_dir>/plank.lock        held (flock) as long as a plank uses the directory; never deleted
//! <data_dir>/pgdata/           the cluster, 0700, the server's user owns it
//! <data_dir>/pgdata.new-*/     an initdb that was interrupted; removed by the next start
//! <data_dir>/run/              the Unix socket, 0700 (in /tmp when this path is not fit for one)
//! <data_dir>/postgres.log      what the server says, postgres.log.1 what it said before
//! ```
//!
//! As root everything but `pgdata` and `run` belongs to the owner of the directory, who is root in a directory that
//! root's plank made, so that nothing that the server's user may write to can lead a root process astray. These are small, local files, touched at start: std's blocking calls will do.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, geteuid};

use super::PORT;
use super::account::{Account, user_name};
use super::error::PrivateError;

/// A Unix socket's path: 107 bytes on Linux, 103 on macOS and the BSDs.
const SOCKET_PATH_BYTES_MAX: usize = 103;

const LOCK_FILE: &str = "plank.lock";
pub(super) const PGDATA: &str = "pgdata";
const SOCKET_DIR_ELSEWHERE: &str = "/tmp/plank-pg-";

/// One data directory, locked for this process.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) data_dir: PathBuf,
    pub(super) account: Account,
    /// PolicyVersion open for the lock on it. Opened close-on-exec as all of std's files, so the server does not inherit it.
    _lock: File,
}

impl Cluster {
    /// Creates the directory where needed and locks it.
    pub(super) fn open(data_dir: &Path) -> Result<Self, PrivateError> {
        if !data_dir.is_dir() {
            // As root the server's user must get through, so the mode must not depend on the umask.
            let mode = if geteuid().is_root() { 0o755 } else { 0o700 };
            DirBuilder::new()
                .recursive(true)
                .mode(mode)
                .create(data_dir)
                .and_then(|()| fs::set_permissions(data_dir, Permissions::from_mode(mode)))
                .map_err(PrivateError::io("create the directory", data_dir))?;
        }
        let data_dir = data_dir
            .canonicalize()
            .map_err(PrivateError::io("resolve", data_dir))?;
        let lock = lock(&data_dir)?;
        let account = Account::of(&data_dir, &data_dir.join(PGDATA))?;
        Ok(Self {
            data_dir,
            account,
            _lock: lock,
        })
    }

    pub(super) fn pgdata(&self) -> PathBuf {
        self.data_dir.join(PGDATA)
    }

    /// The major version of the cluster that is there already.
    pub(super) fn version(&self) -> Result<Option<u32>, PrivateError> {
        let pgdata = self.pgdata();
        let file = pgdata.join("PG_VERSION");
        match fs::read_to_string(&file) {
            Ok(text) => match text.trim().parse() {
                Ok(major) => Ok(Some(major)),
                Err(_) => Err(PrivateError::NotACluster { pgdata }),
            },
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                match fs::read_dir(&pgdata).map(|mut dir| dir.next()) {
                    Ok(Some(_)) => Err(PrivateError::NotACluster { pgdata }),
                    _ => Ok(None),
                }
            }
            Err(e) => Err(PrivateError::io("read", &file)(e)),
        }
    }

    /// Where the socket goes: `run` beside the data. If its path is not fit for a socket, a directory of our own
    /// in /tmp (not $XDG_RUNTIME_DIR, which vanishes at logout); `former`, from a server's pid file, is used again.
    pub(super) fn socket_dir(&self, former: Option<&Path>) -> Result<PathBuf, PrivateError> {
        let near = self.data_dir.join("run");
        // A comma separates hosts in what clients are given, so it can't be part of one.
        let usable = |dir: &str| {
            dir.len() + format!("/.s.PGSQL.{PORT}").len() <= SOCKET_PATH_BYTES_MAX
                && !dir.contains(',')
        };
        if near.to_str().is_some_and(usable) {
            self.make_dir(&near)?;
            return Ok(near);
        }
        if let Some(former) = former.filter(|dir| is_elsewhere(dir))
            && self.make_dir(former).is_ok()
        {
            return Ok(former.to_owned());
        }
        let dir = PathBuf::from(format!("{SOCKET_DIR_ELSEWHERE}{:016x}", random()));
        log::info!(
            "socket directory elsewhere path={} reason=\"the path {} is too long, or has characters that no client takes\"",
            dir.display(),
            self.data_dir.display()
        );
        self.make_dir(&dir)?;
        Ok(dir)
    }

    /// A directory that is really one, belongs to the server's user and is closed to all others.
    pub(super) fn make_dir(&self, dir: &Path) -> Result<(), PrivateError> {
        match DirBuilder::new().mode(0o700).create(dir) {
            Ok(()) => self.account.give(dir)?,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(PrivateError::io("create the directory", dir)(e)),
        }
        let meta = fs::symlink_metadata(dir).map_err(PrivateError::io("look at", dir))?;
        if !meta.is_dir() || meta.uid() != self.account.uid {
            let owner = format!(
                "{}{}",
                user_name(Uid::from_raw(meta.uid())),
                if meta.is_dir() {
                    ""
                } else {
                    " and is no directory"
                }
            );
            let wanted = format!("PostgreSQL runs as {}", self.account.name);
            return Err(PrivateError::Owner {
                path: dir.to_owned(),
                owner,
                wanted,
            });
        }
        if meta.mode() & 0o777 != 0o700 {
            fs::set_permissions(dir, Permissions::from_mode(0o700))
                .map_err(PrivateError::io("close to others", dir))?;
        }
        Ok(())
    }
}

/// Whether plank made this directory in /tmp, and so should remove it.
pub(super) fn is_elsewhere(socket_dir: &Path) -> bool {
    socket_dir
        .to_str()
        .is_some_and(|dir| dir.starts_with(SOCKET_DIR_ELSEWHERE) && !dir.contains("/."))
}

/// Opens a file that must not be a link: in another user's directory, that could lead a root process anywhere.
///
/// Root gives the file to the owner of the directory: a service that the directory belongs to opens the file later.
pub(super) fn open_file(path: &Path, options: &mut OpenOptions) -> Result<File, PrivateError> {
    let file = options
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(path)
        .map_err(PrivateError::io("open", path))?;
    if geteuid().is_root() {
        let dir = path.parent().unwrap_or(path);
        let owner = fs::metadata(dir).map_err(PrivateError::io("look at", dir))?;
        fchown(&file, Some(owner.uid()), Some(owner.gid()))
            .map_err(PrivateError::io("change the owner of", path))?;
    }
    Ok(file)
}

fn lock(data_dir: &Path) -> Result<File, PrivateError> {
    let path = data_dir.join(LOCK_FILE);
    let mut file = open_file(
        &path,
        OpenOptions::new().read(true).write(true).create(true),
    )?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let _ = file.read_to_string(&mut text);
            return Err(PrivateError::InUse {
                data_dir: data_dir.to_owned(),
                pid: text.trim().parse().ok(),
            });
        }
        Err(TryLockError::Error(e)) => return Err(PrivateError::io("lock", &path)(e)),
    }
    // Only the lock counts; the pid is for the other one's error message.
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(PrivateError::io("write to", &path))?;
    Ok(file)
}

/// Unpredictable enough for a name: std keys its hasher from the system's random numbers.
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
