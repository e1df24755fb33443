//! A small file system for the tables and their log, which can be made full. The log of PostgreSQL itself is elsewhere: full,
//! it ends the server.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::statvfs::statvfs;
use nix::unistd::{User, getuid};
use tokio_postgres::Client;

/// Far more than an hour writes.
const SIZE: &str = "4g";
/// What is left when it is full.
const LEFT_BYTES: u64 = 64 * 1024;

/// A mounted file system; gone with this value.
pub struct Disk {
    at: PathBuf,
}

impl Disk {
    /// Puts the database `plank` on one, to which nobody may be connected. None where nothing can be mounted, which is a failure in
    /// CI.
    pub async fn under(admin: &Client, dir: &Path) -> Option<Self> {
        let at = dir.join("disk");
        std::fs::create_dir(&at).unwrap();
        let mounted = mount(
            &["-t", "tmpfs", "-o", &format!("size={SIZE}"), "tmpfs"],
            &at,
        );
        if !mounted {
            assert!(std::env::var_os("CI").is_none(), "nothing can be mounted");
            println!("skipped: a full disk in rough weather: nothing can be mounted");
            return None;
        }
        let disk = Self { at };
        if let Some(user) = User::from_name("postgres")
            .unwrap()
            .filter(|_| getuid().is_root())
        {
            chown(&disk.at, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        }
        let place = disk.at.display();
        for sql in [
            format!("create tablespace small location '{place}'"),
            "alter database plank set tablespace small".to_owned(),
        ] {
            admin.batch_execute(&sql).await.unwrap();
        }
        Some(disk)
    }

    /// Nothing more fits on it, until [`Self::free`].
    pub fn fill(&self) {
        let now = statvfs(&self.at).unwrap();
        let used = (now.blocks() - now.blocks_free()) * now.fragment_size();
        // A client may write meanwhile, and it can't be made smaller than it is.
        let is_full = [1, 16, 256].iter().any(|more| {
            let size = format!("remount,size={}", used + more * LEFT_BYTES);
            mount(&["-o", &size], &self.at)
        });
        assert!(is_full, "it can't be made smaller");
    }

    /// There is room again.
    pub fn free(&self) {
        let size = format!("remount,size={SIZE}");
        assert!(mount(&["-o", &size], &self.at), "it can't be made larger");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The server may still be there.
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}

fn mount(args: &[&str], at: &Path) -> bool {
    let mut mount = Command::new("mount");
    let mount = mount.args(args).arg(at).stderr(Stdio::null());
    mount.status().is_ok_and(|status| status.success())
}
