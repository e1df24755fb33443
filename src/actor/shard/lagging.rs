//! What becomes of a client that the backlog does not wait for: its subscriptions catch up from the log, as if it had come
//! back with the cursor of the last batch that it has. The socket stays, and nothing is missed or comes twice.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::rc::Rc;

use bytes::Bytes;

use crate::feed::TopicId;

use crate::actor::catch_up::{self, Lagging};
use crate::actor::clients::backlog::{Backlog, Segment};
use crate::actor::clients::connection::Conn;
use crate::actor::clients::state::ShardState;
use crate::actor::clients::subscription::{State, Subscription};
use crate::actor::message::SubscriptionKey;

/// All segments that a session may still need, the ones that were just cut among them.
struct Needed<'a> {
    cut: &'a [Segment],
    /// Number of the first one.
    first: u64,
    backlog: &'a Backlog,
    /// Their numbers. Made when the first client asks, for in a long backlog each would look for long.
    by_topic: OnceCell<HashMap<TopicId, Vec<u64>>>,
}

impl Needed<'_> {
    fn get(&self, number: u64) -> Option<&Segment> {
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.cut.get(place).or_else(|| self.backlog.get(number))
    }

    /// The first one of a topic whose number is `from` or higher.
    fn next_of(&self, topic: TopicId, from: u64) -> Option<&Segment> {
        let by_topic = self.by_topic.get_or_init(|| {
            let mut by_topic = HashMap::<TopicId, Vec<u64>>::new();
            for (number, segment) in (self.first..).zip(self.cut.iter().chain(self.backlog.iter()))
            {
                by_topic.entry(segment.topic).or_default().push(number);
            }
            by_topic
        });
        let numbers = by_topic.get(&topic)?;
        let place = numbers.partition_point(|number| *number < from);
        self.get(*numbers.get(place)?)
    }
}

impl ShardState {
    /// Cuts the backlog to its bound. Those that fall behind it go on from the log; where that can't be told where to
    /// begin, they are closed, and come back with their cursor.
    pub(super) fn trim(self: &Rc<Self>) {
        let first = self.backlog.borrow().base();
        let cut = self.backlog.borrow_mut().trim(self.blocked.get() > 0);
        if cut.is_empty() {
            return;
        }
        self.metrics.limit("backlog_bytes");
        let (backlog, conns) = (self.backlog.borrow(), self.conns.borrow());
        let needed = Needed {
            cut: &cut,
            first,
            backlog: &backlog,
            by_topic: OnceCell::new(),
        };
        for (slot, conn) in conns.iter() {
            if let Some((segment, offset)) = conn.place()
                && segment < backlog.base()
            {
                self.fall_behind(slot, conn, (segment, offset), &needed);
            }
        }
    }

    fn fall_behind(
        self: &Rc<Self>,
        slot: usize,
        conn: &Rc<Conn>,
        (segment, offset): (u64, usize),
        needed: &Needed<'_>,
    ) {
        // Whole frames: it is never cut in the middle of one.
        let begun = needed.get(segment).filter(|_| offset > 0);
        let begun = begun.map_or_else(Bytes::new, |s| s.of(conn.deflates()).slice(offset..));
        let head = needed.backlog.head();
        let from = segment + u64::from(offset > 0);
        let next_of = |topic, from| needed.next_of(topic, from);
        let behind = self.behind(slot, conn, from, |_| true, next_of);
        conn.leave_backlog(begun, head);
        let Some(behind) = behind else {
            return conn.lag(head, self.now());
        };
        // One that is full of what it catches up on has missed nothing here.
        if behind.is_empty() {
            return;
        }
        let bytes = needed.backlog.behind(segment);
        log::info!(
            "client fell behind, goes on from the log subscriptions={} behind_bytes={bytes} behind_flushes={}",
            behind.len(),
            head - segment
        );
        self.metrics.fallen_behind.inc();
        self.catch_up(conn, behind);
    }

    /// The socket of a client is full. Its subscriptions to which the newest change of each key is enough don't wait in the
    /// backlog: they catch up when it has room, with what is the newest then.
    pub(super) fn conflate(self: &Rc<Self>, slot: usize, conn: &Rc<Conn>) {
        let Some((segment, offset)) = conn.place() else {
            return;
        };
        let backlog = self.backlog.borrow();
        let from = segment + u64::from(offset > 0);
        let next_of = |topic, from: u64| {
            let mut numbers = from..backlog.head();
            numbers.find_map(|number| backlog.get(number).filter(|s| s.topic == topic))
        };
        let behind = self.behind(slot, conn, from, |s| s.conflates, next_of);
        self.catch_up(conn, behind.unwrap_or_default());
    }

    fn catch_up(self: &Rc<Self>, conn: &Rc<Conn>, behind: Vec<Lagging>) {
        for behind in behind {
            self.remove_member(behind.key.slot, behind.topic);
            for subscription in conn.subscriptions().borrow_mut().iter_mut() {
                if subscription.serial == behind.key.serial {
                    subscription.state = State::CatchingUp(behind.topic);
                }
            }
            catch_up::go_on(self.clone(), conn.clone(), behind);
        }
    }

    /// The subscriptions, of those that `is_asked` names, that have not been sent all from the segment `from` on; `next_of`
    /// finds the first segment of a topic from a number on. None when they can't go on from the log.
    fn behind<'a>(
        &self,
        slot: usize,
        conn: &Conn,
        from: u64,
        is_asked: impl Fn(&Subscription) -> bool,
        next_of: impl Fn(TopicId, u64) -> Option<&'a Segment>,
    ) -> Option<Vec<Lagging>> {
        let subscriptions = conn.subscriptions().borrow();
        // Of a table that is not watched any more there is no log.
        let has_ended =
            |s: &Subscription| matches!(s.state, State::Ending { until, .. } if from < until);
        if conn.is_over() || subscriptions.iter().any(has_ended) {
            return None;
        }
        let mut behind = Vec::new();
        for subscription in subscriptions.iter().filter(|s| is_asked(s)) {
            let State::Live {
                topic,
                from: begins,
            } = subscription.state
            else {
                continue;
            };
            let Some(next) = next_of(topic, from.max(begins)) else {
                continue;
            };
            // A frame only says of which topic it is: what one of them catches up on the other would get as well.
            if conn.shares(topic, subscription.serial, false) {
                return None;
            }
            behind.push(Lagging {
                key: SubscriptionKey {
                    slot,
                    serial: subscription.serial,
                },
                topic,
                mark: next.begins.clone(),
            });
        }
        Some(behind)
    }
}
