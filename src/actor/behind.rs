//! What becomes of a client that the backlog does not wait for: its subscriptions catch up from the log, as if it had come
//! back with the cursor of the last batch that it has. The socket stays, and nothing is missed or comes twice.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::rc::Rc;

use bytes::Bytes;

use crate::feed::TopicId;

use super::backlog::{Backlog, Segment};
use super::catch_up;
use super::conn::Conn;
use super::local::Local;
use super::message::SubscriptionKey;
use super::subscription::{CATCHING_UP, Mark};

/// A subscription that goes on from the log.
#[derive(Debug)]
pub(super) struct Behind {
    /// Which.
    pub key: SubscriptionKey,
    /// Its topic.
    pub topic: TopicId,
    /// Where what it has not been sent begins.
    pub mark: Mark,
}

/// All segments that somebody may still need, the ones that were just cut among them.
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

impl Local {
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
        let behind = self.behind(slot, conn, segment + u64::from(offset > 0), needed);
        conn.leave_backlog(begun, head);
        let Some(behind) = behind else {
            return conn.lag(head, self.now());
        };
        let bytes = needed.backlog.behind(segment);
        log::info!(
            "client fell behind, goes on from the log subscriptions={} behind_bytes={bytes} behind_flushes={}",
            behind.len(),
            head - segment
        );
        self.metrics.fallen_behind.inc();
        for behind in behind {
            self.remove_member(slot, behind.topic);
            for subscription in conn.subscriptions().borrow_mut().iter_mut() {
                if subscription.serial == behind.key.serial {
                    subscription.from = CATCHING_UP;
                }
            }
            catch_up::go_on(self.clone(), conn.clone(), behind);
        }
    }

    /// The subscriptions that something from the segment `from` on is for. None when they can't go on from the log.
    fn behind(
        &self,
        slot: usize,
        conn: &Conn,
        from: u64,
        needed: &Needed<'_>,
    ) -> Option<Vec<Behind>> {
        let subscriptions = conn.subscriptions().borrow();
        // Of a table that is not watched any more there is no log.
        if conn.is_over() || subscriptions.iter().any(|s| s.until.is_some()) {
            return None;
        }
        let mut behind = Vec::new();
        for subscription in subscriptions.iter() {
            let Some(topic) = subscription.topic.filter(|t| subscription.is_live(*t)) else {
                continue;
            };
            let Some(next) = needed.next_of(topic, from.max(subscription.from)) else {
                continue;
            };
            // A frame only says of which topic it is: what one of them catches up on the other would get as well.
            if conn.shares(topic, subscription.serial, false) {
                return None;
            }
            behind.push(Behind {
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
