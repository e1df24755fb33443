//! One connected client as its shard sees it: the socket, what it is subscribed to, and, while the socket is full, how
//! far it has got. Used by one thread only.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::rc::Rc;
use std::task::Waker;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::auth::Viewer;
use crate::feed::TopicId;
use crate::limits::CONTROL_BYTES_MAX;
use crate::store::history::Asker;
use crate::wire::close::CloseCode;
use crate::wire::frame;

use super::backlog::Backlog;
use super::gate::CatchUps;
use super::subscription::Subscription;
use super::write_queue::{Queue, SLICES_MAX};
use crate::actor::admission::asker::asker;
use crate::actor::transport::socket::Socket;

/// The reason that goes with 4001.
pub(in crate::actor) const LAGGING: &str = "too far behind; come back with the last cursor";

/// How far a write got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrote {
    /// Nothing is left to write.
    All,
    /// The socket is full.
    Blocked,
    /// The socket is broken.
    Dead,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Conn {
    socket: Socket,
    /// Whether it takes compressed messages. Never changes.
    deflates: bool,
    subscriptions: RefCell<SmallVec<[Subscription; 1]>>,
    /// Only while the socket is full: an idle client has no queue.
    queue: RefCell<Option<Box<Queue>>>,
    /// Seconds of the shard's clock at the last byte read.
    read_at: Cell<u32>,
    /// Seconds of the shard's clock at the last byte written, or at the moment when the socket became full.
    written_at: Cell<u32>,
    /// The first segment that has not been offered to it, while its socket is not full. Of segments before those of the
    /// running flushes it says nothing: they have been.
    pub(in crate::actor) offered: Cell<u64>,
    /// How many clients of the shard have a queue.
    blocked: Rc<Cell<usize>>,
    /// Set when a close frame has been queued, or the socket is given up.
    closing: Cell<Option<CloseCode>>,
    dead: Cell<bool>,
    /// Whose it is; none until it has said so.
    viewer: RefCell<Option<Viewer>>,
    /// Where it comes from, if that is counted.
    address: Cell<Option<IpAddr>>,
    /// When the shard has to let it go, on its clock in milliseconds: it has not said who it is, or its token is over.
    ends_at_ms: Cell<Option<u64>>,
    /// Of the session's task, for as long as it waits.
    waker: RefCell<Option<Waker>>,
    pub(in crate::actor) catch_ups: RefCell<Option<Rc<CatchUps>>>,
}

impl Conn {
    /// A new client; `deflates`: permessage-deflate was negotiated; `now` is the shard's clock, `blocked` its count of
    /// clients whose socket is full.
    pub fn new(
        socket: Socket,
        deflates: bool,
        viewer: Option<Viewer>,
        now: u32,
        blocked: Rc<Cell<usize>>,
    ) -> Self {
        Self {
            socket,
            deflates,
            subscriptions: RefCell::default(),
            queue: RefCell::default(),
            read_at: Cell::new(now),
            written_at: Cell::new(now),
            offered: Cell::new(0),
            blocked,
            closing: Cell::new(None),
            dead: Cell::new(false),
            viewer: RefCell::new(viewer),
            address: Cell::new(None),
            ends_at_ms: Cell::new(None),
            waker: RefCell::default(),
            catch_ups: RefCell::default(),
        }
    }

    /// The socket, for reading.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Whether it takes compressed messages.
    pub fn deflates(&self) -> bool {
        self.deflates
    }

    /// Whose it is; none until it has said so.
    pub fn viewer(&self) -> Option<Viewer> {
        self.viewer.borrow().clone()
    }

    /// Where it comes from.
    pub(in crate::actor) fn set_address(&self, address: Option<IpAddr>) {
        self.address.set(address);
    }

    /// Whom what is read for it is for.
    pub fn asker(&self) -> Asker {
        asker(self.viewer.borrow().as_ref(), self.address.get())
    }

    /// Whether nobody has said whose it is.
    pub fn is_anonymous(&self) -> bool {
        self.viewer.borrow().is_none()
    }

    pub(in crate::actor) fn set_viewer(&self, viewer: Viewer) {
        *self.viewer.borrow_mut() = Some(viewer);
    }

    pub(in crate::actor) fn ends_at_ms(&self) -> &Cell<Option<u64>> {
        &self.ends_at_ms
    }

    /// The subscriptions.
    pub fn subscriptions(&self) -> &RefCell<SmallVec<[Subscription; 1]>> {
        &self.subscriptions
    }

    /// Whether the socket is full.
    pub fn is_blocked(&self) -> bool {
        self.queue.borrow().is_some()
    }

