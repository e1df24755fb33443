//! Who wants to know when everything up to a cursor has been pushed: clients that have written, and wait for their own change.

use std::time::Instant;

use crate::limits::{RECEIPT_WAIT_MAX, RECEIPTS_MAX};

use super::super::message::{AwaitReceipt, Receipt};
use super::Hub;

/// Those who wait, in the order in which they have asked.
#[derive(Debug, Default)]
pub(super) struct Receipts(Vec<(AwaitReceipt, Instant)>);

impl Hub {
    /// Answers at once, or once the hub has passed the cursor.
    pub(super) fn await_receipt(&mut self, asked: AwaitReceipt) {
        if self.is_passed(&asked) {
            return self.tell_receipt(&asked, None);
        }
        if self.receipts.0.len() >= RECEIPTS_MAX {
            self.metrics.limit("receipts");
            let why = "too many clients wait for a receipt; try again";
            return self.tell_receipt(&asked, Some(("busy", why)));
        }
        self.receipts.0.push((asked, Instant::now()));
        self.nudge.ask();
    }

    /// Behind a batch: answers those that it has brought past their cursor, and those that have waited for too long.
    pub(super) fn answer_receipts(&mut self) {
        if self.receipts.0.is_empty() || self.batch.is_some() {
            return;
        }
        for (asked, since) in std::mem::take(&mut self.receipts.0) {
            if self.is_passed(&asked) {
                self.tell_receipt(&asked, None);
            } else if since.elapsed() > RECEIPT_WAIT_MAX {
                self.metrics.limit("receipts");
                let why = "the cursor was not reached in time; is it of another database?";
                self.tell_receipt(&asked, Some(("bad_cursor", why)));
            } else {
                self.receipts.0.push((asked, since));
            }
        }
    }

    fn is_passed(&self, asked: &AwaitReceipt) -> bool {
        // Its signature is checked as that of any cursor from outside.
        let is_at = self.cursor.as_ref().is_some_and(|own| {
            let admitted = asked.cursor.clone().admit(&own.epoch);
            admitted.is_ok_and(|cursor| {
                own.epoch == cursor.epoch && own.snapshot.covers(&cursor.snapshot)
            })
        });
        is_at && self.batch.is_none()
    }

    fn tell_receipt(&self, asked: &AwaitReceipt, refusal: Option<(&'static str, &'static str)>) {
        let key = asked.key;
        self.tell(asked.shard, Receipt { key, refusal });
    }
}
