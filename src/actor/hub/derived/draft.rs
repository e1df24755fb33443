//! What is told of the difference between two lists of rows. The hub writes a short one itself; a long one is written on another
//! thread, for meanwhile the hub has others to answer.

use std::sync::Arc;

use bytes::Bytes;

use crate::feed::derived::{Derivation, Entry, diff};
use crate::feed::{Cursor, TopicId, View};
use crate::limits::{CHUNK_BYTES, DERIVED_INLINE_BYTES_MAX, DERIVED_INLINE_ROWS_MAX};
use crate::wire::message::Changes;

/// Rows as clients see them.
pub(super) type Rows = Arc<[Arc<Entry>]>;

/// Whole messages, each with the changes in it and those before it.
pub(super) type Messages = Vec<(Bytes, usize, usize)>;

/// Two lists of rows of a topic. The messages between them have not been written.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    topic: TopicId,
    is_window: bool,
    /// That of the new rows.
    cursor: String,
    old: Rows,
    new: Rows,
}

/// Rows that subscribers are going to have, and the messages that lead there, when they have been written.
#[derive(Debug)]
pub(super) struct Written {
    /// Tells it from those of the topic before.
    pub number: u64,
    pub rows: Rows,
    pub at: Arc<Cursor>,
    pub messages: Option<Messages>,
}

impl Draft {
    /// From the old rows of a topic to the new ones, which are exact at a cursor.
    pub fn new(topic: TopicId, view: &View, at: &Cursor, old: &Rows, new: &Rows) -> Self {
        Self {
            topic,
            is_window: matches!(view.derivation.as_deref(), Some(Derivation::Window(_))),
            cursor: at.to_string(),
            old: old.clone(),
            new: new.clone(),
        }
    }

    /// Whether it is a matter of a moment.
    pub fn is_short(&self) -> bool {
        if self.old.len() + self.new.len() > DERIVED_INLINE_ROWS_MAX {
            return false;
        }
        let rows = self.old.iter().chain(self.new.iter());
        let bytes: usize = rows.map(|row| row.bytes()).sum();
        bytes <= DERIVED_INLINE_BYTES_MAX
    }

    /// Writes the messages.
    pub fn write(&self) -> Messages {
        let (mut messages, mut sent) = (Vec::new(), 0);
        let new = || Changes::new(self.topic, &self.cursor);
        let (mut open, mut text) = (new(), String::new());
        let steps = match self.is_window {
            true => diff::steps(&self.old, &self.new),
            false => diff::steps_without_order(&self.old, &self.new),
        };
        for (i, step) in steps.iter().enumerate() {
            text.clear();
            step.write_json(&mut text, self.is_window);
            open.push(&text);
            let is_last = i + 1 == steps.len();
            if is_last || open.len() >= CHUNK_BYTES {
                let full = std::mem::replace(&mut open, new());
                let count = full.count();
                messages.push((full.finish(is_last), count, sent));
                sent += count;
            }
        }
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::{Subject, Table};

    /// Rows with one column, of so many bytes each.
    fn rows(count: usize, bytes: usize) -> Rows {
        let entry = |id: usize| {
            let (key, text) = (format!("{{\"id\":{id}}}"), "x".repeat(bytes));
            Arc::new(Entry::of_paper(&key, &text))
        };
        (0..count).map(entry).collect()
    }

    #[test]
    fn hub_writes_only_what_is_a_matter_of_a_moment() {
        let table = Arc::new(Table::of_paper(1, "public", "t"));
        let subject = Subject::new(1, None, None, None, false);
        let view = View::new(table, &subject);
        let at = crate::actor::message::BatchPosition::of_paper().end;
        let half = DERIVED_INLINE_ROWS_MAX / 2;
        for (old, new, is_short) in [
            ((0, 0), (1, 10), true),
            ((50, 100), (50, 100), true),
            ((half, 10), (half, 10), true),
            ((half, 10), (half + 1, 10), false),
            ((0, 0), (DERIVED_INLINE_ROWS_MAX + 1, 10), false),
            ((1, 10), (1, DERIVED_INLINE_BYTES_MAX), false),
            ((10, DERIVED_INLINE_BYTES_MAX / 10), (0, 0), false),
        ] {
            let (before, after) = (rows(old.0, old.1), rows(new.0, new.1));
            let draft = Draft::new(TopicId(1), &view, &at, &before, &after);
            assert_eq!(draft.is_short(), is_short, "{old:?} to {new:?}");
        }
    }
}
