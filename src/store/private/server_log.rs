//! The server's log: one file that plank gives to the server, keeps within bounds and quotes in errors.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::cluster::open_file;
use super::error::PrivateError;

/// Beyond this size the log becomes `postgres.log.1`, and starts anew.
const LOG_BYTES_MAX: u64 = 10 << 20;
/// How much of the log's end an error shows.
const TAIL_LINES_MAX: usize = 15;
const TAIL_BYTES_MAX: u64 = 8 << 10;

/// The file that has the server's stdout and stderr.
#[derive(Debug, Clone)]
pub(super) struct ServerLog {
    pub(super) path: PathBuf,
    /// Where this run's part begins.
    begin: u64,
}

impl ServerLog {
    pub(super) fn of(data_dir: &Path) -> Self {
        Self {
            path: data_dir.join("postgres.log"),
            begin: 0,
        }
    }

    pub(super) fn open(data_dir: &Path) -> Result<(Self, File), PrivateError> {
        let mut log = Self::of(data_dir);
        log.trim();
        // Appending, so that the server goes on at the new end after a trim.
        let file = open_file(&log.path, OpenOptions::new().append(true).create(true))?;
        log.begin = file
            .metadata()
            .map_err(PrivateError::io("look at", &log.path))?
            .len();
        Ok((log, file))
    }

    /// Makes a log that has grown too large the old one, and empties it.
    pub(super) fn trim(&self) {
        self.trim_above(LOG_BYTES_MAX);
    }

    /// A copy and a truncation, because the server holds the file open; what it says in between is lost.
    fn trim_above(&self, bytes_max: u64) {
        let trim = || -> io::Result<()> {
            if fs::metadata(&self.path)?.len() > bytes_max {
                let mut former = OpenOptions::new();
                former.write(true).create(true).truncate(true);
                let former = open_file(&self.path.with_extension("log.1"), &mut former);
                io::copy(
                    &mut File::open(&self.path)?,
                    &mut former.map_err(io::Error::other)?,
                )?;
                open_file(&self.path, OpenOptions::new().write(true))
                    .map_err(io::Error::other)?
                    .set_len(0)?;
            }
            Ok(())
        };
        match trim() {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                log::warn!(
                    "postgresql log not trimmed path={} error={e}",
                    self.path.display()
                );
            }
            _ => {}
        }
    }

    /// The last lines of this run.
    pub(super) fn tail(&self) -> String {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(&self.path)?;
            let length = file.metadata()?.len();
            // After a trim this run's part begins at 0.
            let begin = if self.begin <= length { self.begin } else { 0 };
            file.seek(SeekFrom::Start(
                begin.max(length.saturating_sub(TAIL_BYTES_MAX)),
            ))?;
            let mut bytes = Vec::new();
            file.take(TAIL_BYTES_MAX).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES_MAX)..].join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_cut_and_its_end_is_shown() {
        let dir = std::env::temp_dir().join(format!("plank-log-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("postgres.log"), "of an earlier run\n").unwrap();
        let (log, mut file) = ServerLog::open(&dir).unwrap();
        assert_eq!(log.tail(), "");
        for n in 0..100 {
            io::Write::write_all(&mut file, format!("line {n}\n").as_bytes()).unwrap();
        }
        assert_eq!(log.tail().lines().count(), TAIL_LINES_MAX);
        assert!(log.tail().ends_with("line 99"));
        log.trim_above(10);
        io::Write::write_all(&mut file, b"after\n").unwrap();
        assert_eq!(log.tail(), "after");
        assert!(
            fs::read_to_string(dir.join("postgres.log.1"))
                .unwrap()
                .ends_with("line 99\n")
        );
        fs::remove_dir_all(dir).unwrap();
    }
}
