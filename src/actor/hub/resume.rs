//! Where a session joins a topic: from now on, with what it has missed, or after it has caught up.

use std::sync::Arc;

use actix::prelude::*;
use tokio::sync::oneshot;

use crate::feed::{Cursor, LogRow, TopicId, View};
use crate::limits::{PENDING_SUBSCRIPTIONS_MAX, PIECE_BYTES};
use crate::store::history::Asker;
use crate::wire::message::{self, Refusal, ResetReason};

use super::budget::Exceeded;
use super::{Hub, UNKNOWN_TABLE};
use crate::actor::message::*;

/// A session that waits for the listener to be live, for the end of a batch, or for the answer to a question.
pub(super) enum Pending {
    Subscribe(Subscribe, u64),
    Replay(Replay, u64, oneshot::Sender<Next>),
    Find(Find, u64, oneshot::Sender<Result<Found, Refusal>>),
    Recent(Recent, u64, oneshot::Sender<(Recently, u64)>),
}

/// Where a cursor is.
pub(super) enum Standing {
    /// Of another log, or of a future that this one never had.
    Nowhere,
    /// Not behind the hub. The listener has been asked to look; the number of the question.
    Ahead(u64),
    /// At the hub's own, or behind it.
    Known,
}

impl Hub {
    /// Whether a topic can be joined now: between two batches, and while the log is followed.
    fn is_between(&self) -> bool {
        self.live && self.batch.is_none()
    }

    pub(super) fn subscribe(&mut self, subscribe: Subscribe) {
        if self.is_between() {
            return self.join(subscribe, 0);
        }
        if self.pending.len() < PENDING_SUBSCRIPTIONS_MAX {
            return self.pending.push_back(Pending::Subscribe(subscribe, 0));
        }
        self.metrics.limit("pending_subscriptions");
        let why = "the database is away, and too many clients wait for it";
        let refusal = Refusal::of(&subscribe.wanted.id, "busy", why);
        let key = subscribe.key;
        self.tell(subscribe.shard, Refused { key, refusal });
    }

    /// Tries everybody who waits once.
    pub(super) fn answer_pending(&mut self) {
        for _ in 0..self.pending.len() {
            if !self.is_between() {
                return;
            }
            match self.pending.pop_front() {
                Some(Pending::Subscribe(subscribe, asked)) => self.join(subscribe, asked),
                Some(Pending::Replay(replay, asked, answer)) if !answer.is_closed() => {
                    self.answer(replay, asked, answer);
                }
                Some(Pending::Find(find, asked, answer)) if !answer.is_closed() => {
                    self.answer_find(find, asked, answer);
                }
                Some(Pending::Recent(recent, asked, answer)) if !answer.is_closed() => {
                    self.answer_recent(recent, asked, answer);
                }
                Some(Pending::Replay(..) | Pending::Find(..) | Pending::Recent(..)) | None => {}
            }
        }
    }

    /// Where `cursor` is. `asked` is the question that was asked for its sake before, or 0.
    pub(super) fn place(&self, cursor: &Cursor, asked: u64) -> Standing {
        match &self.cursor {
            Some(own) if own.epoch != cursor.epoch => Standing::Nowhere,
            Some(own) if own.snapshot.covers(&cursor.snapshot) => Standing::Known,
            // A read that began after the question would have found it.
            _ if asked > 0 && self.answered >= asked => Standing::Nowhere,
            _ if asked > 0 => Standing::Ahead(asked),
            _ => Standing::Ahead(self.poll_request.ask()),
        }
    }

    /// Checks the cursor of a subscription, once it is known which log this is.
    fn admit(&self, subscribe: &mut Subscribe) -> Result<(), Refusal> {
        let (Some(own), Some(since)) = (&self.cursor, &subscribe.wanted.since) else {
            return Ok(());
        };
        let admitted = since.clone().admit(&own.epoch);
        let admitted = admitted.map_err(|forged| Refusal::cursor(&subscribe.wanted.id, forged))?;
        if admitted.epoch != since.epoch {
            Arc::make_mut(&mut subscribe.wanted).since = Some(admitted);
        }
        Ok(())
    }

