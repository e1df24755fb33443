//! What a client sends, a read at a time.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as Task, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;

use crate::actor::clients::connection::Conn;
use crate::actor::clients::state::ShardState;
use crate::limits::READ_BYTES;
use crate::wire::decode::Decoder;
use crate::wire::event::Event;
use crate::wire::violation::Violation;

thread_local! {
    /// All sessions of a thread read into this, so that an idle one has no buffer.
    pub(super) static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// What one read from the socket held.
#[derive(Debug)]
pub(super) struct Inbound {
    pub(super) events: Vec<Event>,
    pub(super) violation: Option<Violation>,
}

/// Between the reader and the task around it.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// Set for each turn of the task: one read, and then it is the others' turn. A client that never stops talking
    /// keeps nobody else waiting.
    pub(super) may_read: Cell<bool>,
    /// The reader waits until the client has taken its replies.
    pub(super) is_waiting: Cell<bool>,
}

/// What the client sends, a read at a time.
pub(super) struct Reader {
    pub(super) gate: Rc<Gate>,
    pub(super) conn: Rc<Conn>,
    pub(super) shard: Rc<ShardState>,
    pub(super) decoder: Decoder,
    /// What has been read and not been decoded: it came together with the request, or behind compressed messages that
    /// were enough for one turn.
    pub(super) unread: Bytes,
}

impl Reader {
    fn decode(&mut self, mut bytes: &[u8]) -> Inbound {
        self.conn.touch_read(self.shard.now());
        let mut inbound = Inbound {
            events: Vec::new(),
            violation: None,
        };
        let mut inflated_bytes = 0;
        loop {
            let event = match self.decoder.next(&mut bytes) {
                Ok(Some(event)) => event.inflated(self.shard.message_bytes_max),
                Ok(None) => return inbound,
                Err(violation) => Err(violation),
            };
            match event {
                Ok(event) => {
                    inflated_bytes += event.message_bytes();
                    inbound.events.push(event);
                    // Compressed messages may be a thousand times what was read: no more in a turn than others can say.
                    if inflated_bytes >= READ_BYTES {
                        self.unread = Bytes::copy_from_slice(bytes);
                        return inbound;
                    }
                }
                Err(violation) => {
                    inbound.violation = Some(violation);
                    return inbound;
                }
            }
        }
    }

    /// What the socket has; none within at its end, and none if there is nothing.
    fn read(&mut self) -> Option<Option<Inbound>> {
        SCRATCH.with_borrow_mut(|scratch| match self.conn.socket().try_read(scratch) {
            Ok(0) => Some(None),
            Ok(n) => Some(Some(self.decode(&scratch[..n]))),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => None,
            Err(_) => Some(None),
        })
    }
}

impl Stream for Reader {
    type Item = Inbound;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Task<'_>) -> Poll<Option<Inbound>> {
        loop {
            // A client that asks and does not read the answers is not read either. `Io` polls again when it has.
            if self.conn.replies_full() {
                if !self.gate.is_waiting.replace(true) {
                    self.shard.metrics.limit("replies");
                }
                return Poll::Pending;
            }
            if !self.gate.may_read.get() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let inbound = match std::mem::take(&mut self.unread) {
                unread if unread.is_empty() => {
                    if ready!(self.conn.socket().poll_read_ready(cx)).is_err() {
                        return Poll::Ready(None);
                    }
                    self.read()
                }
                unread => Some(Some(self.decode(&unread))),
            };
            match inbound {
                None => continue,
                Some(Some(i)) if i.events.is_empty() && i.violation.is_none() => {
                    self.gate.may_read.set(false);
                }
                Some(end_or_events) => {
                    self.gate.may_read.set(false);
                    return Poll::Ready(end_or_events);
                }
            }
        }
    }
}
