//! One flush: what was pending when it began, and how far it has got. It writes to some sockets at a time, so that reads,
//! pings and new clients have their turn while many thousand sockets are written.

use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::coalesce::{Group, join};
use crate::actor::clients::backlog::Segment;
use crate::actor::clients::connection::Conn;
use crate::actor::clients::state::ShardState;
use crate::actor::message::{Reached, TopicFrame};

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Flush {
    /// Unique in the shard, and not 0.
    pub id: u64,
    segments: Vec<Segment>,
    /// The number of the first one.
    pub first: u64,
    /// By segment, the clients that were subscribed to its topic when it began and have not been looked at. The topic with
    /// the fewest is the last one, and the first to be written: a small one does not wait for a large one.
    left: Vec<(usize, Vec<usize>)>,
    /// Everything up to here has been written when it ends; none in the middle of a batch.
    pub cursor: Option<Reached>,
}

impl Flush {
    /// Takes what is pending. Its place among the segments is fixed from here on.
    pub fn begin(
        id: u64,
        pending: &mut Vec<TopicFrame>,
        cursor: Option<Reached>,
        state: &ShardState,
    ) -> Self {
        let (topics, conns) = (state.topics.borrow(), state.conns.borrow());
        let mut flush = Self {
            id,
            segments: Vec::new(),
            first: state.head(),
            left: Vec::new(),
            cursor,
        };
        for group in join(pending) {
            let Some(members) = topics.get(&group.topic) else {
                continue;
            };
            let delivered = group.changes * members.len();
            state.metrics.deliveries.inc_by(delivered as u64);
            state.metrics.delivery_seconds.observe(age_s(group.at_us));
            let some = |deflates| members.iter().any(|s| conns[*s].deflates() == deflates);
            let segment = segment(&group, some(false), some(true), state);
            state.backlog.borrow_mut().push(segment.clone());
            flush.left.push((flush.segments.len(), members.clone()));
            flush.segments.push(segment);
        }
        flush
            .left
            .sort_by_key(|(_, members)| std::cmp::Reverse(members.len()));
        flush
    }

