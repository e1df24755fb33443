//! The disk: how long it takes, and how to make it take longer.
//!
//! What NOTIFY costs depends on the disk, since commits that notify wait for each other, flush included. A disk of a
//! cloud takes a millisecond or two; the one of a developer's machine may take a tenth of that.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use plank::store::private::BinarySearch;
use tokio::process::Command;
use tokio_postgres::Client;

use super::stats::Latencies;
use super::{Outcome, SOON, within};

/// What the slow disk takes on top of the real one.
pub const SLOW_BY: Duration = Duration::from_micros(1_500);

const SHIM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/support/slow_fsync.c");

/// How long a commit waits for the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// As long as the disk of this machine takes.
    #[default]
    AsItIs,
    /// Longer by [`SLOW_BY`].
    Slow,
}

/// Programs that start those in `programs` with the shim, in a directory below `dir`. The environment of a private
/// PostgreSQL is made by plank and has no place for it, hence a script in between.
///
/// # Errors
/// If the shim can't be compiled.
pub async fn slow_programs(dir: &Path, programs: &Path) -> Outcome<BinarySearch> {
    let shim = dir.join("slow_fsync.so");
    compile(&shim).await?;
    if shim.to_string_lossy().contains([' ', ':']) {
        return Err(format!(
            "nothing can be preloaded from {}: set TMPDIR to a path without spaces and colons",
            dir.display()
        )
        .into());
    }
    let wrapped = dir.join("slow");
    fs::create_dir(&wrapped)?;
    for name in ["postgres", "initdb"] {
        let script = format!(
            "#!/bin/sh\nexport LD_PRELOAD={} SLOW_FSYNC_US={}\nexec {} \"$@\"\n",
            quoted(&shim),
            SLOW_BY.as_micros(),
            quoted(&programs.join(name)),
        );
        let path = wrapped.join(name);
        fs::write(&path, script)?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    }
    // Whatever the umask says: the server runs as another user.
    fs::set_permissions(&wrapped, Permissions::from_mode(0o755))?;
    fs::set_permissions(&shim, Permissions::from_mode(0o755))?;
    Ok(BinarySearch {
        explicit: Some(wrapped),
        ..BinarySearch::default()
    })
}

async fn compile(shim: &Path) -> Outcome<()> {
    let mut compiler = Command::new("cc");
    compiler
        .args(["-O2", "-shared", "-fPIC", "-o"])
        .arg(shim)
        .args([SHIM, "-ldl"])
        .kill_on_drop(true);
    let output = within(SOON, "cc (a C compiler is needed)", compiler.output()).await?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("cc: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

/// For a shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}

/// Makes sure that the shim is at work: a system that flushes with another call would go on as before.
///
/// # Errors
/// If a commit is too fast.
pub async fn check_slow(client: &Client) -> Outcome<()> {
    for sql in ["create table bench_slow ()", "drop table bench_slow"] {
        let started = Instant::now();
        within(SOON, "a commit", client.batch_execute(sql)).await?;
        if started.elapsed() < SLOW_BY {
            return Err(
                "the disk is not slower with the shim; is wal_sync_method fdatasync?".into(),
            );
        }
    }
    Ok(())
}

/// What one flush of 8 KiB takes in this directory, the shim not counted.
///
/// # Errors
/// If nothing can be written there.
pub fn median(dir: &Path) -> Outcome<Duration> {
    const TRIES: usize = 101;
    let path = dir.join("fsync");
    let mut file = File::create(&path)?;
    let mut samples = Vec::with_capacity(TRIES);
    for _ in 0..TRIES {
        file.write_all(&[0; 8192])?;
        let started = Instant::now();
        file.sync_data()?;
        samples.push(started.elapsed());
    }
    fs::remove_file(&path)?;
    Ok(Latencies::new(samples).percentile(50.0))
}
