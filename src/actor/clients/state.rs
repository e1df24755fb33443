//! What the shard and the sessions of one worker thread share: who is connected, who is subscribed to what, and the
//! frames for those that lag. Used by one thread only.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;
use bytes::Bytes;
use slab::Slab;

use crate::auth::{Tokens, Viewer};
use crate::feed::{TopicId, catalog};
use crate::limits::{BACKLOG_BYTES_MAX, LEFT_TOPICS_MAX, SUBSCRIPTIONS_MAX};
use crate::metrics::{CloseLabel, Metrics};
use crate::store::History;
use crate::wire::close::CloseCode;
use crate::wire::message::{self, BROKEN_CLAIM, Refusal, Subscribe as Wanted};

use super::backlog::Backlog;
use super::connection::{Conn, Wrote};
use super::subscription::{State, Subscription, named};
use crate::actor::admission::rates::Rates;
use crate::actor::hub::Hub;
use crate::actor::message::{Left, Reached, ShardId, Subscribe, SubscriptionKey};
use crate::actor::refresh_request::RefreshRequest;
use crate::actor::transport::shared_frame::deflated;
use crate::actor::transport::socket::Socket;

/// What the shard and the sessions of its thread share.
#[derive(Debug)]
pub struct ShardState {
    pub(in crate::actor) id: ShardId,
    pub(in crate::actor) hub: Addr<Hub>,
    pub(in crate::actor) metrics: Arc<Metrics>,
    /// Who brings live queries up to date.
    pub(in crate::actor) refresh_request: Arc<RefreshRequest>,
    /// Where those read that catch up.
    pub(in crate::actor) history: History,
    /// Longest inbound message, in bytes.
    pub(in crate::actor) message_bytes_max: usize,
    /// Checks who a session is; `None` with `--auth off`.
    pub(in crate::actor) tokens: Option<Arc<Tokens>>,
    /// How often clients may say something.
    pub(in crate::actor) rates: Arc<Rates>,
    /// When to let whom go: the shard's clock in milliseconds, and the slot.
    pub(in crate::actor) ends: RefCell<BTreeSet<(u64, usize)>>,
    pub(in crate::actor) conns: RefCell<Slab<Rc<Conn>>>,
    /// The list of revoked tokens that the sessions have been compared with.
    pub(in crate::actor) revoked_seen: Cell<u64>,
    /// How long they are compared with it: one whose token was looked at before it may come later.
    pub(in crate::actor) revoked_until: Cell<u64>,
    /// The slots of each topic's subscribers, each once.
    pub(in crate::actor) topics: RefCell<HashMap<TopicId, Vec<usize>>>,
    /// The subscriptions that catch up, by the topic that they will join.
    pub(in crate::actor) catching_up: RefCell<HashMap<TopicId, Vec<SubscriptionKey>>>,
    /// Subscriptions that have ended since the hub was last told.
    pub(in crate::actor) left: RefCell<HashMap<TopicId, usize>>,
    pub(in crate::actor) backlog: RefCell<Backlog>,
    /// Everything up to here has been flushed; none in the middle of a flush or of a batch, and before the first one.
    pub(in crate::actor) reached: RefCell<Option<Reached>>,
    /// The first segment of the flushes that are running. A socket has been offered all before it.
    flushing_from: Cell<Option<u64>>,
    /// How many sockets are full.
    pub(in crate::actor) blocked: Rc<Cell<usize>>,
    pub(in crate::actor) serial: Cell<u64>,
    pub(in crate::actor) started: Instant,
}

impl ShardState {
    /// Of a thread that has no clients yet.
    pub(in crate::actor) fn new(
        id: ShardId,
        (hub, refresh_request): (Addr<Hub>, Arc<RefreshRequest>),
        metrics: Arc<Metrics>,
        history: History,
        message_bytes_max: usize,
        tokens: Option<Arc<Tokens>>,
        rates: Arc<Rates>,
    ) -> Self {
        Self {
            id,
            hub,
            refresh_request,
            metrics,
            history,
            message_bytes_max,
            tokens,
            rates,
            ends: RefCell::default(),
            conns: RefCell::default(),
            revoked_seen: Cell::default(),
            revoked_until: Cell::default(),
            topics: RefCell::default(),
            catching_up: RefCell::default(),
            left: RefCell::default(),
            backlog: RefCell::new(Backlog::new(BACKLOG_BYTES_MAX)),
            reached: RefCell::default(),
            flushing_from: Cell::new(None),
            blocked: Rc::default(),
            serial: Cell::new(0),
            started: Instant::now(),
        }
    }

    /// Seconds since the shard started.
    pub fn now(&self) -> u32 {
        self.started.elapsed().as_secs() as u32
    }

    pub(in crate::actor) fn head(&self) -> u64 {
        self.backlog.borrow().head()
    }

    /// Where a client stands that has everything, see [`Self::has_everything`]; none in the middle of a batch, and while a window
    /// that it follows is about to change.
    pub fn reached(&self, conn: &Conn) -> Option<Arc<str>> {
        let reached = self.reached.borrow();
        let reached = reached
            .as_ref()
            .filter(|reached| !conn.follows(&reached.stale));
        reached.map(|reached| reached.cursor.clone())
    }

