//! What the window has for requests over HTTP. A request sees all that was committed before it came, so the hub lets the
//! listener look at the log before it says that there is nothing more; the requests of a crowd share such a look.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::feed::Cursor;
use crate::limits::{
    LOOKS_APART, LOOKS_APART_MAX, LOOKS_FREE, LOOKS_MEMORY, PENDING_SUBSCRIPTIONS_MAX,
};
use crate::wire::message::ResetReason;

use super::Hub;
use super::resume::{Pending, Standing};
use crate::actor::message::{Recent, Recently};

/// How often requests have asked for a look at the log that seem to be those of a crowd: others wait for one, or they come on
/// different connections from different cursors far back. A client that asks again and again does neither.
#[derive(Debug)]
pub(super) struct Looks {
    /// Such requests of the last [`LOOKS_MEMORY`], about: it fades.
    crowd: f64,
    asked_at: Instant,
    looked_at: Instant,
    /// A look is about to be asked for.
    is_due: bool,
    /// The newest question that a request waits for, or waited for.
    awaited: u64,
    /// Where the last few requests came from: their connections and cursors.
    clients: VecDeque<SocketAddr>,
    froms: VecDeque<Arc<Cursor>>,
}

/// Cursors that are remembered, to tell one client that asks again and again from a crowd; and batches that it may be behind.
const FEW: usize = 8;

impl Default for Looks {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            crowd: 0.0,
            asked_at: now,
            looked_at: now,
            is_due: false,
            awaited: 0,
            clients: VecDeque::new(),
            froms: VecDeque::new(),
        }
    }
}

/// Whether `new` is none of the last few; it is one of them from now on.
fn is_new<T: PartialEq>(few: &mut VecDeque<T>, new: T) -> bool {
    if few.contains(&new) {
        return false;
    }
    if few.len() >= FEW {
        few.pop_front();
    }
    few.push_back(new);
    true
}

impl Looks {
    /// Whether a request comes on a connection and from a cursor of which none of the last few came.
    fn is_from_elsewhere(&mut self, client: Option<SocketAddr>, from: &Arc<Cursor>) -> bool {
        let is_other = client.is_none_or(|client| is_new(&mut self.clients, client));
        is_new(&mut self.froms, from.clone()) && is_other
    }

    /// Counts a request that `is_one_of_many`; how long to wait before the next look.
    fn ask(&mut self, now: Instant, is_one_of_many: bool) -> Duration {
        let since = now.duration_since(self.asked_at);
        self.crowd *= (-since.div_duration_f64(LOOKS_MEMORY)).exp();
        if is_one_of_many {
            self.crowd += 1.0;
        }
        self.asked_at = now;
        if self.crowd <= LOOKS_FREE {
            return Duration::ZERO;
        }
        let apart = LOOKS_APART.mul_f64(self.crowd).min(LOOKS_APART_MAX);
        apart.saturating_sub(now.duration_since(self.looked_at))
    }
}

impl Hub {
    /// The number of a question to the listener that has not been asked yet, or is asked now.
    fn look(&mut self, recent: &Recent, ctx: &mut <Self as Actor>::Context) -> u64 {
        let now = Instant::now();
        let is_elsewhere = self.looks.is_from_elsewhere(recent.client, &recent.from);
        let is_far = self.window.batches_behind(&recent.from.snapshot) > FEW;
        let is_one_of_many = self.looks.awaited > self.answered || (is_elsewhere && is_far);
        let wait = self.looks.ask(now, is_one_of_many);
        let asked = if self.looks.is_due {
            self.poll_request.asked() + 1
        } else if wait.is_zero() {
            self.looks.looked_at = now;
            self.poll_request.ask()
        } else {
            self.looks.is_due = true;
            ctx.run_later(wait, |hub, _| {
                hub.looks.is_due = false;
                hub.looks.looked_at = Instant::now();
                hub.poll_request.ask();
            });
            self.poll_request.asked() + 1
        };
        self.looks.awaited = asked;
        asked
    }

    pub(super) fn recent(
        &mut self,
        mut recent: Recent,
        ctx: &mut <Self as Actor>::Context,
    ) -> ResponseFuture<(Recently, u64)> {
        let (answer, recently) = oneshot::channel();
        let is_over = self
            .recently(&recent)
            .is_ok_and(|r| matches!(r, Recently::Rows(_, true)));
        if is_over && recent.asked == 0 {
            recent.asked = self.look(&recent, ctx);
        }
        self.answer_recent(recent, 0, answer);
        // The hub never drops an answer unsaid, unless it ends itself.
        Box::pin(async { recently.await.unwrap_or((Recently::Log(None), 0)) })
    }

