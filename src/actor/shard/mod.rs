//! The sockets of one worker thread, and who of them gets what.
//!
//! A push only queues; the flush runs after the mailbox has been emptied. So an idle system writes at once, and a busy
//! one joins whatever has come in meanwhile into one write per socket, without any timer. A flush to very many sockets is
//! written in turns, and what is pushed meanwhile waits for the next one.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::oneshot;
use tokio::task::yield_now;

use crate::auth::Tokens;
use crate::limits::{FLUSH_SOCKETS_MAX, HEARTBEAT, SHARD_MAILBOX_MAX, SILENCE_MAX, STALL_MAX};
use crate::metrics::Metrics;
use crate::store::History;
use crate::wire::close::CloseCode;
use crate::wire::message;

use crate::actor::admission::rates::Rates;
use crate::actor::clients::login::END_INTERVAL;
use crate::actor::clients::state::ShardState;
use crate::actor::hub::Hub;
use crate::actor::message::*;
use crate::actor::refresh_request::RefreshRequest;

mod coalesce;
mod flush;
mod lagging;
mod told;

use flush::Flush;

/// The actor.
#[derive(Debug)]
pub struct Shard {
    state: Rc<ShardState>,
    /// Pushed, and of no flush yet.
    pending: Vec<TopicFrame>,
    /// A turn of [`Self::write_some`] is to come.
    flush_is_due: bool,
    /// Those that have begun, in their order. The first one is being written.
    running: VecDeque<Flush>,
    flushes: u64,
    /// Pushes that are taken when the flush of this number has ended: the hub is not faster than the sockets.
    waiting: Vec<(u64, oneshot::Sender<()>)>,
    /// A tick has come in the middle of a flush.
    tick_is_due: bool,
    /// Everything up to here has been pushed; none in the middle of a batch, and before the first one.
    cursor: Option<Reached>,
    ticks: u64,
    /// Slow sockets and bytes of backlog, as of the last tick.
    reported: (i64, i64),
}

impl Shard {
    /// Starts the shard of this worker thread and makes it known to the hub.
    pub fn start_on_this_thread(
        id: ShardId,
        (hub, refresh_request): (Addr<Hub>, Arc<RefreshRequest>),
        metrics: Arc<Metrics>,
        history: History,
        message_bytes_max: usize,
        tokens: Option<Arc<Tokens>>,
        rates: Arc<Rates>,
    ) -> Rc<ShardState> {
        let state = Rc::new(ShardState::new(
            id,
            (hub.clone(), refresh_request),
            metrics,
            history,
            message_bytes_max,
            tokens,
            rates,
        ));
        let shard = Self {
            state: state.clone(),
            pending: vec![],
            flush_is_due: false,
            running: VecDeque::new(),
            flushes: 0,
            waiting: vec![],
            tick_is_due: false,
            cursor: None,
            ticks: 0,
            reported: (0, 0),
        };
        hub.do_send(Attach {
            id,
            shard: ShardLink::new(shard.start()),
        });
        state
    }

    /// Gives what is pending its place: what is written from here on comes behind it.
    fn begin(&mut self) {
        let cursor = self.cursor.clone();
        if !self.pending.is_empty() {
            self.flushes += 1;
            let flush = Flush::begin(self.flushes, &mut self.pending, cursor, &self.state);
            if self.running.is_empty() {
                self.state.flushing_from(flush.first);
            }
            self.running.push_back(flush);
        } else if let Some(last) = self.running.back_mut() {
            last.cursor = cursor;
        } else {
            self.state.reached.replace(cursor);
        }
    }

    /// Writes on, to some sockets; then it is the turn of others on this thread.
    fn write_some(&mut self, ctx: &mut Context<Self>) {
        self.flush_is_due = false;
        if self.running.is_empty() {
            self.begin();
        }
        if let Some(flush) = self.running.front_mut()
            && flush.write(FLUSH_SOCKETS_MAX, &self.state)
        {
            self.end();
        }
        if !self.running.is_empty() || !self.pending.is_empty() {
            self.flush_is_due = true;
            let turn = yield_now().into_actor(self);
            ctx.spawn(turn.map(|(), shard, ctx| shard.write_some(ctx)));
        }
    }

    /// With the end of which flush a push is taken; none for at once. A batch for so many sockets that it takes several
    /// turns is taken when it has been written: what is committed meanwhile is read in one, and leaves in one write.
    fn taken_with(&self) -> Option<u64> {
        let topics = self.state.topics.borrow();
        let members = |f: &TopicFrame| topics.get(&f.topic).map_or(0, Vec::len);
        let is_whole = self.cursor.is_some();
        if is_whole && self.pending.iter().map(members).sum::<usize>() > FLUSH_SOCKETS_MAX {
            return Some(self.flushes + 1);
        }
        self.running.front().map(|flush| flush.id)
    }

