//! Which messages continue what a follower has. It stands at a snapshot X. Of a batch that X covers it takes nothing; of one
//! whose beginning X covers it takes the rows that X does not see; anything else sends it to the log. So it does not matter how
//! many readers there are, what they have in common, or what is missing on the stream.

use std::sync::Arc;

use crate::feed::{Cursor, Epoch, LogRow, Rest, Snapshot};

use super::message::{Message, Origin};

/// What to do with a message.
#[derive(Debug)]
pub enum Step {
    /// Nothing: the follower has it.
    Skip,
    /// Rows to take, maybe none; up to where they lead, and whether the batch ends with them.
    Take(Vec<LogRow>, Arc<Cursor>, bool),
    /// It does not continue what the follower has: the log does.
    Leave,
    /// Nothing leads on from where the follower stands, for this reason.
    Void(Origin),
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Chain {
    at: Arc<Cursor>,
    open: Option<Open>,
}

/// A batch of which the last part is still to come.
#[derive(Debug)]
struct Open {
    writer: u64,
    batch: u64,
    number: u32,
    /// Up to where it leads; none if the follower has all of it.
    end: Option<Arc<Cursor>>,
    /// The last row that was taken.
    taken: Option<i64>,
}

impl Chain {
    /// Of a follower that has everything up to a cursor.
    pub fn new(at: Arc<Cursor>) -> Self {
        Self { at, open: None }
    }

    /// Everything up to it was taken.
    pub fn at(&self) -> &Arc<Cursor> {
        &self.at
    }

    /// The batch of which a part was taken.
    pub fn interrupted(&self) -> Option<Rest> {
        let open = self.open.as_ref()?;
        Some(Rest {
            end: open.end.clone()?,
            seq: open.taken?,
        })
    }

    /// Whether the follower has more than a message tells, and so learns nothing of the end of the log from it.
    pub fn is_beyond(&self, message: &Message) -> bool {
        let at = &self.at.snapshot;
        at.covers(&message.next) && !message.next.covers(at)
    }

    /// What to do with the next message of the stream.
    pub fn take(&mut self, message: Message) -> Step {
        let from = match &message.from {
            Ok(from) => from,
            Err(origin) => return self.begin_anew(*origin, &message.next),
        };
        let is_interrupted = self.interrupted().is_some();
        let continues = self
            .open
            .as_mut()
            .filter(|open| open.is_continued_by(&message));
        match (message.number, continues) {
            (number @ 1.., Some(open)) => open.number = number,
            _ if is_interrupted => return Step::Leave,
            (0, _) => {
                let at = &self.at.snapshot;
                let end = if at.covers(&message.next) {
                    None
                } else if at.covers(from) {
                    Some(cursor(&self.at.epoch, at.union(&message.next)))
                } else {
                    return Step::Leave;
                };
                self.open = Some(Open {
                    writer: message.writer,
                    batch: message.batch,
                    number: 0,
                    end,
                    taken: None,
                });
            }
            // A batch whose beginning was not seen.
            _ => {
                self.open = None;
                return match self.at.snapshot.covers(&message.next) {
                    true => Step::Skip,
                    false => Step::Leave,
                };
            }
        }
        let is_new = |row: &LogRow| !self.at.snapshot.sees(row.xid);
        let rows: Vec<LogRow> = message.rows.into_iter().filter(is_new).collect();
        let Some(open) = &mut self.open else {
            return Step::Leave;
        };
        let Some(end) = open.end.clone() else {
            if message.last {
                self.open = None;
            }
            return Step::Skip;
        };
        if let Some(row) = rows.last() {
            open.taken = Some(row.seq);
        } else if !message.last {
            // Of a batch that was not begun nothing is interrupted.
            return Step::Skip;
        }
        if message.last {
            (self.at, self.open) = (end.clone(), None);
        }
        Step::Take(rows, end, message.last)
    }

    /// A reader says that what it writes from here on does not continue the stream.
    fn begin_anew(&mut self, origin: Origin, next: &Snapshot) -> Step {
        if let Some(Rest { end, .. }) = self.interrupted() {
            return match next.covers(&end.snapshot) || origin != Origin::Forgotten {
                true => Step::Leave,
                false => Step::Void(origin),
            };
        }
        self.open = None;
        let at = &self.at.snapshot;
        match (origin, at.covers(next), next.covers(at)) {
            // What was told up to here may lack what was thrown away while it was read.
            (Origin::Pruned, true, true) => Step::Void(origin),
            // The server may give the transactions that the follower has seen to others.
            (Origin::Forgotten, _, false) => Step::Void(origin),
            (_, true, _) => Step::Skip,
            (_, false, _) => Step::Leave,
        }
    }
}

impl Open {
    fn is_continued_by(&self, message: &Message) -> bool {
        (self.writer, self.batch) == (message.writer, message.batch)
            && self.number.checked_add(1) == Some(message.number)
    }
}

fn cursor(epoch: &Epoch, snapshot: Snapshot) -> Arc<Cursor> {
    Arc::new(Cursor {
        epoch: *epoch,
        snapshot,
    })
}

#[cfg(test)]
mod tests;