    /// Whether nothing may be written any more.
    pub fn is_over(&self) -> bool {
        self.dead.get() || self.closing.get().is_some()
    }

    /// Whether the socket is broken or given up.
    pub fn is_dead(&self) -> bool {
        self.dead.get()
    }

    /// The code of the close frame that was queued.
    pub fn close_code(&self) -> Option<CloseCode> {
        self.closing.get()
    }

    /// A byte has been read.
    pub fn touch_read(&self, now: u32) {
        self.read_at.set(now);
    }

    /// Seconds since the last byte read.
    pub fn silent_s(&self, now: u32) -> u32 {
        now.saturating_sub(self.read_at.get())
    }

    /// Seconds for which the socket has been full without taking a byte.
    pub fn stalled_s(&self, now: u32) -> u32 {
        if self.is_blocked() {
            now.saturating_sub(self.written_at.get())
        } else {
            0
        }
    }

    /// Whether some subscription is not live yet: it catches up, or the hub has not answered. The cursor of a heartbeat
    /// would not hold for it.
    pub fn is_catching_up(&self) -> bool {
        let subscriptions = self.subscriptions.borrow();
        !subscriptions.iter().all(Subscription::is_joined)
    }

    /// Whether it has a subscription of one of these topics.
    pub fn follows(&self, topics: &[TopicId]) -> bool {
        let is_one = |s: &Subscription| s.topic().is_some_and(|topic| topics.contains(&topic));
        !topics.is_empty() && self.subscriptions.borrow().iter().any(is_one)
    }

    /// Whether there is a live subscription to which the newest change of each key is enough.
    pub fn conflates(&self) -> bool {
        let subscriptions = self.subscriptions.borrow();
        subscriptions.iter().any(|s| s.conflates && s.is_joined())
    }

    /// Whether the subscription `serial` is there, and on this topic.
    pub fn has(&self, serial: u64, topic: TopicId) -> bool {
        let subscriptions = self.subscriptions.borrow();
        subscriptions
            .iter()
            .any(|s| s.serial == serial && s.topic() == Some(topic))
    }

    /// Whether another subscription than `serial` has this topic: both would get what one of them catches up on, for a
    /// frame only says of which topic it is. With `is_plain` only those count that are catching up themselves.
    pub fn shares(&self, topic: TopicId, serial: u64, is_plain: bool) -> bool {
        self.subscriptions.borrow().iter().any(|s| {
            let is_counted = !is_plain || s.is_catching_up(topic);
            s.topic() == Some(topic) && s.serial != serial && is_counted
        })
    }

    /// Whether so many replies wait that no more requests should be read.
    pub fn replies_full(&self) -> bool {
        self.queue
            .borrow()
            .as_ref()
            .is_some_and(|q| q.reply_bytes > CONTROL_BYTES_MAX)
    }

