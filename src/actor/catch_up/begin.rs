//! The beginning of a catch-up: a cursor that the client has, or the rows of the table.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use crate::actor::clients::connection::Conn;
use crate::actor::clients::state::ShardState;
use crate::actor::message::{Find, Started};
use crate::feed::{Cursor, View};
use crate::limits::{CATCH_UP_RETRY, FOLLOW_INTERVAL, PIECE_BYTES, RECONNECT_LONGEST};
use crate::store::history::{Pace, Select};
use crate::wire::message::{self, ResetReason, SnapshotRows};

use super::stop::Stop;

/// Whether a table that can't be read as it was described has just been altered. That is known a moment later; then it is
/// tried again, as it is now.
pub(super) async fn is_altered(state: &ShardState, conn: &Conn, started: &Started) -> bool {
    let deadline = Instant::now() + FOLLOW_INTERVAL * 2;
    loop {
        let wanted = (*started.wanted).clone();
        let Some(viewer) = conn.viewer() else {
            return false;
        };
        match state.hub.send(Find { wanted, viewer }).await {
            Ok(Ok(found)) if found.view.table == started.view.table => {}
            // With what the filter demands there is none any more: the next try says so.
            Ok(_) => return true,
            Err(_) => return false,
        }
        if Instant::now() >= deadline {
            return false;
        }
        sleep(CATCH_UP_RETRY).await;
    }
}

/// Where the subscription begins: the client's cursor, or that of the snapshot which it is sent.
pub(super) async fn begin(
    state: &Rc<ShardState>,
    conn: &Conn,
    started: &Started,
) -> Result<Arc<Cursor>, Stop> {
    let wanted = &started.wanted;
    let cursor = match &wanted.since {
        Some(since) => since.clone(),
        None => {
            let mut delay = CATCH_UP_RETRY;
            loop {
                match snapshot(state, conn, started).await {
                    Err((Stop::Away(why), is_begun)) => {
                        log::warn!(
                            "snapshot interrupted table={} reason=\"{why}\"",
                            started.view.table.quoted
                        );
                        if is_begun {
                            // A part of it is with the client.
                            return Err(Stop::Broken(ResetReason::Epoch));
                        }
                        sleep(delay).await;
                        delay = (delay * 2).min(RECONNECT_LONGEST);
                    }
                    Err((stop, _)) => return Err(stop),
                    Ok(cursor) => break cursor,
                }
            }
        }
    };
    let (table, text) = (&started.view.table, cursor.to_string());
    let subscribed = message::subscribed(&wanted.id, started.topic, table, &table.key, &text);
    say(state, conn, started, subscribed)?;
    Ok(Arc::new(cursor))
}

/// Sends something, unless the subscription has ended meanwhile.
pub(super) fn say(
    state: &ShardState,
    conn: &Conn,
    started: &Started,
    bytes: Bytes,
) -> Result<(), Stop> {
    if !state.catches_up(started.key, started.topic) {
        return Err(Stop::Over);
    }
    state.reply(conn, bytes);
    Ok(())
}

/// Sends the rows of the table, a piece at a time. An error also says whether some have been sent.
async fn snapshot(
    state: &ShardState,
    conn: &Conn,
    started: &Started,
) -> Result<Cursor, (Stop, bool)> {
    let mut pace = Pace::start();
    let View {
        table, projection, ..
    } = &started.view;
    let select = Select::rows_of(&started.view);
    let history = state.history.of(conn.asker());
    let opened = history.snapshot(table, &select).await;
    let mut rows = opened.map_err(|e| (e.into(), false))?;
    let cursor = rows.cursor().clone();
    let text = cursor.to_string();
    let new = || SnapshotRows::new(&started.wanted.id, started.topic, &text);
    let (mut open, mut is_begun) = (new(), false);
    loop {
        let row = rows.next().await;
        let Some(row) = row.map_err(|e| (e.into(), is_begun))? else {
            break;
        };
        if open.bytes() >= PIECE_BYTES {
            let piece = std::mem::replace(&mut open, new()).finish(true);
            say(state, conn, started, piece).map_err(|stop| (stop, is_begun))?;
            is_begun = true;
            let taken = pace.taken(&rows, conn.room()).await;
            taken.map_err(|unpaced| (unpaced.into(), is_begun))?;
        }
        match projection.apply(&row) {
            Ok(row) => open.push(&row),
            Err(_) => return Err((Stop::Broken(ResetReason::Schema), is_begun)),
        }
    }
    // Before the client may take it for whole.
    rows.finish().await.map_err(|e| (e.into(), is_begun))?;
    say(state, conn, started, open.finish(false)).map_err(|stop| (stop, true))?;
    Ok(cursor)
}
