//! A socket within the process: what the shard writes to it is read by a response of HTTP, Server-Sent Events or a long
//! poll. It is full and broken as a socket of the kernel is, so that one that reads slowly, or has gone, is treated
//! alike on all transports. Used by one thread only.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::limits::{PIPE_BYTES_MAX, PIPE_READ_BYTES};
use crate::metrics::TransportLabel;

/// What the two ends share.
#[derive(Debug, Default)]
struct Shared {
    /// Written and not read. An empty one has no memory.
    bytes: VecDeque<u8>,
    /// Nothing more will be written.
    is_finished: bool,
    /// Nobody reads.
    is_broken: bool,
    /// The reader, while there is nothing to read.
    reader: Option<Waker>,
    /// The session, while it waits for room, and for the reader to go.
    writer: [Option<Waker>; 2],
}

impl Shared {
    fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn wake_writer(&mut self) {
        for writer in &mut self.writer {
            if let Some(writer) = writer.take() {
                writer.wake();
            }
        }
    }
}

/// The end that a shard writes to.
#[derive(Debug)]
pub struct Pipe {
    shared: Rc<RefCell<Shared>>,
    transport: TransportLabel,
}

/// The end that a response reads from.
#[derive(Debug)]
pub struct PipeReader(Rc<RefCell<Shared>>);

/// A pipe for a client of this transport.
pub fn pipe(transport: TransportLabel) -> (Pipe, PipeReader) {
    let shared = Rc::<RefCell<Shared>>::default();
    (
        Pipe {
            shared: shared.clone(),
            transport,
        },
        PipeReader(shared),
    )
}

impl Pipe {
    /// What it is counted as.
    pub fn transport(&self) -> &TransportLabel {
        &self.transport
    }

    /// Nobody ever says anything, and the end comes when the reader goes.
    pub fn try_read(&self) -> io::Result<usize> {
        if self.shared.borrow().is_broken {
            Ok(0)
        } else {
            Err(io::ErrorKind::WouldBlock.into())
        }
    }

    /// Takes what fits.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut shared = self.shared.borrow_mut();
        if shared.is_broken || shared.is_finished {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let n = bytes.len().min(PIPE_BYTES_MAX - shared.bytes.len());
        if n == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        shared.bytes.extend(&bytes[..n]);
        shared.wake_reader();
        Ok(n)
    }

    /// See [`Self::try_write`].
    pub fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut written = 0;
        for slice in slices {
            match self.try_write(slice) {
                Ok(n) => written += n,
                Err(e) if written == 0 => return Err(e),
                Err(_) => break,
            }
            if self.shared.borrow().bytes.len() == PIPE_BYTES_MAX {
                break;
            }
        }
        Ok(written)
    }

    /// Wakes the task when the reader has gone.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, 0, |shared| shared.is_broken)
    }

    /// Wakes the task when there is room, or the reader has gone.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, 1, |shared| {
            shared.is_broken || shared.bytes.len() < PIPE_BYTES_MAX
        })
    }

    fn poll(
        &self,
        cx: &mut Context<'_>,
        place: usize,
        is_ready: impl Fn(&Shared) -> bool,
    ) -> Poll<io::Result<()>> {
        let mut shared = self.shared.borrow_mut();
        if is_ready(&shared) {
            return Poll::Ready(Ok(()));
        }
        shared.writer[place] = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Nothing more will be written; what has been can still be read.
    pub fn finish(&self) {
        let mut shared = self.shared.borrow_mut();
        shared.is_finished = true;
        shared.wake_reader();
    }
}

/// A pipe that is dropped before it is finished is a connection that was cut: what is in it is lost.
impl Drop for Pipe {
    fn drop(&mut self) {
        if !self.shared.borrow().is_finished {
            self.shared.borrow_mut().bytes = VecDeque::new();
        }
        self.finish();
    }
}

impl PipeReader {
    /// The next bytes, a few at a time; none after the end.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut shared = self.0.borrow_mut();
        let n = shared.bytes.len().min(PIPE_READ_BYTES);
        if n == 0 {
            if shared.is_finished {
                return Poll::Ready(None);
            }
            shared.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let bytes = shared.bytes.drain(..n).collect();
        if shared.bytes.is_empty() {
            shared.bytes = VecDeque::new();
        }
        shared.wake_writer();
        Poll::Ready(Some(bytes))
    }

    /// Whether there is nothing to read now.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().bytes.is_empty()
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        let mut shared = self.0.borrow_mut();
        shared.is_broken = true;
        shared.bytes = VecDeque::new();
        shared.wake_writer();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABEL: TransportLabel = TransportLabel { transport: "sse" };

    fn read(reader: &mut PipeReader) -> Poll<Option<usize>> {
        let mut cx = Context::from_waker(Waker::noop());
        reader
            .poll_read(&mut cx)
            .map(|bytes| bytes.map(|b| b.len()))
    }

    #[test]
    fn it_takes_what_fits_and_has_room_again_when_somebody_reads() {
        let (pipe, mut reader) = pipe(LABEL);
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(read(&mut reader), Poll::Pending);
        let bytes = vec![7; PIPE_BYTES_MAX + 1];
        assert_eq!(pipe.try_write(&bytes).unwrap(), PIPE_BYTES_MAX);
        let full = pipe.try_write(&bytes).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        assert!(pipe.poll_write_ready(&mut cx).is_pending());
        assert_eq!(read(&mut reader), Poll::Ready(Some(PIPE_READ_BYTES)));
        assert!(pipe.poll_write_ready(&mut cx).is_ready());
        assert_eq!(pipe.try_write(&bytes).unwrap(), PIPE_READ_BYTES);
    }

    #[test]
    fn what_was_written_before_an_orderly_end_is_read() {
        let (pipe, mut reader) = pipe(LABEL);
        pipe.try_write(b"bye").unwrap();
        pipe.finish();
        assert!(pipe.try_write(b"more").is_err());
        drop(pipe);
        assert_eq!(read(&mut reader), Poll::Ready(Some(3)));
        assert_eq!(read(&mut reader), Poll::Ready(None));
    }

    #[test]
    fn what_was_written_before_a_cut_is_lost() {
        let (pipe, mut reader) = pipe(LABEL);
        pipe.try_write(b"half a mess").unwrap();
        drop(pipe);
        assert_eq!(read(&mut reader), Poll::Ready(None));
    }

    #[test]
    fn without_a_reader_it_is_broken() {
        let (pipe, reader) = pipe(LABEL);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(pipe.poll_read_ready(&mut cx).is_pending() && pipe.try_read().is_err());
        drop(reader);
        assert!(pipe.poll_read_ready(&mut cx).is_ready());
        assert_eq!(pipe.try_read().unwrap(), 0);
        let broken = pipe.try_write(b"x").unwrap_err();
        assert_eq!(broken.kind(), io::ErrorKind::BrokenPipe);
    }
}
