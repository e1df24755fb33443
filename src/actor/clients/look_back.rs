//! A subscription that begins a span back from now: where that is in the log is asked for, and then it is one with a cursor.

use std::rc::Rc;
use std::sync::Arc;

use crate::feed::Cursor;
use crate::store::HistoryError;
use crate::wire::message::{Refusal, Subscribe as Wanted};

use super::connection::Conn;
use super::state::ShardState;
use crate::actor::message::{Find, SubscriptionKey};

impl ShardState {
    /// Asks for the place, and then the hub for the subscription.
    pub(super) fn look_back(
        self: &Rc<Self>,
        key: SubscriptionKey,
        conn: Rc<Conn>,
        mut wanted: Wanted,
    ) {
        let state = self.clone();
        actix_rt::spawn(async move {
            match state.place_back(&conn, &wanted).await {
                Ok(cursor) => {
                    (wanted.since, wanted.back) = (Some(cursor), None);
                    state.ask_again(key, Arc::new(wanted), false);
                }
                Err(refusal) => state.refuse(key, &refusal),
            }
        });
    }

    async fn place_back(&self, conn: &Conn, wanted: &Wanted) -> Result<Cursor, Refusal> {
        let busy = |why: &dyn std::fmt::Display| Refusal::of(&wanted.id, "busy", why.to_string());
        let viewer = conn.viewer();
        let viewer = viewer.ok_or_else(|| busy(&"nobody has said who this is"))?;
        let find = Find {
            wanted: wanted.clone(),
            viewer,
        };
        let found = self.hub.send(find).await;
        let found = found.map_err(|_| busy(&"the server is about to end"))??;
        let at_least = found.view.table.since.max(found.since);
        let history = self.history.of(conn.asker());
        let place = history
            .back(wanted.back.unwrap_or_default(), at_least)
            .await;
        place.map_err(|error| match error {
            HistoryError::Denied(code, why) => Refusal::of(&wanted.id, code, why),
            other => busy(&other),
        })
    }
}
