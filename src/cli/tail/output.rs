//! Standard output and standard error: written to from threads that may block, for a reader that takes its time must not
//! keep signals waiting.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use super::line::{Style, line, printable_text};

/// How lines are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As they are.
    Json,
    /// For people.
    Text,
}

/// Why nothing more can be printed.
#[derive(Debug)]
pub enum OutputError {
    /// The reader has gone.
    Closed,
    /// Another reason, such as a full disk.
    Failed(String),
}

/// See the module's documentation.
pub struct Output {
    format: Format,
    is_terminal: bool,
    is_coloured: bool,
}

impl Output {
    /// Looks at what standard output is.
    pub fn new(format: Option<Format>) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            format: format.unwrap_or(match is_terminal {
                true => Format::Text,
                false => Format::Json,
            }),
            is_terminal,
            is_coloured: is_terminal && !is_set("NO_COLOR") && !is_dumb,
        }
    }

    /// Prints lines, and returns when they have been taken.
    ///
    /// # Errors
    /// See [`OutputError`].
    pub async fn print(&self, lines: String) -> Result<(), OutputError> {
        if lines.is_empty() {
            return Ok(());
        }
        let text = match self.format {
            Format::Json => lines,
            Format::Text => self.for_people(&lines),
        };
        let write = move || write_all(io::stdout().as_fd(), text.as_bytes());
        match spawn_blocking(write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if error.kind() == ErrorKind::BrokenPipe => Err(OutputError::Closed),
            Ok(Err(error)) => Err(OutputError::Failed(error.to_string())),
            Err(error) => Err(OutputError::Failed(error.to_string())),
        }
    }

    /// Says something on standard error. Nobody has to listen.
    pub async fn say(&self, text: &str) {
        let text = format!(
            "plank: {}\n",
            printable_text(text).replace('\n', "\nplank: ")
        );
        let _ = spawn_blocking(move || io::stderr().write_all(text.as_bytes())).await;
    }

    fn for_people(&self, lines: &str) -> String {
        let width = match self.is_terminal {
            // Asked each time: it may have been changed.
            true => terminal_size::terminal_size().map(|(width, _)| usize::from(width.0)),
            false => None,
        };
        let style = Style {
            is_coloured: self.is_coloured,
            width,
        };
        let mut text = String::new();
        for line in lines.lines().filter_map(|json| line(json, style)) {
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}

/// Not through std's buffer: after an error it would not be known what of it has been written.
fn write_all(out: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    let mut out = File::from(out.try_clone_to_owned()?);
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Another process that shares this pipe has made it so.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                wait_for(out.as_fd(), PollFlags::POLLOUT);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn wait_for(fd: BorrowedFd<'_>, what: PollFlags) {
    let mut fds = [PollFd::new(fd, what)];
    while poll(&mut fds, PollTimeout::NONE) == Err(Errno::EINTR) {}
}

/// Resolves when nobody can read standard output any more, also while there is nothing to write. Never for a file.
pub fn hung_up() -> impl Future<Output = ()> {
    let (tell, told) = oneshot::channel::<()>();
    let watched: io::Result<OwnedFd> = io::stdout().as_fd().try_clone_to_owned();
    // A thread of its own, for poll(2) waits as long as it takes; it ends with the process.
    std::thread::spawn(move || {
        if let Ok(fd) = watched {
            // Errors and hang-ups are reported whatever one asks for.
            wait_for(fd.as_fd(), PollFlags::empty());
            let _ = tell.send(());
        }
    });
    async {
        if told.await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
