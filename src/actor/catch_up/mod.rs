//! One subscription that catches up: a task beside the session, which ends when the subscription has joined its topic, or
//! is gone.
//!
//! It has one piece of what the client has missed at a time, and makes the next one only when the socket has taken it: a
//! client that reads slowly takes no memory from others. What is recent comes from the hub's window, the rest from the log, in
//! steps between two marks. The batches are its own, its last message joins the live stream without a seam.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};

use crate::feed::catalog::Oid;
use crate::feed::window::Piece;
use crate::feed::{Cursor, Newest, Rest, Shown, TopicId, View};
use crate::limits::{CATCH_UP_RETRY, RECONNECT_LONGEST, REPLAY_HOLD_MAX, REPLAY_PAUSE_MAX};
use crate::store::history::Goal;
use crate::wire::close::CloseCode;
use crate::wire::message::{Refusal, ResetReason};

use crate::actor::clients::connection::{Conn, LAGGING};
use crate::actor::clients::encode::Encoder;
use crate::actor::clients::state::ShardState;
use crate::actor::message::{BatchPosition, Describe, Next, Replay, Started, SubscriptionKey};

mod begin;
mod derived;
mod stop;

use begin::{begin, is_altered, say};
use stop::Stop;

/// A subscription that goes on from the log.
#[derive(Debug)]
pub(super) struct Lagging {
    /// Which.
    pub key: SubscriptionKey,
    /// Its topic.
    pub topic: TopicId,
    /// Where what it has not been sent begins.
    pub mark: BatchPosition,
}

/// See the module's documentation.
struct CatchUp {
    state: Rc<ShardState>,
    conn: Rc<Conn>,
    started: Started,
    /// What the client has.
    from: Arc<Cursor>,
    /// The batch that it is in the middle of, and what of it has not been sent.
    open: Option<(Rest, Encoder)>,
    /// The newest change of each key in the batches before, for a client to which these are enough.
    held: Newest<Shown>,
    /// Whether the log had to be read.
    result: &'static str,
}

/// Lets a subscription catch up that has been given its topic.
pub(super) fn start(state: Rc<ShardState>, conn: Rc<Conn>, started: Started) {
    if started.view.derivation.is_some() {
        return derived::start(state, conn, started);
    }
    let place = (started.key, started.topic);
    spawn(
        place,
        run(state.clone(), conn.clone(), started, None),
        state,
        conn,
    );
}

/// Lets a subscription catch up that was live, and has fallen behind.
pub(super) fn go_on(state: Rc<ShardState>, conn: Rc<Conn>, lagging: Lagging) {
    let place = (lagging.key, lagging.topic);
    spawn(
        place,
        run_on(state.clone(), conn.clone(), lagging),
        state,
        conn,
    );
}

fn spawn(
    (key, topic): (SubscriptionKey, TopicId),
    run: impl Future<Output = ()> + 'static,
    state: Rc<ShardState>,
    conn: Rc<Conn>,
) {
    state.note_catch_up(key, topic);
    actix_rt::spawn(async move {
        state.metrics.catching_up.inc();
        // Boxed: with all that it may be doing it is large, and most of the time it waits for its turn.
        conn.in_turn(key.serial, topic, Box::pin(run)).await;
        state.metrics.catching_up.dec();
        state.forget_catch_up(key, topic);
    });
}

async fn run_on(state: Rc<ShardState>, conn: Rc<Conn>, lagging: Lagging) {
    let Lagging { key, topic, mark } = lagging;
    let description = state.hub.send(Describe { topic }).await;
    let subscription = state.find(key).map(|(conn, place)| {
        let subscription = &conn.subscriptions().borrow()[place];
        (subscription.id.clone(), subscription.wants_snapshot)
    });
    let (Ok(description), Some((id, wants_snapshot))) = (description, subscription) else {
        return;
    };
    // It has begun anew meanwhile: what it may see has changed.
    if !state.catches_up(key, topic) {
        return;
    }
    let Some((view, asked)) = description else {
        return end_behind(&state, &conn);
    };
    if view.derivation.is_some() {
        // What it has missed is in no log.
        let wanted = asked.again(&id, wants_snapshot);
        return state.restart(key, ResetReason::Window, wanted);
    }
    let started = Started {
        key,
        topic,
        breaks: mark.breaks,
        view,
        wanted: asked.again(&id, wants_snapshot),
    };
    run(state, conn, started, Some(mark)).await;
}

