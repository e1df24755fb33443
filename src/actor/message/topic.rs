//! A topic as the messages name it: what its subscribers asked for, a frame of it, and where in a batch a frame begins.

use std::sync::Arc;

use crate::actor::transport::shared_frame::SharedFrame;
use crate::feed::{Cursor, Expr, Table, TopicId, WindowSpec};
use crate::wire::message::Subscribe as Wanted;

/// What the subscribers of a topic have asked for, so that it can be asked for again.
#[derive(Clone, Debug)]
pub struct TopicRequest {
    /// The table as it was described last.
    pub table: Arc<Table>,
    /// The columns; none for all.
    pub columns: Option<Vec<String>>,
    /// Which rows; none for all.
    pub filter: Option<Arc<Expr>>,
    /// Whether the newest change of each key is enough.
    pub conflate: bool,
    /// Only the first rows in an order.
    pub window: Option<WindowSpec>,
}

impl TopicRequest {
    /// What the subscription `id` asks for again.
    pub fn again(&self, id: &str, snapshot: bool) -> Arc<Wanted> {
        Arc::new(Wanted {
            id: id.to_owned(),
            table: self.table.quoted.clone(),
            columns: self.columns.clone(),
            filter: self.filter.clone(),
            since: None,
            back: None,
            snapshot,
            conflate: self.conflate,
            window: self.window.clone(),
        })
    }
}

/// Where a frame of a topic begins, for those who get everything from there on in another way.
#[derive(Clone, Debug)]
pub struct BatchPosition {
    /// Where the batch begins that the frame is of.
    pub from: Arc<Cursor>,
    /// Where it ends.
    pub end: Arc<Cursor>,
    /// How many of the topic's changes in this batch are in frames before.
    pub sent: usize,
    /// See [`crate::actor::message::Replay::breaks`].
    pub breaks: u64,
}

/// A topic's frame, the same for all its subscribers.
#[derive(Clone, Debug)]
pub struct TopicFrame {
    /// Whose.
    pub topic: TopicId,
    /// Where it begins.
    pub begins: BatchPosition,
    /// A `changes` message.
    pub frame: SharedFrame,
    /// How many changes it has.
    pub changes: usize,
    /// Time of the newest transaction in it, in microseconds of Unix time.
    pub at_us: i64,
}

#[cfg(test)]
impl BatchPosition {
    /// Of no batch.
    pub fn of_paper() -> Self {
        let cursor = Arc::new(Cursor {
            epoch: crate::feed::Epoch::of("paper"),
            snapshot: crate::feed::Snapshot::parse("1:1:").expect("a snapshot"),
        });
        Self {
            from: cursor.clone(),
            end: cursor,
            sent: 0,
            breaks: 0,
        }
    }
}
