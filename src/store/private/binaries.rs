//! Finds the PostgreSQL server binaries that are installed on this machine. It never downloads any.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::account::Account;
use super::error::PrivateError;

/// The oldest major version that plank works with.
pub const MAJOR_MIN: u32 = 14;

/// How long `postgres --version` may take.
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);

/// Where distributions and installers put the server. A `*` stands for any text within one component.
const SYSTEM_DIRS: &[&str] = &[
    "/usr/lib/postgresql/*/bin",          // Debian, Ubuntu
    "/usr/pgsql-*/bin",                   // RHEL, Fedora: the PostgreSQL project's own packages
    "/usr/lib/postgresql*/bin",           // openSUSE, Gentoo
    "/usr/lib64/postgresql*/bin",         // Gentoo
    "/usr/libexec/postgresql*",           // Alpine
    "/opt/homebrew/opt/postgresql@*/bin", // Homebrew on Apple silicon
    "/usr/local/opt/postgresql@*/bin",    // Homebrew on Intel
    "/opt/homebrew/bin",                  // Homebrew, linked
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/usr/local/pgsql/bin", // built from source
];

/// Where to look for `initdb` and `postgres`.
#[derive(Debug, Clone, Default)]
pub struct BinarySearch {
    /// Looked at first and, when set, alone: what `PLANK_PG_BIN` names.
    pub explicit: Option<PathBuf>,
    /// Patterns of directories; the newest version in any of them wins.
    pub system: Vec<PathBuf>,
    /// Directories as in `PATH`; used when the patterns have nothing that fits.
    pub path: Option<OsString>,
}

impl BinarySearch {
    /// `PLANK_PG_BIN`, else the usual places, else `PATH`.
    pub fn from_env() -> Self {
        Self {
            explicit: std::env::var_os("PLANK_PG_BIN")
                .filter(|dir| !dir.is_empty())
                .map(PathBuf::from),
            system: SYSTEM_DIRS.iter().map(PathBuf::from).collect(),
            path: std::env::var_os("PATH"),
        }
    }

    /// The binaries for a cluster of this major version, or for a new cluster.
    pub(super) async fn find(
        &self,
        cluster: Option<(u32, &Path)>,
        account: &Account,
    ) -> Result<Binaries, PrivateError> {
        let groups = match &self.explicit {
            Some(dir) => vec![vec![
                std::path::absolute(dir).unwrap_or_else(|_| dir.clone()),
            ]],
            None => vec![
                self.system
                    .iter()
                    .flat_map(|pattern| expand(pattern))
                    .collect(),
                self.path
                    .iter()
                    .flat_map(std::env::split_paths)
                    .collect::<Vec<_>>(),
            ],
        };
        let mut seen: Vec<Binaries> = Vec::new();
        for dirs in groups {
            for dir in dirs.iter().filter(|dir| dir.is_absolute()) {
                if seen.iter().all(|known| known.dir != *dir) {
                    seen.extend(probe(dir, account).await);
                }
            }
            let fits = |found: &&Binaries| match cluster {
                Some((major, _)) => found.major == major,
                None => found.major >= MAJOR_MIN,
            };
            if let Some(best) = seen.iter().filter(fits).max_by_key(|found| found.major) {
                return Ok(best.clone());
            }
        }
        Err(match (cluster, &self.explicit) {
            (Some((cluster, pgdata)), _) if !seen.is_empty() => PrivateError::VersionMismatch {
                pgdata: pgdata.to_owned(),
                cluster,
                found: seen,
            },
            (_, Some(dir)) => PrivateError::NoBinariesIn { dir: dir.clone() },
            _ => PrivateError::NoBinaries { seen },
        })
    }
}

/// A directory with `initdb` and `postgres` of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// Where they are.
    pub dir: PathBuf,
    /// Their major version.
    pub major: u32,
}

impl Binaries {
    pub(super) fn initdb(&self) -> PathBuf {
        self.dir.join("initdb")
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.dir.join("postgres")
    }
}

impl fmt::Display for Binaries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgreSQL {} in {}", self.major, self.dir.display())
    }
}

/// Asks the binary itself: a directory's name may lie, and in `PATH` it says nothing.
async fn probe(dir: &Path, account: &Account) -> Option<Binaries> {
    let found = Binaries {
        dir: dir.to_owned(),
        major: 0,
    };
    if !found.initdb().is_file() || !found.postgres().is_file() {
        return None;
    }
    let mut command = account.command(&found.postgres(), Path::new("/"));
    let output = tokio::time::timeout(
        VERSION_TIMEOUT,
        command.arg("--version").kill_on_drop(true).output(),
    )
    .await;
    let major = match &output {
        Ok(Ok(output)) => parse_major(&String::from_utf8_lossy(&output.stdout)),
        _ => None,
    };
    if major.is_none() {
        log::warn!(
            "postgresql binary passed over path={} answer={output:?}",
            found.postgres().display()
        );
    }
    Some(Binaries {
        major: major?,
        ..found
    })
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, `postgres (PostgreSQL) 19beta1`.
fn parse_major(version: &str) -> Option<u32> {
    let number = version.strip_prefix("postgres (PostgreSQL) ")?;
    let end = number
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(number.len());
    number[..end].parse().ok()
}

/// The directories that a pattern stands for; it may have one `*` in each component.
fn expand(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        let text = component.as_os_str().to_string_lossy();
        let Some((before, after)) = text.split_once('*') else {
            found.iter_mut().for_each(|dir| dir.push(component));
            continue;
        };
        let fits = |name: &str| {
            name.len() >= before.len() + after.len()
                && name.starts_with(before)
                && name.ends_with(after)
        };
        found = found
            .iter()
            .filter_map(|dir| fs::read_dir(dir).ok())
            .flat_map(|entries| entries.flatten())
            .filter(|entry| fits(&entry.file_name().to_string_lossy()))
            .map(|entry| entry.path())
            .collect();
    }
    found.retain(|dir| dir.is_dir());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_the_binary_s_answer() {
        assert_eq!(
            parse_major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(parse_major("postgres (PostgreSQL) 19beta1\n"), Some(19));
        assert_eq!(parse_major("postgres (PostgreSQL) 18\n"), Some(18));
        assert_eq!(parse_major("postgres (something else) 1"), None);
        assert_eq!(parse_major(""), None);
    }

    #[test]
    fn patterns_expand_to_directories_that_exist() {
        assert!(expand(Path::new("/no/such/*/bin")).is_empty());
        assert_eq!(expand(Path::new("/")), [PathBuf::from("/")]);
        assert!(expand(Path::new("/us*")).contains(&PathBuf::from("/usr")));
        assert!(expand(Path::new("/*sr/b*n")).contains(&PathBuf::from("/usr/bin")));
        assert!(!expand(Path::new("/usr*usr")).contains(&PathBuf::from("/usr")));
    }
}
