//! Creates the cluster, whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use super::SUPERUSER;
use super::binaries::Binaries;
use super::cluster::{Cluster, open_file, random};
use super::error::PrivateError;

/// How long `initdb` may take; half a second is usual, a slow disk needs more for its fsyncs.
const INITDB_TIMEOUT: Duration = Duration::from_secs(180);

/// What an unfinished cluster is called.
const PGDATA_NEW: &str = "pgdata.new-";

/// Appended to `postgresql.conf` once. What plank's safety rests on is on the server's command line as well.
const SETTINGS: &str = "
# Written by plank when it created this database; yours to edit, plank does not come back to it.
# fsync, full_page_writes and synchronous_commit keep their safe defaults.
max_connections = 200
shared_buffers = 128MB
log_checkpoints = off
# No TCP, and a socket for the owner only, also when this server is started by hand.
listen_addresses = ''
unix_socket_permissions = 0700
";

/// Who may connect as the superuser: the user that runs the server, and root. The directory and the socket are
/// closed to everybody else as well; this is the lock behind that door.
const HBA: &str = "
# Written by plank when it created this database; yours to edit.
# type  database  user      method
local   all       postgres  peer map=plank
local   all       all       scram-sha-256
";

impl Cluster {
    /// Makes the cluster under another name and renames it when it is complete and on disk: whenever this is cut
    /// short, there is either a whole cluster or none.
    pub(super) async fn create(&self, binaries: &Binaries) -> Result<(), PrivateError> {
        self.remove_leftovers();
        // A name of its own each time: an initdb that outlived its plank may still be writing to the last one.
        let fresh = self.data_dir.join(format!("{PGDATA_NEW}{:016x}", random()));
        let made = self.initdb(binaries, &fresh).await.and_then(|()| {
            let pgdata = self.pgdata();
            fs::rename(&fresh, &pgdata)
                .map_err(PrivateError::io("rename the new database to", &pgdata))?;
            sync(&self.data_dir)
        });
        if made.is_err() {
            let _ = fs::remove_dir_all(&fresh);
        }
        made
    }

    async fn initdb(&self, binaries: &Binaries, fresh: &Path) -> Result<(), PrivateError> {
        self.make_dir(fresh)?;
        // Text sorts by bytes (lc_collate C): the same on every machine and fast, and no upgrade of libc can corrupt
        // an index. Upper, lower and ILIKE know Unicode (lc_ctype C.UTF-8), where the system has that locale.
        let result = match self.run_initdb(binaries, fresh, "C.UTF-8").await {
            Err(PrivateError::Initdb { output, .. }) if output.contains("locale") => {
                log::info!("initdb without C.UTF-8 reason=\"not on this system\"");
                fs::remove_dir_all(fresh).map_err(PrivateError::io("remove", fresh))?;
                self.make_dir(fresh)?;
                self.run_initdb(binaries, fresh, "C").await
            }
            result => result,
        };
        result?;
        let name = &self.account.name;
        let mut ident = format!(
            "\n# Written by plank. map, system user, database user\n{}",
            mapping(name)
        );
        if name != "root" {
            ident.push_str(&mapping("root"));
        }
        write_config(&fresh.join("postgresql.conf"), SETTINGS, false)?;
        write_config(&fresh.join("pg_hba.conf"), HBA, true)?;
        write_config(&fresh.join("pg_ident.conf"), &ident, true)?;
        sync(fresh)
    }

    /// Lets the server's user of today in, where another one made the cluster: systemd gives the directory of a service to
    /// the service's user, with all that root's plank has made in it. To be called before the server starts.
    pub(super) fn admit(&self) -> Result<(), PrivateError> {
        let path = self.pgdata().join("pg_ident.conf");
        let text = fs::read_to_string(&path).map_err(PrivateError::io("read", &path))?;
        let name = &self.account.name;
        if maps(&text, name) {
            return Ok(());
        }
        log::info!(
            "private postgresql taken over user={name} data_dir={}",
            self.data_dir.display()
        );
        write_config(&path, &format!("\n{}", mapping(name)), false)
    }

    async fn run_initdb(
        &self,
        binaries: &Binaries,
        fresh: &Path,
        ctype: &str,
    ) -> Result<(), PrivateError> {
        let mut command = self.account.command(&binaries.initdb(), &self.data_dir);
        command.arg("-D").arg(fresh).args([
            "-U",
            SUPERUSER,
            "--encoding=UTF8",
            "--locale=C",
            "--data-checksums",
        ]);
        command.arg(format!("--lc-ctype={ctype}"));
        command
            .args([
                "--auth-local=peer",
                "--auth-host=reject",
                "--no-instructions",
            ])
            .kill_on_drop(true);
        let failed = |how: String, output: String| {
            Err(PrivateError::Initdb {
                data_dir: self.data_dir.clone(),
                how,
                output,
            })
        };
        match tokio::time::timeout(INITDB_TIMEOUT, command.output()).await {
            Ok(Ok(output)) if output.status.success() => Ok(()),
            Ok(Ok(output)) => failed(
                output.status.to_string(),
                String::from_utf8_lossy(&output.stderr).into_owned(),
            ),
            Ok(Err(e)) => Err(self
                .account
                .spawn_error(&binaries.initdb(), &self.data_dir, e)),
            Err(_) => failed(
                format!("not done after {} s", INITDB_TIMEOUT.as_secs()),
                String::new(),
            ),
        }
    }

    /// Half-made clusters of a plank that was killed. Best effort: they only cost space.
    fn remove_leftovers(&self) {
        let Ok(entries) = fs::read_dir(&self.data_dir) else {
            return;
        };
        for entry in entries
            .flatten()
            .filter(|e| e.file_name().to_string_lossy().starts_with(PGDATA_NEW))
        {
            match fs::remove_dir_all(entry.path()) {
                Ok(()) => log::info!("interrupted initdb removed path={}", entry.path().display()),
                Err(e) => log::warn!(
                    "interrupted initdb not removed path={} error={e}",
                    entry.path().display()
                ),
            }
        }
    }
}

/// A line of `pg_ident.conf`.
fn mapping(name: &str) -> String {
    format!("plank \"{name}\" {SUPERUSER}\n")
}

/// Whether a `pg_ident.conf` has that line.
fn maps(text: &str, name: &str) -> bool {
    text.lines().any(|line| {
        let mut words = line.split_whitespace().map(|word| word.trim_matches('"'));
        [words.next(), words.next(), words.next()] == [Some("plank"), Some(name), Some(SUPERUSER)]
    })
}

fn write_config(path: &Path, text: &str, replace: bool) -> Result<(), PrivateError> {
    let mut file = open_file(
        path,
        OpenOptions::new()
            .append(!replace)
            .write(true)
            .truncate(replace),
    )?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(PrivateError::io("write to", path))
}

fn sync(dir: &Path) -> Result<(), PrivateError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(PrivateError::io("flush to disk", dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_let_in_by_a_line_of_its_own() {
        let text = "# plank \"who\" postgres\nplank \"o k\" postgres\nplank root\tpostgres # why\n";
        for (name, expected) in [
            ("root", true),
            ("who", false),
            ("o", false),
            ("nobody", false),
        ] {
            assert_eq!(maps(text, name), expected, "{name}");
        }
        for name in ["plank", "www-data"] {
            assert!(maps(&mapping(name), name), "{name}");
        }
    }
}
