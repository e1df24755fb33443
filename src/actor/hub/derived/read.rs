//! The rows of a window, or counts, are read by a task: when a client wants them first, and when changes do not tell what they are.
//! One that takes long is read less often, and waits behind others of its own principal only.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::time::Instant;

use crate::feed::derived::Derived;
use crate::feed::{Cursor, TopicId};
use crate::limits::{
    CATCH_UP_RETRY, DERIVED_BYTES_OF_ALL_MAX, DERIVED_BYTES_PER_PRINCIPAL_MAX, DERIVED_FAILING_MAX,
    DERIVED_INTERVAL, RECONNECT_LONGEST,
};
use crate::store::HistoryError;
use crate::wire::message::{Refusal, ResetReason};

use super::super::Hub;
use super::Fresh;
use crate::actor::message::ShownNow;

/// What a read came to.
type Read = Result<(Derived, Cursor), HistoryError>;

impl Hub {
    /// Begins to read a topic, if it has to be, and is due.
    pub(super) fn read_derived(&mut self, id: TopicId, ctx: &mut <Self as Actor>::Context) {
        let Some(topic) = self.derived.topics.get_mut(&id) else {
            return;
        };
        let is_missing = topic.held.is_none() && topic.fresh.is_none() && topic.reading.is_none();
        if !is_missing || !topic.is_wanted() || !self.live {
            return;
        }
        let (now, from) = (Instant::now(), topic.read_from.max(topic.publish_from));
        if from > now {
            return self.settle_at(from, ctx);
        }
        let Some((view, _)) = self.topics.view(id) else {
            return;
        };
        let Some(derivation) = view.derivation.clone() else {
            return;
        };
        self.derived.number += 1;
        let number = self.derived.number;
        topic.reading = Some(number);
        topic.forget_late();
        let history = self.history.of(topic.asker.clone());
        // Boxed: it is a large future.
        let read = Box::pin(async move { history.derive(&view, &derivation).await });
        let read = read.into_actor(self);
        ctx.spawn(read.map(move |read, hub, ctx| {
            hub.take_read(id, number, now, read);
            hub.settle_derived(ctx);
        }));
    }

    fn take_read(&mut self, id: TopicId, number: u64, began: Instant, read: Read) {
        let own = self.cursor.as_ref().map(|cursor| cursor.epoch);
        // Those of one principal have the same asker.
        let of_one = self.derived.bytes_of(id);
        let all = self.derived.bytes;
        let Some(topic) = self.derived.topics.get_mut(&id) else {
            return;
        };
        // It was for what the topic had been before.
        if topic.reading != Some(number) {
            return;
        }
        topic.reading = None;
        // It takes a half of the time at most.
        topic.read_from = Instant::now() + began.elapsed().max(DERIVED_INTERVAL);
        let refused = match read {
            Ok((derived, _)) if derived.is_too_large() => {
                too_large("its rows take too much memory")
            }
            Ok((derived, _)) if of_one + derived.bytes() > DERIVED_BYTES_PER_PRINCIPAL_MAX => {
                too_large("all your windows take too much memory")
            }
            Ok((derived, _)) if all + derived.bytes() > DERIVED_BYTES_OF_ALL_MAX => {
                too_large("the windows of all clients take too much memory")
            }
            Ok((derived, at)) if Some(at.epoch) == own => {
                self.metrics.derived_reads.inc();
                (topic.failures, topic.failing_since) = (0, None);
                topic.fresh = Some(Fresh {
                    derived,
                    at: Arc::new(at),
                    asked: 0,
                });
                return;
            }
            Err(HistoryError::Denied(code, message)) => Refusal {
                id: None,
                code,
                message,
                field: None,
            },
            Err(HistoryError::Wrong { field, detail }) => Refusal {
                id: None,
                code: "bad_message",
                message: format!("{field}: {detail}"),
                field: Some(field.into()),
            },
            Ok(_)
            | Err(HistoryError::Busy | HistoryError::Away(_) | HistoryError::Unservable(_)) => {
                let why = match read {
                    Err(error) => error.to_string(),
                    Ok(_) => "the server is not the one that is followed".into(),
                };
                match topic.fail(began, &why) {
                    true => too_late(),
                    false => return,
                }
            }
        };
        match refused.code {
            "too_large" => self.metrics.limit("window_bytes"),
            "busy" => self.metrics.limit("window_time"),
            _ => {}
        }
        for ask in topic.asks.drain(..) {
            let _ = ask.send(ShownNow::Refused(refused.clone()));
        }
        // Those that have followed it so far ask again, and are told why.
        if topic.shown.is_some() {
            self.break_derived(id, ResetReason::Schema);
        }
    }

    /// The stream of a topic has broken: its subscribers ask again.
    pub(super) fn break_derived(&mut self, id: TopicId, reason: ResetReason) {
        self.break_streams(&[id], reason);
    }
}

impl super::Topic {
    /// It is tried again, later and later. True if that has gone on for too long.
    fn fail(&mut self, began: Instant, why: &str) -> bool {
        log::warn!("window not read, it is tried again reason=\"{why}\"");
        self.failures += 1;
        let delay = CATCH_UP_RETRY.saturating_mul(1 << self.failures.min(10));
        let delay: Duration = delay.min(RECONNECT_LONGEST);
        self.read_from = self.read_from.max(Instant::now() + delay);
        let since = *self.failing_since.get_or_insert(began);
        since.elapsed() >= DERIVED_FAILING_MAX
    }
}

fn too_large(why: &str) -> Refusal {
    Refusal {
        id: None,
        code: "too_large",
        message: format!("{why}: ask for fewer rows"),
        field: None,
    }
}

fn too_late() -> Refusal {
    let message = format!(
        "the rows could not be read within {} s; an index on the columns of the filter and of the order makes that quick",
        DERIVED_FAILING_MAX.as_secs()
    );
    Refusal {
        id: None,
        code: "busy",
        message,
        field: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Topic;
    use super::*;
    use crate::limits::DERIVED_READ_MAX;
    use crate::store::history::Asker;

    #[actix_web::test]
    async fn window_that_can_t_be_read_is_given_up_after_a_bounded_time() {
        tokio::time::pause();
        let mut topic = Topic::new(Asker::Name("ann".into()));
        // One read that takes all the time that it has is enough.
        let began = Instant::now();
        tokio::time::advance(DERIVED_READ_MAX).await;
        assert!(topic.fail(began, "too late"));

        let mut topic = Topic::new(Asker::Name("ann".into()));
        let (first, mut reads) = (Instant::now(), 0);
        while !topic.fail(Instant::now(), "refused at once") {
            reads += 1;
            assert!(first.elapsed() < DERIVED_FAILING_MAX);
            tokio::time::advance(topic.read_from.saturating_duration_since(Instant::now())).await;
        }
        assert!(reads > 3, "{reads}");
        assert!(first.elapsed() < DERIVED_FAILING_MAX + RECONNECT_LONGEST);
        // What failed while the database was away does not count.
        topic.failing_since = None;
        assert!(!topic.fail(Instant::now(), "once"));
    }
}