    /// Writes all that was pushed, for what has to come behind it.
    fn flush(&mut self) {
        self.begin();
        while let Some(flush) = self.running.front_mut() {
            flush.write(usize::MAX, &self.state);
            self.end();
        }
    }

    /// All sockets of the first flush have been written.
    fn end(&mut self) {
        let Some(flush) = self.running.pop_front() else {
            return;
        };
        if let Some(next) = self.running.front() {
            self.state.flushing_from(next.first);
        } else {
            // A push without a frame only moves the cursor.
            let has_all = self.pending.is_empty();
            let cursor = if has_all { &self.cursor } else { &flush.cursor };
            self.state.end_flush(cursor.clone());
            self.state.trim();
            if std::mem::take(&mut self.tick_is_due) {
                self.tick();
            }
        }
        for (_, taken) in self.waiting.extract_if(.., |(id, _)| *id <= flush.id) {
            // A hub that is gone does not wait.
            let _ = taken.send(());
        }
    }

    /// Once a second: heartbeats for a share of the sockets, and an end for those that are dead. Between two flushes: the
    /// cursor of a heartbeat holds for all.
    fn tick(&mut self) {
        if !self.running.is_empty() {
            self.tick_is_due = true;
            return;
        }
        let state = &self.state;
        let (now, head) = (state.now(), state.head());
        self.ticks += 1;
        let period = HEARTBEAT.as_secs();
        let reached = state.reached.borrow().clone();
        let heartbeat = message::heartbeat(reached.as_ref().map(|reached| &*reached.cursor));
        let stale = reached.map(|reached| reached.stale).unwrap_or_default();
        // A cursor would hold for all subscriptions of a socket, and one that catches up is not there yet, nor is a window that
        // is about to change.
        let only_ping = message::heartbeat(None);
        for (slot, conn) in state.conns.borrow().iter() {
            if let Some((segment, _)) = conn.place() {
                let bytes = state.backlog.borrow().behind(segment);
                state.metrics.lag_bytes.observe(bytes as f64);
            }
            if conn.replies_full() || conn.socket().is_one_way() {
                // Not read until it has taken what it was sent, or says nothing ever: it can't be heard.
                conn.touch_read(now);
            }
            if u64::from(conn.stalled_s(now)) >= STALL_MAX.as_secs() {
                state.metrics.limit("stall");
                conn.abort(CloseCode::SLOW);
            } else if u64::from(conn.silent_s(now)) >= SILENCE_MAX.as_secs() {
                conn.close(CloseCode::PONG_TIMEOUT, "no answer to a ping", head, now);
            } else if slot as u64 % period == self.ticks % period
                && !conn.is_blocked()
                && !conn.is_anonymous()
            {
                let heartbeat = match conn.is_catching_up() || conn.follows(&stale) {
                    true => &only_ping,
                    false => &heartbeat,
                };
                conn.reply(heartbeat.clone(), head, now);
            }
        }
        // The last one that lagged may have gone without a word.
        state.forget_backlog();
        state.tell_left();
        // The gauges are of all shards: each adds what has changed in it since its last tick.
        let (slow, bytes) = (
            state.blocked.get() as i64,
            state.backlog.borrow().bytes() as i64,
        );
        state.metrics.slow_sessions.inc_by(slow - self.reported.0);
        state.metrics.backlog_bytes.inc_by(bytes - self.reported.1);
        self.reported = (slow, bytes);
    }
}

impl Actor for Shard {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(SHARD_MAILBOX_MAX);
        ctx.run_interval(Duration::from_secs(1), |shard, _| shard.tick());
        ctx.run_interval(END_INTERVAL, |shard, _| {
            shard.state.end_those_that_are_over()
        });
    }
}

impl Handler<Push> for Shard {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, push: Push, ctx: &mut Self::Context) -> Self::Result {
        self.pending.extend(push.frames);
        self.cursor = push.cursor;
        if !self.flush_is_due {
            self.flush_is_due = true;
            let turn = async {}.into_actor(self);
            ctx.spawn(turn.map(|(), shard, ctx| shard.write_some(ctx)));
        }
        let Some(id) = self.taken_with() else {
            return Box::pin(async {});
        };
        let (taken, is_taken) = oneshot::channel();
        self.waiting.push((id, taken));
        // It is never dropped unsaid, unless the shard ends.
        Box::pin(async { is_taken.await.unwrap_or_default() })
    }
}
