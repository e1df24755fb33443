//! Which clients want to know when everything up to a cursor has been pushed: those that have written, and wait for their own change.

use std::time::Instant;

use crate::limits::{RECEIPT_WAIT_MAX, RECEIPTS_MAX};

use super::Hub;
use crate::actor::message::{AwaitReceipt, Receipt};

/// Those that wait, in the order in which they have asked.
#[derive(Debug, Default)]
pub(super) struct Receipts(Vec<Waiting>);

#[derive(Debug)]
struct Waiting {
    asked: AwaitReceipt,
    since: Instant,
    /// The question to the listener that was asked for the sake of it.
    question: u64,
}

/// Where a cursor is, seen from the hub's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Everything up to it has been pushed.
    Passed,
    /// It is to be reached yet.
    Ahead,
    /// It is of no place in this log.
    Nowhere,
}

const NOWHERE: (&str, &str) = ("bad_cursor", "the cursor is not one of this database's log");

impl Hub {
    /// Answers at once, or once the hub has passed the cursor.
    pub(super) fn await_receipt(&mut self, asked: AwaitReceipt) {
        match self.place_of_receipt(&asked, None) {
            Progress::Passed => return self.passed(&asked),
            Progress::Nowhere => return self.tell_receipt(&asked, Some(NOWHERE)),
            Progress::Ahead => {}
        }
        if self.receipts.0.len() >= RECEIPTS_MAX {
            self.metrics.limit("receipts");
            let why = "too many clients wait for a receipt; try again";
            return self.tell_receipt(&asked, Some(("busy", why)));
        }
        self.receipts.0.push(Waiting {
            asked,
            since: Instant::now(),
            question: self.poll_request.ask(),
        });
    }

    /// Answers those whose cursor was passed, and those that have waited for too long. Lagging each batch, and once a second: where
    /// nothing is written there are no batches.
    pub(super) fn answer_receipts(&mut self) {
        if self.receipts.0.is_empty() || self.batch.is_some() {
            return;
        }
        for waiting in std::mem::take(&mut self.receipts.0) {
            let asked = &waiting.asked;
            match self.place_of_receipt(asked, Some(waiting.question)) {
                Progress::Passed => self.passed(asked),
                Progress::Nowhere => self.tell_receipt(asked, Some(NOWHERE)),
                Progress::Ahead if waiting.since.elapsed() > RECEIPT_WAIT_MAX => {
                    self.metrics.limit("receipts");
                    let refusal = match asked.cursor {
                        Some(_) => ("bad_cursor", "the cursor was not reached in time"),
                        None => ("busy", "the database is away; ask again"),
                    };
                    self.tell_receipt(asked, Some(refusal));
                }
                Progress::Ahead => self.receipts.0.push(waiting),
            }
        }
    }

    /// The hub has passed the cursor; a window, or counts, may have to follow.
    fn passed(&mut self, asked: &AwaitReceipt) {
        match (asked.derived, self.cursor.clone()) {
            (Some(topic), Some(cursor)) => {
                self.await_exact(topic, (asked.shard, asked.key), cursor);
            }
            _ => self.tell_receipt(asked, None),
        }
    }

    /// `question`: the one that was asked for its sake, if it was.
    fn place_of_receipt(&self, asked: &AwaitReceipt, question: Option<u64>) -> Progress {
        let Some(own) = &self.cursor else {
            return Progress::Ahead;
        };
        let Some(cursor) = &asked.cursor else {
            let is_answered = question.is_some_and(|question| self.answered >= question);
            return match self.batch.is_none() && is_answered {
                true => Progress::Passed,
                false => Progress::Ahead,
            };
        };
        // Its signature is checked as that of any cursor from outside.
        match cursor.clone().admit(&own.epoch) {
            Ok(cursor) if cursor.epoch == own.epoch => {
                let is_passed = self.batch.is_none() && own.snapshot.covers(&cursor.snapshot);
                match is_passed {
                    true => Progress::Passed,
                    false => Progress::Ahead,
                }
            }
            _ => Progress::Nowhere,
        }
    }

    fn tell_receipt(&self, asked: &AwaitReceipt, refusal: Option<(&'static str, &'static str)>) {
        let key = asked.key;
        self.tell(asked.shard, Receipt { key, refusal });
    }
}