/// What a client has missed is of a table that is not watched any more: nobody can tell it any more.
fn end_behind(state: &ShardState, conn: &Conn) {
    state.close(conn, CloseCode::LAGGING, LAGGING);
}

/// From `mark` on, or from the beginning.
async fn run(state: Rc<ShardState>, conn: Rc<Conn>, started: Started, mark: Option<BatchPosition>) {
    let (is_resume, is_behind) = (started.wanted.since.is_some(), mark.is_some());
    let begun = match &mark {
        Some(mark) => Ok(mark.from.clone()),
        None => begin(&state, &conn, &started).await,
    };
    let from = match begun {
        Ok(from) => from,
        Err(stop) => return stopped(&state, &conn, &started, stop, is_behind).await,
    };
    let mut catch_up = CatchUp {
        state: state.clone(),
        conn: conn.clone(),
        started,
        from,
        open: None,
        held: Newest::default(),
        result: "window",
    };
    if let Some(mark) = mark.filter(|mark| mark.sent > 0) {
        catch_up.go_on_within(&mark);
    }
    match catch_up.follow().await {
        Ok(()) if is_resume => state.metrics.resumed(catch_up.result),
        Ok(()) => {}
        Err(stop) => stopped(&state, &conn, &catch_up.started, stop, is_behind).await,
    }
}

/// A catch-up has ended before the subscription is live; `is_behind`: it was live before.
async fn stopped(
    state: &Rc<ShardState>,
    conn: &Rc<Conn>,
    started: &Started,
    stop: Stop,
    is_behind: bool,
) {
    let (key, topic, wanted) = (started.key, started.topic, started.wanted.clone());
    let stop = match stop {
        Stop::Refused(refusal) if refusal.code == "unreadable" && !is_behind => {
            match is_altered(state, conn, started).await {
                true => Stop::Broken(ResetReason::Schema),
                false => Stop::Refused(refusal),
            }
        }
        stop => stop,
    };
    match stop {
        // It has begun anew meanwhile: what it may see has changed.
        _ if !state.catches_up(key, topic) => {}
        Stop::Over => {}
        Stop::Broken(reason) => {
            if wanted.since.is_some() {
                state.metrics.resumed("reset");
            }
            state.restart(key, reason, wanted);
        }
        Stop::Gone if is_behind => end_behind(state, conn),
        Stop::Gone => state.retire(key),
        Stop::Refused(refusal) => {
            let id = Some(wanted.id.clone());
            state.refuse(key, &Refusal { id, ..refusal });
        }
        Stop::Slow => {
            state.metrics.limit("snapshot_pause");
            let reason = "others wait for a snapshot; come back and read faster";
            state.close(conn, CloseCode::SLOW, reason);
        }
        // One that is away is waited for, where it was found out.
        Stop::Busy | Stop::Away(_) => {
            state.metrics.limit("history");
            let reason = "too many clients are catching up; come back with your cursor";
            state.close(conn, CloseCode::TRY_LATER, reason);
        }
    }
}

impl CatchUp {
    /// Follows the window and the log until the subscription has joined.
    async fn follow(&mut self) -> Result<(), Stop> {
        let mut delay = CATCH_UP_RETRY;
        loop {
            self.conn.room().await?;
            if !self.state.catches_up(self.started.key, self.started.topic) {
                return Err(Stop::Over);
            }
            match self.ask().await? {
                Next::Joined => return Ok(()),
                Next::Gone => return Err(Stop::Gone),
                Next::Broken(reason) => return Err(Stop::Broken(reason)),
                Next::Rows(piece, view) => self.take(piece, view)?,
                Next::Log(rels, view, known) => match self.read_log(&rels, view, known).await {
                    Err(Stop::Away(why)) => {
                        log::warn!("replay interrupted reason=\"{why}\"");
                        sleep(delay).await;
                        delay = (delay * 2).min(RECONNECT_LONGEST);
                    }
                    done => {
                        done?;
                        delay = CATCH_UP_RETRY;
                    }
                },
            }
        }
    }

