//! The sockets of one worker thread, and who of them gets what.
//!
//! A push only queues; the flush runs after the mailbox has been emptied. So an idle system writes at once, and a busy
//! one joins whatever has come in meanwhile into one write per socket, without any timer.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix::prelude::*;

use crate::feed::TopicId;
use crate::limits::{HEARTBEAT, SHARD_MAILBOX_MAX, SILENCE_MAX, STALL_MAX};
use crate::metrics::Metrics;
use crate::store::History;
use crate::wire::close::CloseCode;
use crate::wire::message;

use super::backlog::Segment;
use super::coalesce::{Group, join};
use super::conn::Conn;
use super::hub::Hub;
use super::local::Local;
use super::message::*;
use super::subscription::Subscription;

/// Clients are told to come back within this time after a restart, each at a moment of its own.
const RETRY_SPREAD_MS: u64 = 5_000;

/// The actor.
#[derive(Debug)]
pub struct Shard {
    local: Rc<Local>,
    pending: Vec<TopicFrame>,
    flush_is_due: bool,
    flushes: u64,
    /// Everything up to here has been pushed; none in the middle of a batch, and before the first one.
    cursor: Option<Arc<str>>,
    ticks: u64,
    /// Slow sockets and bytes of backlog, as of the last tick.
    reported: (i64, i64),
}

impl Shard {
    /// Starts the shard of this worker thread and makes it known to the hub.
    pub fn start_on_this_thread(
        id: ShardId,
        hub: Addr<Hub>,
        metrics: Arc<Metrics>,
        history: History,
        message_bytes_max: usize,
    ) -> Rc<Local> {
        let local = Rc::new(Local::new(
            id,
            hub.clone(),
            metrics,
            history,
            message_bytes_max,
        ));
        let shard = Self {
            local: local.clone(),
            pending: vec![],
            flush_is_due: false,
            flushes: 0,
            cursor: None,
            ticks: 0,
            reported: (0, 0),
        };
        hub.do_send(Attach {
            id,
            shard: shard.start(),
        });
        local
    }

    /// Writes what is pending: one write per socket.
    fn flush(&mut self) {
        self.flush_is_due = false;
        if !self.pending.is_empty() {
            self.write();
            self.local.trim();
        }
        self.local.reached.replace(self.cursor.clone());
    }

    fn write(&mut self) {
        let local = &self.local;
        let (now, first) = (local.now(), local.head());
        let (topics, conns) = (local.topics.borrow(), local.conns.borrow());
        let (mut segments, mut delivered) = (Vec::new(), 0);
        for group in join(&mut self.pending) {
            let Some(members) = topics.get(&group.topic) else {
                continue;
            };
            delivered += group.changes * members.len();
            local.metrics.delivery_seconds.observe(age_s(group.at_us));
            let some = |deflates| members.iter().any(|s| conns[*s].deflates() == deflates);
            segments.push(self.segment(&group, some(false), some(true)));
        }
        for segment in &segments {
            local.backlog.borrow_mut().push(segment.clone());
        }
        self.flushes += 1;
        let mut conflating = Vec::new();
        for (number, segment) in (first..).zip(&segments) {
            for slot in &topics[&segment.topic] {
                let conn = &conns[*slot];
                if conn.flushed.replace(self.flushes) == self.flushes || conn.is_over() {
                    continue;
                }
                // One that lags finds the segment in the backlog when its turn comes.
                if conn.is_blocked() {
                    if conn.conflates() {
                        conflating.push(*slot);
                    }
                    continue;
                }
                if segments.len() == 1 || conn.subscriptions().borrow().len() == 1 {
                    conn.write_flush(&[(number, segment.of(conn.deflates()))], now);
                } else {
                    let subscriptions = conn.subscriptions().borrow();
                    let wanted = |s: &Segment| subscriptions.iter().any(|sub| sub.is_live(s.topic));
                    let own = (first..)
                        .zip(&segments)
                        .filter(|(_, s)| wanted(s))
                        .map(|(n, s)| (n, s.of(conn.deflates())));
                    conn.write_flush(&own.collect::<Vec<_>>(), now);
                }
                if conn.is_blocked() && conn.conflates() {
                    conflating.push(*slot);
                }
            }
        }
        drop(topics);
        for slot in conflating {
            local.conflate(slot, &conns[slot]);
        }
        local.metrics.deliveries.inc_by(delivered as u64);
    }

