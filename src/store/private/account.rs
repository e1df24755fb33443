//! The user that runs the server, and whether that user can get to where it has to.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::unistd::{Uid, User, getegid, geteuid};
use tokio::process::Command;

use super::error::PrivateError;

/// The environment that the server may see. Not plank's own, which holds secrets, and not PGPORT and the like.
const ENVIRONMENT: &[&str] = &["PATH", "LD_LIBRARY_PATH", "TZ"];

/// The user that runs the server.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    gid: u32,
    /// Whether plank is root and must become that user for the server.
    switch: bool,
}

impl Account {
    /// plank's own user. A root plank runs the server as the owner of the data; while there is none, as the owner of the
    /// directory, so that a service to which it belongs can use the data later; and as `postgres` in one of root's own.
    pub(super) fn of(data_dir: &Path, pgdata: &Path) -> Result<Self, PrivateError> {
        let owner_of = |path: &Path| {
            let meta = fs::metadata(path).ok()?;
            Some(Uid::from_raw(meta.uid()))
        };
        let me = geteuid();
        let of_service = || owner_of(data_dir).filter(|owner| me.is_root() && !owner.is_root());
        let owner = owner_of(pgdata).or_else(of_service);
        if !me.is_root() {
            if let Some(owner) = owner.filter(|owner| *owner != me) {
                let wanted = format!("plank runs as {}", user_name(me));
                return Err(PrivateError::Owner {
                    path: pgdata.to_owned(),
                    owner: user_name(owner),
                    wanted,
                });
            }
            return Ok(Self {
                name: user_name(me),
                uid: me.as_raw(),
                gid: getegid().as_raw(),
                switch: false,
            });
        }
        let user = match owner {
            Some(owner) if owner.is_root() => {
                let wanted = "PostgreSQL does not run as root".to_owned();
                return Err(PrivateError::Owner {
                    path: pgdata.to_owned(),
                    owner: user_name(owner),
                    wanted,
                });
            }
            Some(owner) => match User::from_uid(owner) {
                Ok(None) => {
                    return Err(PrivateError::Owner {
                        path: pgdata.to_owned(),
                        owner: user_name(owner),
                        wanted: "this machine has no such user (a service with DynamicUser= has \
                                 one only while it runs)"
                            .to_owned(),
                    });
                }
                user => user,
            },
            None => User::from_name("postgres"),
        };
        let user = user
            .ok()
            .flatten()
            .filter(|user| !user.uid.is_root())
            .ok_or(PrivateError::NoPostgresUser)?;
        Ok(Self {
            name: user.name,
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            switch: true,
        })
    }

    /// A command that runs as this user in a process group of its own, so that a Ctrl-C in plank's terminal reaches
    /// plank alone, which drains first. (std drops the supplementary groups together with the user id.)
    pub(super) fn command(&self, program: &Path, dir: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(dir)
            .process_group(0)
            .stdin(Stdio::null())
            .env_clear();
        command.envs(
            ENVIRONMENT
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        );
        // Messages that plank can read; and a server on macOS refuses to start without a valid locale.
        command.env("LC_ALL", "C");
        if self.switch {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Explains why this user could not run `program` in `dir`.
    pub(super) fn spawn_error(
        &self,
        program: &Path,
        dir: &Path,
        source: io::Error,
    ) -> PrivateError {
        if source.kind() == io::ErrorKind::PermissionDenied {
            for target in [dir, program.parent().unwrap_or(program)] {
                if let Some(closed) = self.closed_dir_above(target) {
                    let (user, target) = (self.name.clone(), target.to_owned());
                    return PrivateError::NotTraversable {
                        user,
                        target,
                        closed,
                    };
                }
            }
        }
        PrivateError::Spawn {
            program: program.to_owned(),
            user: self.name.clone(),
            source,
        }
    }

    /// The topmost directory that does not let this user pass, by the mode bits. Only asked after the system has
    /// said no, since an access list may allow more than they do.
    fn closed_dir_above(&self, target: &Path) -> Option<PathBuf> {
        let passes = |dir: &&Path| {
            fs::metadata(dir).is_ok_and(|meta| {
                let bit = if meta.uid() == self.uid {
                    0o100
                } else if meta.gid() == self.gid {
                    0o010
                } else {
                    0o001
                };
                meta.mode() & bit != 0
            })
        };
        let mut way: Vec<&Path> = target.ancestors().collect();
        way.reverse();
        way.into_iter().find(|dir| !passes(dir)).map(Path::to_owned)
    }

    pub(super) fn give(&self, path: &Path) -> Result<(), PrivateError> {
        if !self.switch {
            return Ok(());
        }
        chown(path, Some(self.uid), Some(self.gid))
            .map_err(PrivateError::io("change the owner of", path))
    }
}

/// `$XDG_DATA_HOME/plank`, else `~/.local/share/plank`; for root `/var/lib/plank`, because the user that runs the
/// server for root can't get into root's home. `None` when there is no home. The caller looks at `PLANK_DATA_DIR`.
pub fn default_data_dir() -> Option<PathBuf> {
    let me = geteuid();
    if me.is_root() {
        return Some(PathBuf::from("/var/lib/plank"));
    }
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|dir| dir.is_absolute())
    };
    let home =
        || absolute("HOME").or_else(|| User::from_uid(me).ok().flatten().map(|user| user.dir));
    let share = absolute("XDG_DATA_HOME").or_else(|| Some(home()?.join(".local/share")))?;
    Some(share.join("plank"))
}

pub(super) fn user_name(uid: Uid) -> String {
    User::from_uid(uid)
        .ok()
        .flatten()
        .map_or_else(|| format!("uid {uid}"), |user| user.name)
}
