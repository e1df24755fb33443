//! How a subscription of a window, or of counts, becomes live: it is shown what there is, which the hub holds for all that ask for
//! the same, and joins. No query is made for it.

use std::rc::Rc;
use std::sync::Arc;

use tokio::time::timeout;

use crate::feed::Cursor;
use crate::feed::derived::Entry;
use crate::limits::{PIECE_BYTES, SNAPSHOT_WAIT_MAX};
use crate::metrics::TransportLabel;
use crate::wire::message::{self, ResetReason, SnapshotRows};

use super::begin::say;
use super::stop::Stop;
use super::stopped;
use crate::actor::clients::connection::Conn;
use crate::actor::clients::state::ShardState;
use crate::actor::message::{JoinDerived, Next, ShowDerived, ShownNow, Started};

/// The transport whose clients have no other way to go on: they hold the rows between two requests.
const LONG_POLL: TransportLabel = TransportLabel {
    transport: "long-poll",
};

/// What a client is shown.
struct Shown {
    rows: Arc<[Arc<Entry>]>,
    cursor: Arc<str>,
    /// Since when they have been these.
    since: Arc<Cursor>,
}

/// Lets a subscription catch up that has been given its topic.
pub(super) fn start(state: Rc<ShardState>, conn: Rc<Conn>, started: Started) {
    let (key, topic) = (started.key, started.topic);
    state.note_catch_up(key, topic);
    actix_rt::spawn(async move {
        state.metrics.catching_up.inc();
        // The rows may have to be read, and meanwhile it is the turn of the socket's other subscriptions.
        let ask = Box::pin(ask(&state, &started));
        if let Some(shown) = conn.while_wanted(key.serial, topic, ask).await {
            let run = Box::pin(run(&state, &conn, &started, shown));
            conn.in_turn(key.serial, topic, run).await;
        }
        state.metrics.catching_up.dec();
        state.forget_catch_up(key, topic);
    });
}

async fn run(
    state: &Rc<ShardState>,
    conn: &Rc<Conn>,
    started: &Started,
    shown: Result<Shown, Stop>,
) {
    let joined = match shown {
        Ok(shown) => {
            let joined = timeout(SNAPSHOT_WAIT_MAX, join(state, conn, started, shown)).await;
            joined.unwrap_or(Err(Stop::Slow))
        }
        Err(stop) => Err(stop),
    };
    if let Err(stop) = joined {
        stopped(state, conn, started, stop, false).await;
    }
}

async fn ask(state: &ShardState, started: &Started) -> Result<Shown, Stop> {
    let show = ShowDerived {
        topic: started.topic,
        breaks: started.breaks,
    };
    match state.hub.send(show).await {
        Ok(ShownNow::Rows(rows, cursor, since)) => Ok(Shown {
            rows,
            cursor,
            since,
        }),
        Ok(ShownNow::Broken(reason)) => Err(Stop::Broken(reason)),
        Ok(ShownNow::Gone) => Err(Stop::Gone),
        Ok(ShownNow::Refused(refusal)) => Err(Stop::Refused(refusal)),
        // Without the hub the process is about to end.
        Err(_) => Err(Stop::Over),
    }
}

/// Sends the rows, a piece at a time, and joins.
async fn join(
    state: &Rc<ShardState>,
    conn: &Rc<Conn>,
    started: &Started,
    shown: Shown,
) -> Result<(), Stop> {
    let (wanted, topic, view) = (&started.wanted, started.topic, &started.view);
    let is_poll = *conn.socket().transport() == LONG_POLL;
    // A client that is ahead of what is shown, having asked another node, has other rows.
    let at = Cursor::parse(&shown.cursor).ok();
    let is_behind = |since: &Cursor| {
        at.as_ref()
            .is_some_and(|at| at.snapshot.covers(&since.snapshot))
    };
    let has_them = |since: &Cursor| {
        let is_same = since.epoch == shown.since.epoch;
        is_poll && is_same && since.snapshot.covers(&shown.since.snapshot) && is_behind(since)
    };
    let begins_anew = wanted.since.as_ref().is_some_and(|since| !has_them(since));
    if begins_anew {
        state.metrics.resumed("reset");
        let reset = message::reset(&wanted.id, ResetReason::Window);
        say(state, conn, started, reset)?;
    }
    if begins_anew || (wanted.snapshot && wanted.since.is_none()) {
        let new = || SnapshotRows::new(&wanted.id, topic, &shown.cursor);
        let mut open = new();
        for row in shown.rows.iter() {
            if open.bytes() >= PIECE_BYTES {
                let piece = std::mem::replace(&mut open, new()).finish(true);
                say(state, conn, started, piece)?;
                conn.room().await?;
            }
            open.push(&row.text);
        }
        say(state, conn, started, open.finish(false))?;
    }
    let subscribed = message::subscribed(&wanted.id, topic, &view.table, view.key(), &shown.cursor);
    say(state, conn, started, subscribed)?;
    conn.room().await?;
    let join = JoinDerived {
        shard: state.id,
        key: started.key,
        topic,
        breaks: started.breaks,
        has: shown.rows,
        wanted: wanted.clone(),
    };
    match state.hub.send(join).await {
        Ok(Next::Joined) => Ok(()),
        Ok(Next::Broken(reason)) => Err(Stop::Broken(reason)),
        Ok(_) => Err(Stop::Gone),
        Err(_) => Err(Stop::Over),
    }
}
