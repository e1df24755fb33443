//! A connected client outside of any dispatcher: a TCP socket, the Unix socket of a proxy on the same machine, or a pipe
//! to a response of HTTP. It only does what can be done at once.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::task::{Context, Poll};

use actix_rt::net::{TcpStream, UnixStream};
use socket2::SockRef;

use crate::metrics::TransportLabel;

use super::pipe::Pipe;

/// What a session reads from and a shard writes to.
#[derive(Debug)]
pub enum Socket {
    /// `--listen 127.0.0.1:8080`
    Tcp(TcpStream),
    /// `--listen unix:/run/plank/plank.sock`
    Unix(UnixStream),
    /// Server-Sent Events and long poll
    Pipe(Pipe),
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl From<UnixStream> for Socket {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(stream)
    }
}

impl From<Pipe> for Socket {
    fn from(pipe: Pipe) -> Self {
        Self::Pipe(pipe)
    }
}

const WEBSOCKET: TransportLabel = TransportLabel {
    transport: "websocket",
};

impl Socket {
    /// What its client is counted as.
    pub fn transport(&self) -> &TransportLabel {
        match self {
            Self::Tcp(_) | Self::Unix(_) => &WEBSOCKET,
            Self::Pipe(pipe) => pipe.transport(),
        }
    }

    /// Whether its client can say anything at all. HTTP ends without a close frame, and nobody answers a ping there.
    pub fn is_one_way(&self) -> bool {
        matches!(self, Self::Pipe(_))
    }

    /// Reads what is there. `WouldBlock` if nothing is.
    pub fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(s) => s.try_read(into),
            Self::Unix(s) => s.try_read(into),
            Self::Pipe(pipe) => pipe.try_read(),
        }
    }

    /// Writes what the kernel takes at once. `WouldBlock` if that is nothing.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(s) => s.try_write(bytes),
            Self::Unix(s) => s.try_write(bytes),
            Self::Pipe(pipe) => pipe.try_write(bytes),
        }
    }

    /// See [`Self::try_write`].
    pub fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(s) => s.try_write_vectored(slices),
            Self::Unix(s) => s.try_write_vectored(slices),
            Self::Pipe(pipe) => pipe.try_write_vectored(slices),
        }
    }

    /// Wakes the task when there is something to read.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(s) => s.poll_read_ready(cx),
            Self::Unix(s) => s.poll_read_ready(cx),
            Self::Pipe(pipe) => pipe.poll_read_ready(cx),
        }
    }

    /// Wakes the task when the kernel takes bytes again.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(s) => s.poll_write_ready(cx),
            Self::Unix(s) => s.poll_write_ready(cx),
            Self::Pipe(pipe) => pipe.poll_write_ready(cx),
        }
    }

    /// Says that nothing more will be written.
    pub fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Self::Tcp(s) => SockRef::from(s).shutdown(Shutdown::Write),
            Self::Unix(s) => SockRef::from(s).shutdown(Shutdown::Write),
            Self::Pipe(pipe) => {
                pipe.finish();
                Ok(())
            }
        }
    }
}