    /// The task to wake when there is something to do.
    pub fn set_waker(&self, waker: &Waker) {
        let mut slot = self.waker.borrow_mut();
        if !slot.as_ref().is_some_and(|w| w.will_wake(waker)) {
            *slot = Some(waker.clone());
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// Writes segments of the running flush to a socket that is not full: `segments` as `(number, bytes)`, all for this
    /// client. What the kernel does not take stays in the backlog, and the session writes it later.
    pub fn write_flush(&self, segments: &[(u64, &Bytes)], now: u32) -> Wrote {
        debug_assert!(!self.is_blocked());
        let written = match segments {
            [(_, bytes)] => self.socket.try_write(bytes),
            _ => {
                let slices: SmallVec<[IoSlice<'_>; 8]> =
                    segments.iter().map(|(_, b)| IoSlice::new(b)).collect();
                self.socket.try_write_vectored(&slices)
            }
        };
        let mut rest = match written {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                self.give_up();
                return Wrote::Dead;
            }
        };
        for (number, bytes) in segments {
            if rest < bytes.len() {
                self.block(
                    Queue {
                        segment: *number,
                        offset: rest,
                        ..Queue::default()
                    },
                    now,
                );
                return Wrote::Blocked;
            }
            rest -= bytes.len();
        }
        Wrote::All
    }

    fn block(&self, queue: Queue, now: u32) {
        self.written_at.set(now);
        self.blocked.set(self.blocked.get() + 1);
        *self.queue.borrow_mut() = Some(Box::new(queue));
        self.wake();
    }

    /// Sends a reply, after everything that was flushed before it. `head` is the number of the next segment.
    pub fn reply(&self, bytes: Bytes, head: u64, now: u32) {
        if self.is_over() {
            return;
        }
        if let Some(queue) = self.queue.borrow_mut().as_mut() {
            queue.reply_bytes += bytes.len();
            queue.replies.push_back((head, bytes));
            return;
        }
        match self.socket.try_write(&bytes) {
            Ok(n) if n == bytes.len() => {}
            Ok(n) => self.block(
                Queue {
                    segment: head,
                    begun: bytes.slice(n..),
                    ..Queue::default()
                },
                now,
            ),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.block(
                    Queue {
                        segment: head,
                        begun: bytes,
                        ..Queue::default()
                    },
                    now,
                );
            }
            Err(_) => self.give_up(),
        }
    }

    /// Sends a close frame after everything that was flushed before; nothing leaves after it.
    pub fn close(&self, code: CloseCode, reason: &str, head: u64, now: u32) {
        self.reply(frame::close(code, reason), head, now);
        self.finish(Some(code));
    }

    /// Nothing leaves after what has been queued. `code` is that of the close frame in it; without one the client has
    /// gone, and there is nobody to write to.
    pub fn finish(&self, code: Option<CloseCode>) {
        match code {
            _ if self.is_over() => {}
            Some(_) => self.closing.set(code),
            None => self.give_up(),
        }
        self.tell_catch_ups();
        self.wake();
    }

    /// Where a client stands whose socket is full: the number of a segment, and how many bytes of it have been written.
    pub(in crate::actor) fn place(&self) -> Option<(u64, usize)> {
        let queue = self.queue.borrow();
        queue.as_ref().map(|queue| (queue.segment, queue.offset))
    }

    /// Nothing of the backlog before `head` is for it any more, but for `begun`, the rest of the segment that it is in the
    /// middle of.
    pub(in crate::actor) fn leave_backlog(&self, begun: Bytes, head: u64) {
        if let Some(queue) = self.queue.borrow_mut().as_mut() {
            if !begun.is_empty() {
                queue.begun = begun;
            }
            (queue.segment, queue.offset) = (head, 0);
        }
    }

    /// It is so far behind that all it gets is a close frame. One that waits already is the end as well.
    pub(in crate::actor) fn lag(&self, head: u64, now: u32) {
        if !self.is_over()
            && let Some(queue) = self.queue.borrow_mut().as_mut()
        {
            queue.replies.clear();
            queue.reply_bytes = 0;
        }
        self.close(CloseCode::LAGGING, LAGGING, head, now);
    }

    /// Closes at once and without a close frame: the socket is jammed or broken, or the client can't be brought to a
    /// frame boundary.
    pub fn abort(&self, code: CloseCode) {
        self.closing.set(Some(code));
        self.give_up();
    }

    /// Writes no more: the socket is broken.
    pub fn give_up(&self) {
        self.dead.set(true);
        self.unblock();
        self.wake();
    }

    fn unblock(&self) {
        if self.queue.borrow_mut().take().is_some() {
            self.blocked.set(self.blocked.get() - 1);
        }
        self.tell_catch_ups();
    }

    /// Goes on writing, as far as the socket takes it. Called by the session when its socket has room.
    pub fn drain(&self, backlog: &Backlog, now: u32) -> Wrote {
        loop {
            let mut slot = self.queue.borrow_mut();
            let Some(queue) = slot.as_mut() else {
                return Wrote::All;
            };
            debug_assert!(
                queue.segment >= backlog.base(),
                "Conn::leave_backlog moves those that are cut off"
            );
            let is_closing = self.closing.get().is_some();
            let next = queue.next(backlog, is_closing, self.deflates, |topic, number| {
                self.is_for(topic, number)
            });
            if next.is_empty() {
                drop(slot);
                self.offered.set(backlog.head());
                self.unblock();
                return Wrote::All;
            }
            let slices: SmallVec<[IoSlice<'_>; SLICES_MAX]> =
                next.iter().map(|(_, b)| IoSlice::new(b)).collect();
            match self.socket.try_write_vectored(&slices) {
                Ok(0) => {}
                Ok(n) => {
                    self.written_at.set(now);
                    queue.advance(&next, n);
                    continue;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Wrote::Blocked,
                Err(_) => {}
            }
            drop(slot);
            self.give_up();
            return Wrote::Dead;
        }
    }

    /// Whether a segment of this topic and number is for it.
    pub(in crate::actor) fn is_for(&self, topic: TopicId, number: u64) -> bool {
        let subscriptions = self.subscriptions.borrow();
        subscriptions.iter().any(|s| s.is_for(topic, number))
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.unblock();
    }
}