    /// What a topic's subscribers get of a flush: as it is for some, compressed for some. Who subscribes later never looks
    /// at it, so where all of them take the one the other is not kept.
    fn segment(&self, group: &Group, some_plain: bool, some_deflate: bool) -> Segment {
        let deflated = some_deflate.then(|| group.deflated(&self.local.metrics));
        let (bytes, deflated) = match deflated.flatten() {
            Some(bytes) if !some_plain => (bytes, None),
            deflated => (group.plain(), deflated),
        };
        Segment {
            topic: group.topic,
            begins: group.begins.clone(),
            bytes,
            deflated,
        }
    }

    /// Once a second: heartbeats for a share of the sockets, and an end for those that are dead.
    fn tick(&mut self) {
        self.flush();
        let local = &self.local;
        let (now, head) = (local.now(), local.head());
        self.ticks += 1;
        let period = HEARTBEAT.as_secs();
        let heartbeat = message::heartbeat(self.cursor.as_deref());
        // A cursor would hold for all subscriptions of a socket, and one that catches up is not there yet.
        let only_ping = message::heartbeat(None);
        for (slot, conn) in local.conns.borrow().iter() {
            if let Some((segment, _)) = conn.place() {
                let bytes = local.backlog.borrow().behind(segment);
                local.metrics.lag_bytes.observe(bytes as f64);
            }
            if conn.replies_full() || conn.socket().is_one_way() {
                // Not read until it has taken what it was sent, or says nothing ever: it can't be heard.
                conn.touch_read(now);
            }
            if u64::from(conn.stalled_s(now)) >= STALL_MAX.as_secs() {
                local.metrics.limit("stall");
                conn.abort(CloseCode::SLOW);
            } else if u64::from(conn.silent_s(now)) >= SILENCE_MAX.as_secs() {
                conn.close(CloseCode::PONG_TIMEOUT, "no answer to a ping", head, now);
            } else if slot as u64 % period == self.ticks % period && !conn.is_blocked() {
                let heartbeat = match conn.is_catching_up() {
                    true => &only_ping,
                    false => &heartbeat,
                };
                conn.reply(heartbeat.clone(), head, now);
            }
        }
        // The last one that lagged may have gone without a word.
        if local.blocked.get() == 0 {
            local.backlog.borrow_mut().trim(false);
        }
        local.tell_left();
        // The gauges are of all shards: each adds what has changed in it since its last tick.
        let (slow, bytes) = (
            local.blocked.get() as i64,
            local.backlog.borrow().bytes() as i64,
        );
        local.metrics.slow_sessions.inc_by(slow - self.reported.0);
        local.metrics.backlog_bytes.inc_by(bytes - self.reported.1);
        self.reported = (slow, bytes);
    }

    /// The clients that are subscribed to a topic.
    fn members(&self, topic: TopicId) -> Vec<(usize, Rc<Conn>)> {
        let (topics, conns) = (self.local.topics.borrow(), self.local.conns.borrow());
        topics
            .get(&topic)
            .into_iter()
            .flatten()
            .map(|slot| (*slot, conns[*slot].clone()))
            .collect()
    }
}

/// Seconds since a moment in microseconds of Unix time; 0 for the future.
fn age_s(at_us: i64) -> f64 {
    let at = Duration::from_micros(at_us.unsigned_abs());
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    now.saturating_sub(at).as_secs_f64()
}

impl Actor for Shard {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(SHARD_MAILBOX_MAX);
        ctx.run_interval(Duration::from_secs(1), |shard, _| shard.tick());
    }
}