    async fn ask(&self) -> Result<Next, Stop> {
        let replay = Replay {
            shard: self.state.id,
            key: self.started.key,
            topic: self.started.topic,
            breaks: self.started.breaks,
            from: self.from.clone(),
            rest: self.open.as_ref().map(|(rest, _)| rest.clone()),
            wanted: self.started.wanted.clone(),
            may_join: self.held.is_empty(),
        };
        // Without the hub the process is about to end.
        self.state.hub.send(replay).await.map_err(|_| Stop::Over)
    }

    fn say(&self, bytes: Bytes) -> Result<(), Stop> {
        say(&self.state, &self.conn, &self.started, bytes)
    }

    /// The batch that ends at `end`, from its beginning or where it was left.
    fn open(&mut self, end: &Arc<Cursor>, view: View) -> &mut (Rest, Encoder) {
        self.open.get_or_insert_with(|| {
            let mut encoder = Encoder::new(self.started.topic, view, end.to_string().into());
            *encoder.newest() = std::mem::take(&mut self.held);
            let rest = Rest {
                end: end.clone(),
                seq: i64::MIN,
            };
            (rest, encoder)
        })
    }

    /// The client is in the middle of a batch.
    fn go_on_within(&mut self, mark: &BatchPosition) {
        let (_, encoder) = self.open(&mark.end, self.started.view.clone());
        encoder.go_on_behind(mark.sent);
    }

    fn take(&mut self, piece: Piece, view: View) -> Result<(), Stop> {
        // With nothing new it is where the hub is: what is held back has waited for this.
        let is_there = piece.rows.is_empty();
        if is_there && !self.held.is_empty() {
            self.open(&piece.end, view.clone());
        }
        for row in piece.rows {
            let (rest, encoder) = self.open(&piece.end, view.clone());
            rest.seq = row.seq;
            for frame in encoder.push(row)? {
                self.say(frame)?;
            }
        }
        if piece.is_last {
            self.close(piece.end, false, !is_there)?;
        }
        Ok(())
    }

    /// The batch has ended, and the client is there; see [`Encoder::finish`]. `may_wait`: more is to come, so to whom the
    /// newest change of each key is enough gets them with that.
    fn close(&mut self, end: Arc<Cursor>, is_news: bool, may_wait: bool) -> Result<(), Stop> {
        if let Some((_, mut encoder)) = self.open.take() {
            if self.started.wanted.conflate && may_wait {
                for frame in encoder.settle()? {
                    self.say(frame)?;
                }
                if !encoder.has_begun() {
                    self.held = std::mem::take(encoder.newest());
                    self.from = end;
                    return Ok(());
                }
            }
            let (frames, count) = encoder.finish(is_news)?;
            for frame in frames {
                self.say(frame)?;
            }
            self.state.metrics.deliveries.inc_by(count as u64);
        }
        self.from = end;
        Ok(())
    }

    /// Reads a step of the log, or a part of it: a client that is slow gives its place to others, and goes on later.
    async fn read_log(
        &mut self,
        rels: &[Oid],
        view: View,
        known: Option<Arc<Cursor>>,
    ) -> Result<(), Stop> {
        self.result = "log";
        let rest = self.open.as_ref().map(|(rest, _)| rest);
        let history = self.state.history.of(self.conn.asker());
        let held = view.held.as_ref();
        let replay = history.replay(&self.from, rest, rels, held, known.as_ref());
        let mut replay = replay.await??;
        // A step that nothing of was for the client may have taken long. It must not be taken again.
        let mut is_news = replay.goal() == Goal::Mark;
        let held_until = Instant::now() + REPLAY_HOLD_MAX;
        let end = replay.end().clone();
        // Also without a row: what was looked at is an end of a batch from now on.
        self.open(&end, view.clone());
        while let Some(row) = replay.next().await? {
            is_news = true;
            let (rest, encoder) = self.open(&end, view.clone());
            rest.seq = row.seq;
            let frames = encoder.push(row)?;
            let has_room = frames.is_empty() || {
                for frame in frames {
                    self.say(frame)?;
                }
                self.has_room(REPLAY_PAUSE_MAX).await?
            };
            if !has_room || Instant::now() >= held_until {
                return Ok(());
            }
        }
        replay.finish().await??;
        self.close(end, is_news, true)
    }

    async fn has_room(&self, patience: Duration) -> Result<bool, Stop> {
        match timeout(patience, self.conn.room()).await {
            Ok(room) => room.map(|()| true).map_err(Stop::from),
            Err(_) => Ok(false),
        }
    }
}
