//! Clients that wait until a window, or counts, are exact at a cursor.

use std::sync::Arc;

use tokio::time::Instant;

use crate::feed::{Cursor, TopicId};
use crate::limits::{RECEIPT_WAIT_MAX, RECEIPTS_MAX};

use super::super::Hub;
use super::DerivedTopics;
use crate::actor::message::{Receipt, ShardId, SubscriptionKey};

/// One of them.
#[derive(Debug)]
pub(super) struct Waiting {
    pub shard: ShardId,
    pub key: SubscriptionKey,
    /// Where it has to be exact.
    cursor: Arc<Cursor>,
    since: Instant,
    /// Counts those that wait.
    _counted: Arc<()>,
}

impl Waiting {
    /// Whether a topic is exact there that is so at `at`.
    pub fn is_there(&self, at: &Cursor) -> bool {
        at.snapshot.covers(&self.cursor.snapshot)
    }
}

impl DerivedTopics {
    /// How many clients wait, of all topics.
    fn waiting(&self) -> usize {
        Arc::strong_count(&self.counter) - 1
    }

    /// Takes out those that have waited since before this moment.
    fn overdue(&mut self, before: Instant) -> Vec<Waiting> {
        let mut overdue = Vec::new();
        // One that is exact has none.
        for id in &self.stale {
            if let Some(topic) = self.topics.get_mut(id) {
                overdue.extend(topic.receipts.extract_if(.., |w| w.since < before));
            }
        }
        overdue
    }
}

impl Hub {
    /// Says when a topic is exact at this cursor, which the hub has reached.
    pub(in super::super) fn await_exact(
        &mut self,
        id: TopicId,
        (shard, key): (ShardId, SubscriptionKey),
        cursor: Arc<Cursor>,
    ) {
        let is_stale = self.derived.stale.contains(&id);
        let (is_full, counter) = (
            self.derived.waiting() >= RECEIPTS_MAX,
            &self.derived.counter,
        );
        let counted = counter.clone();
        let topic = self.derived.topics.get_mut(&id);
        let refusal = match topic.filter(|_| is_stale) {
            Some(_) if is_full => {
                self.metrics.limit("receipts");
                Some(("busy", "too many clients wait for a receipt; try again"))
            }
            Some(topic) => {
                topic.receipts.push(Waiting {
                    shard,
                    key,
                    cursor,
                    since: Instant::now(),
                    _counted: counted,
                });
                return;
            }
            None if self.derived.is_pushing => return self.derived.passed.push((shard, key)),
            None => None,
        };
        self.tell(shard, Receipt { key, refusal });
    }

    /// Tells those that have waited for too long. Once a second: where nothing is written nothing else happens.
    pub(in super::super) fn refuse_overdue(&mut self) {
        let Some(before) = Instant::now().checked_sub(RECEIPT_WAIT_MAX) else {
            return;
        };
        for Waiting { shard, key, .. } in self.derived.overdue(before) {
            self.metrics.limit("receipts");
            let refusal = Some(("busy", "the rows could not be read in time; ask again"));
            self.tell(shard, Receipt { key, refusal });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::actor::message::BatchPosition;
    use crate::store::history::Asker;

    #[actix_web::test]
    async fn those_that_wait_for_too_long_are_taken_out_and_no_longer_counted() {
        tokio::time::pause();
        let (mut derived, id) = (DerivedTopics::default(), TopicId(1));
        derived.open(id, || Asker::Name("ann".into()));
        let receipts = |derived: &mut DerivedTopics, serial| {
            let waiting = Waiting {
                shard: ShardId(0),
                key: SubscriptionKey { slot: 0, serial },
                cursor: BatchPosition::of_paper().end,
                since: Instant::now(),
                _counted: derived.counter.clone(),
            };
            derived.topics.get_mut(&id).unwrap().receipts.push(waiting);
        };
        receipts(&mut derived, 1);
        tokio::time::advance(Duration::from_secs(30)).await;
        receipts(&mut derived, 2);
        tokio::time::advance(RECEIPT_WAIT_MAX - Duration::from_secs(29)).await;
        let overdue = derived.overdue(Instant::now() - RECEIPT_WAIT_MAX);
        assert_eq!(overdue.len(), 1);
        assert_eq!(overdue[0].key.serial, 1);
        drop(overdue);
        assert_eq!(derived.waiting(), 1, "the other one still waits");
    }
}