impl Handler<Push> for Shard {
    type Result = ();

    fn handle(&mut self, push: Push, ctx: &mut Self::Context) {
        self.pending.extend(push.frames);
        self.cursor = push.cursor;
        if !self.flush_is_due {
            self.flush_is_due = true;
            ctx.spawn(async {}.into_actor(self).map(|(), shard, _| shard.flush()));
        }
    }
}

impl Handler<Advance> for Shard {
    type Result = ();

    fn handle(&mut self, advance: Advance, _: &mut Self::Context) {
        self.cursor = Some(advance.cursor);
        if self.pending.is_empty() {
            self.local.reached.replace(self.cursor.clone());
        }
    }
}

impl Handler<Joined> for Shard {
    type Result = ();

    fn handle(&mut self, joined: Joined, _: &mut Self::Context) {
        // What is pending is from before, and not for this subscription.
        self.flush();
        self.local.join(joined);
    }
}

impl Handler<Started> for Shard {
    type Result = ();

    fn handle(&mut self, started: Started, _: &mut Self::Context) {
        self.local.start_catch_up(started);
    }
}

impl Handler<Restart> for Shard {
    type Result = ();

    fn handle(&mut self, restart: Restart, _: &mut Self::Context) {
        let Restart {
            key,
            reason,
            wanted,
        } = restart;
        self.local.restart(key, reason, wanted);
    }
}

impl Handler<Refused> for Shard {
    type Result = ();

    fn handle(&mut self, Refused { key, refusal }: Refused, _: &mut Self::Context) {
        self.local.refuse(key, &refusal);
    }
}

impl Handler<Reset> for Shard {
    type Result = ();

    fn handle(&mut self, reset: Reset, _: &mut Self::Context) {
        self.flush();
        let local = &self.local;
        for (slot, conn) in self.members(reset.topic) {
            let mut again = Vec::new();
            for subscription in conn.subscriptions().borrow().iter() {
                if !subscription.is_live(reset.topic) {
                    continue;
                }
                let Subscription {
                    id,
                    serial,
                    wants_snapshot,
                    ..
                } = subscription;
                if *wants_snapshot || reset.is_void {
                    let key = SubscriptionKey {
                        slot,
                        serial: *serial,
                    };
                    again.push((key, reset.asked.again(id, *wants_snapshot)));
                    continue;
                }
                local.reply(&conn, message::reset(id, reset.reason));
                local.reply(
                    &conn,
                    message::subscribed(id, reset.topic, &reset.asked.table, &reset.cursor),
                );
            }
            for (key, wanted) in again {
                local.restart(key, reset.reason, wanted);
            }
        }
    }
}

impl Handler<Retire> for Shard {
    type Result = ();

    fn handle(&mut self, retire: Retire, _: &mut Self::Context) {
        self.flush();
        let local = &self.local;
        for (_, conn) in self.members(retire.topic) {
            let (head, is_full) = (local.head(), conn.is_blocked());
            for subscription in conn
                .subscriptions()
                .borrow_mut()
                .iter_mut()
                .filter(|s| s.is_live(retire.topic))
            {
                local.reply(&conn, message::unsubscribed(&subscription.id));
                local.metrics.subscriptions.dec();
                (subscription.until, subscription.is_cancelled) = (Some(head), true);
            }
            if !is_full {
                conn.subscriptions()
                    .borrow_mut()
                    .retain(|s| s.until.is_none());
            }
        }
        local.topics.borrow_mut().remove(&retire.topic);
    }
}

impl Handler<Drain> for Shard {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Self::Context) {
        self.flush();
        let local = &self.local;
        let (now, head) = (local.now(), local.head());
        for (_, conn) in local.conns.borrow().iter() {
            let reason = format!("{{\"retry_ms\":{}}}", fastrand::u64(0..RETRY_SPREAD_MS));
            conn.close(CloseCode::RESTART, &reason, head, now);
        }
    }
}