    /// Between two batches: joins a topic, now or after a catch-up.
    fn join(&mut self, mut subscribe: Subscribe, asked: u64) {
        // A heartbeat must not carry an older cursor than `subscribed`.
        self.advance();
        if let Err(refusal) = self.admit(&mut subscribe) {
            let key = subscribe.key;
            return self.tell(subscribe.shard, Refused { key, refusal });
        }
        let Subscribe {
            shard, key, wanted, ..
        } = &subscribe;
        let (shard, key) = (*shard, *key);
        let place = wanted.since.as_ref().map(|since| self.place(since, asked));
        if let Some(Standing::Ahead(asked)) = place {
            return self.pending.push_back(Pending::Subscribe(subscribe, asked));
        }
        let (table, subject) = match self.subject_of(wanted, &subscribe.viewer) {
            Ok(found) => found,
            // It may have been watched a moment ago.
            Err(refusal) if refusal.code == UNKNOWN_TABLE && asked == 0 => {
                let asked = self.poll_request.ask();
                let waiting = Pending::Subscribe(subscribe, asked);
                return self.pending.push_back(waiting);
            }
            Err(refusal) if refusal.code == UNKNOWN_TABLE && self.answered < asked => {
                let waiting = Pending::Subscribe(subscribe, asked);
                return self.pending.push_back(waiting);
            }
            Err(refusal) => return self.tell(shard, Refused { key, refusal }),
        };
        if subject.derivation.is_some() && wanted.since.is_some() {
            // It begins anew, with its rows.
            Arc::make_mut(&mut subscribe.wanted).snapshot = true;
        }
        let wanted = &subscribe.wanted;
        let reason = match (place, &wanted.since) {
            _ if subject.derivation.is_some() => None,
            (Some(Standing::Nowhere), _) => Some(ResetReason::Epoch),
            // Captured only since then, or by another key.
            (_, Some(since)) if !since.snapshot.sees(table.since) => Some(ResetReason::Schema),
            // Of a principal that could see other rows.
            (_, Some(since)) if !subject.is_seen_by(&since.snapshot) => Some(ResetReason::Schema),
            _ => None,
        };
        if let Some(reason) = reason {
            self.metrics.resumed("reset");
            let wanted = subscribe.wanted;
            let restart = Restart {
                key,
                reason,
                wanted,
            };
            return self.tell(shard, restart);
        }
        let Subscribe { wanted, alone, .. } = &subscribe;
        let (wanted, alone) = (wanted.clone(), *alone);
        let derives = subject.derivation.is_some();
        let sub = subscribe.viewer.principal().map(|p| p.sub.as_str());
        let joined = self.topics.join(subject, &table, shard, alone, sub);
        let topic = match joined {
            Ok(topic) => topic,
            Err(Exceeded(limit)) => {
                self.metrics.limit(limit);
                let why = "too many different subscriptions, windows or counts, or filters that cost too much to ask: use fewer \
                    conditions, and fewer patterns (like, ilike), or end other subscriptions";
                let refusal = Refusal::of(&wanted.id, "too_dear", why).at("filter");
                return self.tell(shard, Refused { key, refusal });
            }
        };
        self.metrics.topics.set(self.topics.len() as i64);
        let Some((view, (breaks, _))) = self.topics.view(topic) else {
            return;
        };
        if derives {
            self.derived.open(topic, || match sub {
                Some(sub) => Asker::Name(sub.into()),
                // Each for itself: one that takes long is in no other's way.
                None => Asker::Name(format!("window {topic}").into()),
            });
            let started = Started {
                key,
                topic,
                breaks,
                view,
                wanted,
            };
            return self.tell(shard, started);
        }
        let subscribed =
            |cursor: &str| message::subscribed(&wanted.id, topic, &table, &table.key, cursor);
        let joined = |reply, missed| Joined {
            key,
            topic,
            reply: Some(reply),
            missed,
            wanted: wanted.clone(),
        };
        match &wanted.since {
            None if !wanted.snapshot => {
                self.tell(shard, joined(subscribed(&self.cursor_text), None));
            }
            Some(since) if let Some(rows) = self.rest_for(topic, since) => {
                self.metrics.resumed("window");
                let cursor = self.cursor_text.clone();
                let missed = Missed::Rows { rows, view, cursor };
                self.tell(shard, joined(subscribed(&since.to_string()), Some(missed)));
            }
            _ => self.tell(
                shard,
                Started {
                    key,
                    topic,
                    breaks,
                    view,
                    wanted,
                },
            ),
        }
    }

    /// All that a session at `from` has missed of a topic, if the window has it and it is not much.
    fn rest_for(&self, topic: TopicId, from: &Cursor) -> Option<Vec<LogRow>> {
        let piece = self
            .window
            .next(&from.snapshot, None, PIECE_BYTES, self.is_of(topic)?)?;
        let is_all = piece.is_last && Some(&piece.end) == self.cursor.as_ref();
        is_all.then_some(piece.rows)
    }