    /// Whether all that was flushed has been written to a client's socket, and its subscriptions are live: there is no
    /// more for it now.
    pub fn has_everything(&self, conn: &Conn) -> bool {
        !conn.is_over() && !conn.is_blocked() && !conn.is_catching_up()
    }

    /// Takes over a socket.
    pub(in crate::actor) fn attach(
        &self,
        socket: Socket,
        deflates: bool,
        viewer: Option<Viewer>,
    ) -> (usize, Rc<Conn>) {
        let (blocked, until) = (self.blocked.clone(), self.end_of(viewer.as_ref()));
        let conn = Rc::new(Conn::new(socket, deflates, viewer, self.now(), blocked));
        let sessions = &self.metrics.sessions;
        sessions.get_or_create(conn.socket().transport()).inc();
        let slot = self.conns.borrow_mut().insert(conn.clone());
        self.end_at(slot, &conn, until);
        (slot, conn)
    }

    /// Lets a socket go.
    pub(in crate::actor) fn detach(&self, slot: usize) {
        let conn = self.conns.borrow_mut().remove(slot);
        self.end_at(slot, &conn, None);
        let subscriptions = std::mem::take(&mut *conn.subscriptions().borrow_mut());
        let subscriptions: Vec<_> = subscriptions
            .into_iter()
            .filter(|s| !s.is_ending())
            .collect();
        for (i, subscription) in subscriptions.iter().enumerate() {
            let again = subscriptions[i + 1..]
                .iter()
                .any(|s| s.topic() == subscription.topic());
            self.forget(slot, subscription, !again);
        }
        let sessions = &self.metrics.sessions;
        sessions.get_or_create(conn.socket().transport()).dec();
        let code = match conn.close_code() {
            Some(code) => code.label(),
            None if conn.socket().is_one_way() => CloseCode::NORMAL.label(),
            None => "abnormal",
        };
        self.metrics
            .closes
            .get_or_create(&CloseLabel { code })
            .inc();
    }

    /// A subscription of the client at `slot` has ended; `was_last` says that it was the last one of its topic.
    pub(in crate::actor) fn forget(
        &self,
        slot: usize,
        subscription: &Subscription,
        was_last: bool,
    ) {
        self.metrics.subscriptions.dec();
        self.leave(slot, subscription, was_last);
    }

    /// A subscription has no topic any more.
    pub(in crate::actor) fn leave(&self, slot: usize, subscription: &Subscription, was_last: bool) {
        // One that the hub has not answered yet is counted when the answer comes.
        let Some(topic) = subscription.topic() else {
            return;
        };
        *self.left.borrow_mut().entry(topic).or_default() += 1;
        if self.left.borrow().len() >= LEFT_TOPICS_MAX {
            self.metrics.limit("left_topics");
            self.tell_left();
        }
        if was_last {
            self.remove_member(slot, topic);
        }
    }

    /// The client at `slot` gets nothing of a topic any more.
    pub(in crate::actor) fn remove_member(&self, slot: usize, topic: TopicId) {
        let mut topics = self.topics.borrow_mut();
        if let Some(members) = topics.get_mut(&topic) {
            if let Some(place) = members.iter().position(|s| *s == slot) {
                members.swap_remove(place);
            }
            if members.is_empty() {
                topics.remove(&topic);
            }
        }
    }

    /// Tells the hub which subscriptions have ended.
    pub(in crate::actor) fn tell_left(&self) {
        let topics: Vec<_> = self.left.borrow_mut().drain().collect();
        if !topics.is_empty() {
            let shard = self.id;
            self.hub.do_send(Left { shard, topics });
        }
    }

    /// Asks the hub for a subscription. Its answer goes straight to the socket.
    pub(in crate::actor) fn subscribe(
        self: &Rc<Self>,
        slot: usize,
        conn: &Rc<Conn>,
        wanted: Wanted,
    ) -> Result<(), Refusal> {
        let mut subscriptions = conn.subscriptions().borrow_mut();
        if subscriptions
            .iter()
            .any(|s| *s.id == *wanted.id && !s.is_cancelled)
        {
            return Err(Refusal::of(
                &wanted.id,
                "duplicate_id",
                "there is a subscription of this id already",
            ));
        }
        if subscriptions.len() >= SUBSCRIPTIONS_MAX {
            self.metrics.limit("subscriptions");
            let message = format!(
                "this socket has {SUBSCRIPTIONS_MAX} subscriptions, and no more are allowed"
            );
            return Err(Refusal::of(&wanted.id, "too_many_subscriptions", message));
        }
        let serial = self.serial.get() + 1;
        self.serial.set(serial);
        let id: Box<str> = wanted.id.as_str().into();
        let (wants_snapshot, conflates) = (wanted.snapshot, wanted.conflate);
        let query = catalog::query_name(&wanted.table);
        let key = SubscriptionKey { slot, serial };
        match wanted.back {
            Some(_) => self.look_back(key, conn.clone(), wanted),
            None => self.ask(key, conn, Arc::new(wanted), false)?,
        }
        subscriptions.push(Subscription {
            serial,
            id,
            state: State::Requested,
            is_awaited: false,
            query,
            refreshes_due: 0,
            is_cancelled: false,
            wants_snapshot,
            conflates,
            is_derived: false,
        });
        self.metrics.subscriptions.inc();
        Ok(())
    }

