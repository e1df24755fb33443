//! What the hub tells a shard of windows, in which order: seen by a shard that has no sockets.

use std::sync::Arc;

use actix::prelude::*;
use tokio::sync::mpsc;

use plank::actor::message::{
    Attach, AwaitReceipt, JoinDerived, Missed, Next, Push, ShardId, ShardLink, ShowDerived,
    ShownNow, Started, Subscribe, SubscriptionKey, ToShard,
};
use plank::auth::Viewer;
use plank::feed::order::Sort;
use plank::feed::{Cursor, WindowSpec};
use plank::wire::message::Subscribe as Wanted;

use super::TABLE;
use crate::support::{TestApp, within};

const SHARD: ShardId = ShardId(7_777);

/// Hands on what it is told.
struct Deaf(mpsc::UnboundedSender<ToShard>);

impl Actor for Deaf {
    type Context = Context<Self>;
}

impl Handler<Push> for Deaf {
    type Result = ();

    fn handle(&mut self, _: Push, _: &mut Self::Context) {}
}

impl Handler<ToShard> for Deaf {
    type Result = ();

    fn handle(&mut self, told: ToShard, _: &mut Self::Context) {
        let _ = self.0.send(told);
    }
}

/// What the shard has been told so far.
struct Told {
    stream: mpsc::UnboundedReceiver<ToShard>,
    /// The cursor that heartbeats would carry.
    cursor: Option<Cursor>,
}

impl Told {
    /// The next one that is no cursor for heartbeats.
    async fn next(&mut self) -> ToShard {
        loop {
            let told = within("the hub", self.stream.recv()).await.unwrap();
            match told {
                ToShard::Advance(advance) => self.take(&advance.cursor.cursor),
                told => return told,
            }
        }
    }

    /// Those that are there.
    fn drain(&mut self) {
        while let Ok(told) = self.stream.try_recv() {
            if let ToShard::Advance(advance) = told {
                self.take(&advance.cursor.cursor);
            }
        }
    }

    fn take(&mut self, cursor: &str) {
        self.cursor = Some(Cursor::parse(cursor).unwrap());
    }

    /// A heartbeat now would carry a cursor that is not older than this one.
    fn assert_covers(&self, cursor: &str, what: &str) {
        let shown = Cursor::parse(cursor).unwrap();
        let own = self.cursor.as_ref().unwrap();
        assert!(
            own.snapshot.covers(&shown.snapshot),
            "{what} at {shown}, and heartbeats at {own}"
        );
    }
}

#[actix_web::test]
async fn heartbeat_never_carries_an_older_cursor_than_what_a_window_was_shown_at() {
    let app = TestApp::start().await;
    app.execute(TABLE).await;
    app.execute("create table other (id int primary key); select plank.watch('other')")
        .await;
    let (told, stream) = mpsc::unbounded_channel();
    let link = ShardLink::new(Deaf(told).start());
    let attach = Attach {
        id: SHARD,
        shard: link,
    };
    app.hub.send(attach).await.unwrap();
    let mut told = Told {
        stream,
        cursor: None,
    };
    for serial in 1..=5_u64 {
        let key = SubscriptionKey { slot: 0, serial };
        let order = Sort {
            column: "rank".into(),
            descending: false,
            nulls_first: false,
        };
        let wanted = Arc::new(Wanted {
            id: "a".into(),
            table: "t".into(),
            columns: None,
            filter: None,
            since: None,
            back: None,
            snapshot: true,
            conflate: false,
            window: Some(WindowSpec {
                order: vec![order],
                limit: serial as usize,
            }),
        });
        let subscribe = Subscribe {
            shard: SHARD,
            key,
            wanted: wanted.clone(),
            viewer: Viewer::Everybody,
            alone: false,
        };
        app.hub.send(subscribe).await.unwrap();
        let ToShard::Started(Started { topic, breaks, .. }) = told.next().await else {
            panic!("a window is read first");
        };
        // The hub goes on, and shards that have no subscriber of that table learn it within a second.
        app.execute(&format!("insert into other values ({serial})"))
            .await;
        pass(&app, &mut told, key).await;
        let show = ShowDerived { topic, breaks };
        let shown = within("rows", app.hub.send(show)).await.unwrap();
        let ShownNow::Rows(rows, cursor, _) = shown else {
            panic!("{shown:?}");
        };
        told.drain();
        told.assert_covers(&cursor, "rows are shown");

        // A change, which it has not been shown, and which is in what it is told when it joins.
        app.execute(&format!(
            "update t set status = 'new {serial}' where id = 1"
        ))
        .await;
        pass(&app, &mut told, key).await;
        let join = JoinDerived {
            shard: SHARD,
            key,
            topic,
            breaks,
            has: rows,
            wanted,
        };
        let joined = within("an answer", app.hub.send(join)).await.unwrap();
        assert!(matches!(joined, Next::Joined), "{joined:?}");
        let ToShard::Joined(joined) = told.next().await else {
            panic!("it has joined");
        };
        let Some(Missed::Frames(frames)) = joined.missed else {
            panic!("{:?}", joined.missed);
        };
        for frame in frames {
            let text = String::from_utf8_lossy(&frame);
            let text = &text[text.find('{').unwrap()..];
            let message: serde_json::Value = serde_json::from_str(text).unwrap();
            told.assert_covers(message["cursor"].as_str().unwrap(), "changes are told");
        }
    }
}

/// Waits until the hub has passed everything that is committed by now.
async fn pass(app: &TestApp, told: &mut Told, key: SubscriptionKey) {
    let receipt = AwaitReceipt {
        shard: SHARD,
        key,
        cursor: None,
        derived: None,
    };
    app.hub.send(receipt).await.unwrap();
    assert!(matches!(told.next().await, ToShard::Receipt(_)));
}