    /// Which rows of the log are of the table of a topic.
    fn is_of(&self, topic: TopicId) -> Option<impl Fn(&LogRow) -> bool + use<'_>> {
        let rel = self.topics.view(topic)?.0.table.rel;
        Some(move |row: &LogRow| row.rel == rel)
    }

    pub(super) fn replay(&mut self, replay: Replay) -> ResponseFuture<Next> {
        let (answer, next) = oneshot::channel();
        self.answer(replay, 0, answer);
        // The hub never drops an answer unsaid, unless it ends itself.
        Box::pin(async { next.await.unwrap_or(Next::Gone) })
    }

    /// Says what comes next, or puts the question aside.
    fn answer(&mut self, replay: Replay, asked: u64, answer: oneshot::Sender<Next>) {
        let next = match self.next(&replay, asked) {
            Ok(next) => next,
            Err(asked) => {
                let waiting = Pending::Replay(replay, asked, answer);
                return self.pending.push_back(waiting);
            }
        };
        // Who has gone meanwhile does not need it.
        let _ = answer.send(next);
    }

    /// What comes next; an error is the question that has to be answered first.
    fn next(&mut self, replay: &Replay, asked: u64) -> Result<Next, u64> {
        let Some((view, (breaks, reason))) = self.topics.view(replay.topic) else {
            return Ok(Next::Gone);
        };
        if breaks != replay.breaks {
            return Ok(Next::Broken(reason));
        }
        match self.place(&replay.from, asked) {
            Standing::Nowhere => return Ok(Next::Broken(ResetReason::Epoch)),
            Standing::Ahead(asked) => return Err(asked),
            Standing::Known => {}
        }
        let from = &replay.from.snapshot;
        let piece = self.is_of(replay.topic).and_then(|is_of| {
            self.window
                .next(from, replay.rest.as_ref(), PIECE_BYTES, is_of)
        });
        let Some(piece) = piece else {
            if !self.live {
                // The log is where the listener is: away.
                return Err(asked);
            }
            let rels = vec![view.table.rel];
            return Ok(Next::Log(rels, view, self.cursor.clone()));
        };
        let is_all =
            piece.is_last && replay.rest.is_none() && Some(&piece.end) == self.cursor.as_ref();
        if !is_all || !replay.may_join {
            return Ok(Next::Rows(piece, view));
        }
        if !self.is_between() {
            return Err(asked);
        }
        self.advance();
        let cursor = self.cursor_text.clone();
        let joined = Joined {
            key: replay.key,
            topic: replay.topic,
            reply: None,
            missed: Some(Missed::Rows {
                rows: piece.rows,
                view,
                cursor,
            }),
            wanted: replay.wanted.clone(),
        };
        self.tell(replay.shard, joined);
        Ok(Next::Joined)
    }

    /// Looks a table up, as a subscription would.
    pub(super) fn find(&mut self, find: Find) -> ResponseFuture<Result<Found, Refusal>> {
        let (answer, found) = oneshot::channel();
        let away = Refusal::of(&find.wanted.id, "busy", "the server is about to end");
        self.answer_find(find, 0, answer);
        Box::pin(async { found.await.unwrap_or(Err(away)) })
    }

    /// Says what it is, or puts the question aside: the table may have been watched a moment ago.
    fn answer_find(
        &mut self,
        find: Find,
        asked: u64,
        answer: oneshot::Sender<Result<Found, Refusal>>,
    ) {
        let found = match self.subject_of(&find.wanted, &find.viewer) {
            Ok((table, subject)) => Ok(Found {
                rels: vec![table.rel],
                since: subject.grant.as_ref().map_or(0, |grant| grant.since),
                view: View::new(table, &subject),
                cursor: self.cursor.clone(),
            }),
            Err(refusal) if refusal.code == UNKNOWN_TABLE && !self.live => {
                let why = "the database is away, and which tables are watched is not known";
                Err(Refusal::of(&find.wanted.id, "busy", why))
            }
            Err(refusal)
                if refusal.code == UNKNOWN_TABLE
                    && (asked == 0 || self.answered < asked)
                    && self.pending.len() < PENDING_SUBSCRIPTIONS_MAX =>
            {
                let asked = if asked == 0 {
                    self.poll_request.ask()
                } else {
                    asked
                };
                return self.pending.push_back(Pending::Find(find, asked, answer));
            }
            Err(refusal) => Err(refusal),
        };
        // Who has gone meanwhile does not need it.
        let _ = answer.send(found);
    }
}