    /// See [`Subscribe`].
    pub(in crate::actor) fn ask(
        &self,
        key: SubscriptionKey,
        conn: &Conn,
        wanted: Arc<Wanted>,
        alone: bool,
    ) -> Result<(), Refusal> {
        let Some(viewer) = conn.viewer() else {
            let message = "nobody has said who this is";
            return Err(Refusal::of(&wanted.id, BROKEN_CLAIM, message));
        };
        let busy = Refusal::of(
            &wanted.id,
            "busy",
            "the server is overloaded; try again in a moment",
        );
        let subscribe = Subscribe {
            shard: self.id,
            key,
            wanted,
            viewer,
            alone,
        };
        self.hub.try_send(subscribe).map_err(|_| {
            self.metrics.limit("hub_mailbox");
            busy
        })
    }

    /// Ends a subscription of a client.
    pub(in crate::actor) fn unsubscribe(
        &self,
        slot: usize,
        conn: &Conn,
        id: &str,
    ) -> Result<Bytes, Refusal> {
        let mut subscriptions = conn.subscriptions().borrow_mut();
        let place = named(&subscriptions, id).ok_or_else(|| {
            let why = "there is no subscription of this id";
            Refusal::of(id, "unknown_subscription", why)
        })?;
        if subscriptions[place].state == State::Requested {
            subscriptions[place].is_cancelled = true;
            return Ok(message::unsubscribed(id));
        }
        let gone = subscriptions.remove(place);
        conn.tell_catch_ups();
        self.forget(
            slot,
            &gone,
            !subscriptions.iter().any(|s| s.topic() == gone.topic()),
        );
        Ok(message::unsubscribed(id))
    }

    /// Sends a reply to a client, after everything that was flushed before; compressed for this client alone, if that
    /// pays.
    pub(in crate::actor) fn reply(&self, conn: &Conn, mut bytes: Bytes) {
        if conn.deflates()
            && let Some(deflated) = deflated(&bytes, &self.metrics)
        {
            bytes = deflated;
        }
        self.offer(conn);
        conn.reply(bytes, self.head(), self.now());
    }

    /// Sends a close frame, after everything that was flushed before.
    pub(in crate::actor) fn close(&self, conn: &Conn, code: CloseCode, reason: &str) {
        self.offer(conn);
        conn.close(code, reason, self.head(), self.now());
    }

    /// Goes on writing to a socket that was full.
    pub(in crate::actor) fn drain(&self, conn: &Conn) -> Wrote {
        let wrote = conn.drain(&self.backlog.borrow(), self.now());
        if wrote == Wrote::All {
            conn.subscriptions().borrow_mut().retain(|s| !s.is_ending());
            self.answer_pings(conn);
        }
        self.forget_backlog();
        wrote
    }

    /// Flushes are running, the oldest of which begins with this segment: until they end nobody can say where all clients
    /// are.
    pub(in crate::actor) fn flushing_from(&self, first: u64) {
        self.flushing_from.set(Some(first));
        self.reached.replace(None);
    }

    /// The last flush that had begun has ended.
    pub(in crate::actor) fn end_flush(&self, cursor: Option<Reached>) {
        self.flushing_from.set(None);
        self.reached.replace(cursor);
    }

    /// Writes what of the running flushes is for a client and has not been offered to it: what is said to it now comes
    /// behind that.
    fn offer(&self, conn: &Conn) {
        let Some(first) = self.flushing_from.get() else {
            return;
        };
        // One that is blocked has its place in the backlog.
        if conn.is_blocked() || conn.is_over() {
            return;
        }
        let backlog = self.backlog.borrow();
        let from = conn.offered.replace(backlog.head()).max(first);
        let own = (from..backlog.head()).filter_map(|number| {
            let segment = backlog.get(number).filter(|s| conn.is_for(s.topic, number));
            segment.map(|segment| (number, segment.of(conn.deflates())))
        });
        let own: Vec<_> = own.collect();
        if !own.is_empty() {
            conn.write_flush(&own, self.now());
        }
    }

    /// Gives the backlog's memory back when nobody needs it.
    pub(in crate::actor) fn forget_backlog(&self) {
        if self.blocked.get() == 0 && self.flushing_from.get().is_none() {
            self.backlog.borrow_mut().trim(false);
        }
    }

    /// The client, and the place of the subscription that `key` names, if both are still there.
    pub(in crate::actor) fn find(&self, key: SubscriptionKey) -> Option<(Rc<Conn>, usize)> {
        let conn = self.conns.borrow().get(key.slot)?.clone();
        let place = conn
            .subscriptions()
            .borrow()
            .iter()
            .position(|s| s.serial == key.serial)?;
        Some((conn, place))
    }
}