    /// Writes to at most so many sockets, one write each. True when all have been written.
    pub fn write(&mut self, sockets_max: usize, state: &Rc<ShardState>) -> bool {
        let (now, mut written) = (state.now(), 0);
        let end = self.first + self.segments.len() as u64;
        let conns = state.conns.borrow();
        while let Some((place, members)) = self.left.last_mut() {
            let (number, topic) = (self.first + *place as u64, self.segments[*place].topic);
            while let Some(slot) = members.pop() {
                // Another session may have the place by now.
                let Some(conn) = conns.get(slot).filter(|conn| conn.is_for(topic, number)) else {
                    continue;
                };
                if conn.is_over() {
                    continue;
                }
                // One that lags finds the segments in the backlog when its turn comes. Another may have them already: it
                // lagged when they were new, or was told something that comes behind them.
                if !conn.is_blocked() && conn.offered.get() < end {
                    conn.offered.set(end);
                    write(conn, &self.segments, self.first, *place, now);
                    written += 1;
                }
                if conn.is_blocked() && conn.conflates() {
                    state.conflate(slot, conn);
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
fn segment(group: &Group, some_plain: bool, some_deflate: bool, state: &ShardState) -> Segment {
    let deflated = some_deflate.then(|| group.deflated(&state.metrics));
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use actix::Actor as _;
    use bytes::Bytes;

    use super::*;
    use crate::actor::admission::rates::Rates;
    use crate::actor::clients::subscription::{State, Subscription};
    use crate::actor::hub::Hub;
    use crate::actor::message::BatchPosition;
    use crate::actor::message::ShardId;
    use crate::actor::transport::pipe::{PipeReader, pipe};
    use crate::actor::transport::shared_frame::SharedFrame;
    use crate::auth::Viewer;
    use crate::feed::TopicId;
    use crate::limits::PIPE_BYTES_MAX;
    use crate::metrics::TransportLabel;
    use crate::store::History;

    /// A shard with one client, whose socket is full when it has [`PIPE_BYTES_MAX`].
    struct Bench {
        state: Rc<ShardState>,
        conn: Rc<Conn>,
        reader: PipeReader,
    }

    impl Bench {
        fn new() -> Self {
            let database: tokio_postgres::Config = "host=/nowhere user=nobody".parse().unwrap();
            let history = History::new(&database.into(), &Arc::default()).unwrap();
            let hub = Hub::new(
                Default::default(),
                Arc::default(),
                Arc::default(),
                Arc::default(),
                history.clone(),
                Default::default(),
            )
            .start();
            let rates = Arc::new(Rates::new(Default::default(), Arc::default()));
            let state = Rc::new(ShardState::new(
                ShardId(0),
                (hub, Arc::default()),
                Arc::default(),
                history,
                1024,
                None,
                rates,
            ));
            let (socket, reader) = pipe(TransportLabel { transport: "sse" });
            let (slot, conn) = state.attach(socket.into(), false, Some(Viewer::Everybody));
            conn.subscriptions().borrow_mut().push(Subscription {
                serial: 1,
                id: "a".into(),
                state: State::Live {
                    topic: TopicId(1),
                    from: 0,
                },
                is_awaited: false,
                query: None,
                refreshes_due: 0,
                is_cancelled: false,
                wants_snapshot: false,
                conflates: false,
                is_derived: false,
            });
            state.topics.borrow_mut().insert(TopicId(1), vec![slot]);
            Self {
                state,
                conn,
                reader,
            }
        }

        fn begin(&self, id: u64, text: &'static str) -> Flush {
            let mut pending = vec![TopicFrame {
                topic: TopicId(1),
                begins: BatchPosition::of_paper(),
                frame: SharedFrame::new(Bytes::from_static(text.as_bytes())),
                changes: 1,
                at_us: 0,
            }];
            Flush::begin(id, &mut pending, None, &self.state)
        }

        /// The socket has no room for all of it.
        fn fill(&self) {
            let reply = Bytes::from(vec![b'.'; PIPE_BYTES_MAX + 1]);
            self.state.reply(&self.conn, reply);
            assert!(self.conn.is_blocked());
        }

        /// All that the client gets, without the dots.
        fn read(&mut self) -> String {
            let mut cx = Context::from_waker(Waker::noop());
            let mut text = Vec::new();
            loop {
                self.state.drain(&self.conn);
                let Poll::Ready(Some(bytes)) = self.reader.poll_read(&mut cx) else {
                    break;
                };
                text.extend(bytes);
            }
            let mut text = String::from_utf8(text).unwrap();
            text.retain(|c| c != '.');
            text
        }
    }

    #[actix_rt::test]
    async fn what_is_said_in_a_flush_comes_behind_it_also_where_it_fills_the_socket() {
        let mut bench = Bench::new();
        let mut flush = bench.begin(1, "changes ");
        bench.state.flushing_from(flush.first);
        bench
            .state
            .reply(&bench.conn, Bytes::from_static(b"reply "));
        bench.fill();
        assert!(flush.write(usize::MAX, &bench.state));
        bench.state.end_flush(None);
        assert_eq!(bench.read(), "changes reply ");
    }

    #[actix_rt::test]
    async fn one_that_was_full_and_has_taken_the_flush_is_not_written_to_again() {
        let mut bench = Bench::new();
        bench.fill();
        let mut first = bench.begin(1, "first ");
        bench.state.flushing_from(first.first);
        let mut second = bench.begin(2, "second ");
        assert_eq!(bench.read(), "first second ");
        first.write(usize::MAX, &bench.state);
        second.write(usize::MAX, &bench.state);
        bench.state.end_flush(None);
        let mut third = bench.begin(3, "third ");
        bench.state.flushing_from(third.first);
        third.write(usize::MAX, &bench.state);
        bench.state.end_flush(None);
        assert_eq!(bench.read(), "third ");
    }

    #[actix_rt::test]
    async fn one_that_is_full_gets_the_flush_when_it_has_room() {
        let mut bench = Bench::new();
        bench.fill();
        let mut flush = bench.begin(1, "changes ");
        bench.state.flushing_from(flush.first);
        bench
            .state
            .reply(&bench.conn, Bytes::from_static(b"reply "));
        assert!(flush.write(usize::MAX, &bench.state));
        bench.state.end_flush(None);
        assert_eq!(bench.read(), "changes reply ");
    }

    #[actix_rt::test]
    async fn client_of_a_window_that_is_about_to_change_has_not_reached_the_cursor() {
        let bench = Bench::new();
        for (stale, expected) in [(1, None), (2, Some("C"))] {
            bench.state.end_flush(Some(Reached {
                cursor: "C".into(),
                stale: [TopicId(stale)].into(),
            }));
            let reached = bench.state.reached(&bench.conn);
            assert_eq!(reached.as_deref(), expected, "t{stale} is stale");
        }
    }
}
