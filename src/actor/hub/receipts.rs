//! Which clients want to know when everything up to a cursor has been pushed: those that have written, and wait for their own change.

use std::time::Instant;

use crate::limits::{RECEIPT_WAIT_MAX, RECEIPTS_MAX};

use super::Hub;
use crate::actor::message::{AwaitReceipt, Receipt};

/// Those that wait, in the order in which they have asked.
#[derive(Debug, Default)]
pub(super) struct Receipts(Vec<(AwaitReceipt, Instant)>);

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
        match self.place_of_receipt(&asked) {
            Progress::Passed => return self.tell_receipt(&asked, None),
            Progress::Nowhere => return self.tell_receipt(&asked, Some(NOWHERE)),
            Progress::Ahead => {}
        }
        if self.receipts.0.len() >= RECEIPTS_MAX {
            self.metrics.limit("receipts");
            let why = "too many clients wait for a receipt; try again";
            return self.tell_receipt(&asked, Some(("busy", why)));
        }
        self.receipts.0.push((asked, Instant::now()));
        self.poll_request.ask();
    }

    /// Answers those whose cursor was passed, and those that have waited for too long. Lagging each batch, and once a second: where
    /// nothing is written there are no batches.
    pub(super) fn answer_receipts(&mut self) {
        if self.receipts.0.is_empty() || self.batch.is_some() {
            return;
        }
        for (asked, since) in std::mem::take(&mut self.receipts.0) {
            match self.place_of_receipt(&asked) {
                Progress::Passed => self.tell_receipt(&asked, None),
                Progress::Nowhere => self.tell_receipt(&asked, Some(NOWHERE)),
                Progress::Ahead if since.elapsed() > RECEIPT_WAIT_MAX => {
                    self.metrics.limit("receipts");
                    let why = "the cursor was not reached in time";
                    self.tell_receipt(&asked, Some(("bad_cursor", why)));
                }
                Progress::Ahead => self.receipts.0.push((asked, since)),
            }
        }
    }

    fn place_of_receipt(&self, asked: &AwaitReceipt) -> Progress {
        let Some(own) = &self.cursor else {
            return Progress::Ahead;
        };
        // Its signature is checked as that of any cursor from outside.
        match asked.cursor.clone().admit(&own.epoch) {
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