    /// Says what there is, or puts the question aside.
    pub(super) fn answer_recent(
        &mut self,
        recent: Recent,
        ahead: u64,
        answer: oneshot::Sender<(Recently, u64)>,
    ) {
        let recently = match self.place_of_recent(&recent, ahead) {
            Err(ahead) if self.pending.len() < PENDING_SUBSCRIPTIONS_MAX => {
                let waiting = Pending::Recent(recent, ahead, answer);
                return self.pending.push_back(waiting);
            }
            Err(_) => {
                self.metrics.limit("pending_subscriptions");
                Recently::Log(None)
            }
            Ok(recently) => recently,
        };
        // A client that has gone meanwhile does not need it.
        let _ = answer.send((recently, recent.asked));
    }

    /// An error is the question that has to be answered first.
    fn place_of_recent(&self, recent: &Recent, ahead: u64) -> Result<Recently, u64> {
        if !self.live {
            return Ok(Recently::Log(None));
        }
        match self.place(&recent.from, ahead) {
            Standing::Nowhere => return Ok(Recently::Lost(ResetReason::Epoch)),
            Standing::Ahead(ahead) => return Err(ahead),
            Standing::Known => {}
        }
        match self.recently(recent)? {
            Recently::Rows(_, true) if self.answered < recent.asked => Err(ahead),
            recently => Ok(recently),
        }
    }

    fn recently(&self, recent: &Recent) -> Result<Recently, u64> {
        let table = &recent.view.table;
        match self.catalog.get(table.rel) {
            None => return Ok(Recently::Log(None)),
            Some(now) if now.policies != table.policies => {
                return Ok(Recently::Lost(ResetReason::Schema));
            }
            Some(_) => {}
        }
        let rel = table.rel;
        let rest = recent.rest.as_ref();
        let piece = self
            .window
            .next(&recent.from.snapshot, rest, recent.bytes_max, |row| {
                row.rel == rel
            });
        Ok(match piece {
            Some(piece) => {
                let is_all = piece.is_last && Some(&piece.end) == self.cursor.as_ref();
                Recently::Rows(piece, is_all)
            }
            None => Recently::Log(self.cursor.clone()),
        })
    }

    /// The database is away: requests are not kept waiting for it.
    pub(super) fn release_recent(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        for waiting in pending {
            match waiting {
                Pending::Recent(recent, _, answer) => {
                    drop(answer.send((Recently::Log(None), recent.asked)));
                }
                waiting => self.pending.push_back(waiting),
            }
        }
    }
}

impl Handler<Recent> for Hub {
    type Result = ResponseFuture<(Recently, u64)>;

    fn handle(&mut self, recent: Recent, ctx: &mut Self::Context) -> Self::Result {
        self.recent(recent, ctx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks that a crowd of `count` causes which comes within `time`. Each takes 3 ms.
    fn looks_of(count: u32, time: Duration) -> usize {
        let start = Instant::now();
        let (mut looks, mut due, mut count_of_looks) = (Looks::default(), None::<Instant>, 0);
        looks.looked_at = start;
        for n in 0..count {
            let now = start + time * n / count;
            if let Some(at) = due.filter(|at| *at + Duration::from_millis(3) <= now) {
                looks.looked_at = at;
                (due, count_of_looks) = (None, count_of_looks + 1);
            }
            // Each comes from a cursor of its own.
            let wait = looks.ask(now, true);
            if due.is_none() {
                due = Some(now + wait);
            }
        }
        count_of_looks + 1
    }

    #[test]
    fn a_crowd_shares_looks_and_one_client_has_its_own() {
        for (seconds, most) in [(1, 15), (5, 25), (20, 45), (60, 95)] {
            let count = looks_of(1_000, Duration::from_secs(seconds));
            assert!(count <= most, "{count} looks in {seconds} s");
        }
        let mut looks = Looks::default();
        for _ in 0..1_000 {
            assert_eq!(looks.ask(Instant::now(), false), Duration::ZERO);
        }
    }
}
