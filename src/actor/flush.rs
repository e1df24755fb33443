//! One flush: what was pending when it began, and how far it has got. It writes to some sockets at a time, so that reads,
//! pings and new clients have their turn while many thousand sockets are written.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::backlog::Segment;
use super::coalesce::{Group, join};
use super::conn::Conn;
use super::local::Local;
use super::message::TopicFrame;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Flush {
    /// Unique in the shard, and not 0.
    pub id: u64,
    segments: Vec<Segment>,
    /// The number of the first one.
    first: u64,
    /// By segment, the clients that were subscribed to its topic when it began and have not been looked at. The topic with
    /// the fewest is the last one, and the first to be written: a small one does not wait for a large one.
    left: Vec<(usize, Vec<usize>)>,
    /// Everything up to here has been written when it ends; none in the middle of a batch.
    pub cursor: Option<Arc<str>>,
}

impl Flush {
    /// Takes what is pending. Its place among the segments is fixed from here on.
    pub fn begin(
        id: u64,
        pending: &mut Vec<TopicFrame>,
        cursor: Option<Arc<str>>,
        local: &Local,
    ) -> Self {
        let (topics, conns) = (local.topics.borrow(), local.conns.borrow());
        let mut flush = Self {
            id,
            segments: Vec::new(),
            first: local.head(),
            left: Vec::new(),
            cursor,
        };
        for group in join(pending) {
            let Some(members) = topics.get(&group.topic) else {
                continue;
            };
            let delivered = group.changes * members.len();
            local.metrics.deliveries.inc_by(delivered as u64);
            local.metrics.delivery_seconds.observe(age_s(group.at_us));
            let some = |deflates| members.iter().any(|s| conns[*s].deflates() == deflates);
            let segment = segment(&group, some(false), some(true), local);
            local.backlog.borrow_mut().push(segment.clone());
            flush.left.push((flush.segments.len(), members.clone()));
            flush.segments.push(segment);
        }
        flush
            .left
            .sort_by_key(|(_, members)| std::cmp::Reverse(members.len()));
        flush
    }

    /// Writes to at most so many sockets, one write each. True when all have been written.
    pub fn write(&mut self, sockets_max: usize, local: &Rc<Local>) -> bool {
        let (now, mut written) = (local.now(), 0);
        let conns = local.conns.borrow();
        while let Some((place, members)) = self.left.last_mut() {
            let (number, topic) = (self.first + *place as u64, self.segments[*place].topic);
            while let Some(slot) = members.pop() {
                // The place may be somebody else's by now.
                let Some(conn) = conns.get(slot).filter(|conn| conn.is_for(topic, number)) else {
                    continue;
                };
                if conn.flushed.replace(self.id) == self.id || conn.is_over() {
                    continue;
                }
                // One that lags finds the segment in the backlog when its turn comes.
                if !conn.is_blocked() {
                    write(conn, &self.segments, self.first, *place, now);
                    written += 1;
                }
                if conn.is_blocked() && conn.conflates() {
                    local.conflate(slot, conn);
                }
                if written == sockets_max {
                    return false;
                }
            }
            self.left.pop();
        }
        true
    }
}

/// All segments that are for a client, in one write; that at `place` is.
fn write(conn: &Conn, segments: &[Segment], first: u64, place: usize, now: u32) {
    let of = |place: usize| (first + place as u64, segments[place].of(conn.deflates()));
    if segments.len() == 1 || conn.subscriptions().borrow().len() == 1 {
        conn.write_flush(&[of(place)], now);
        return;
    }
    let is_for = |place: &usize| conn.is_for(segments[*place].topic, first + *place as u64);
    let own: Vec<_> = (0..segments.len()).filter(is_for).map(of).collect();
    conn.write_flush(&own, now);
}

/// What a topic's subscribers get of a flush: as it is for some, compressed for some. Who subscribes later never looks
/// at it, so where all of them take the one the other is not kept.
fn segment(group: &Group, some_plain: bool, some_deflate: bool, local: &Local) -> Segment {
    let deflated = some_deflate.then(|| group.deflated(&local.metrics));
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

/// Seconds since a moment in microseconds of Unix time; 0 for the future.
fn age_s(at_us: i64) -> f64 {
    let at = Duration::from_micros(at_us.unsigned_abs());
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    now.saturating_sub(at).as_secs_f64()
}
