//! A step of an answer of `GET /api/changes`: out of the hub's window, where it reaches back far enough, else out of the log.

use std::collections::vec_deque::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::web;

use crate::actor::message::{Found, Recent, Recently};
use crate::feed::{Cursor, LogRow, Rest};
use crate::limits::{CHANGES_BYTES_MAX, PIECE_BYTES};
use crate::store::history::{Goal, History, Replay};

use super::super::State;
use super::super::problem::Problem;
use super::gone;

/// Where steps come from.
pub struct Source {
    state: web::Data<State>,
    /// As the client that asks: its places are shared fairly with others.
    history: History,
    found: Found,
    client: Option<SocketAddr>,
    /// The question that the hub has asked for this request, so that it sees all that was committed before.
    asked: u64,
    bytes_max: usize,
    is_counted: bool,
}

/// What a change is taken to have, when a part of the window for so many of them is asked for.
const CHANGE_BYTES: usize = 1024;

/// See the module's documentation.
pub struct Step {
    kind: Kind,
    end: Arc<Cursor>,
    is_to_now: bool,
}

enum Kind {
    Log(Box<Replay>),
    Window {
        from: Arc<Cursor>,
        rows: VecDeque<LogRow>,
        /// The last row that was taken.
        seq: i64,
        is_last: bool,
    },
}

impl Source {
    /// Of what was `found`, for about `limit` changes.
    pub fn new(
        state: web::Data<State>,
        history: History,
        found: Found,
        client: Option<SocketAddr>,
        limit: usize,
    ) -> Self {
        Self {
            client,
            state,
            history,
            found,
            asked: 0,
            bytes_max: (limit * CHANGE_BYTES).clamp(PIECE_BYTES, CHANGES_BYTES_MAX),
            is_counted: false,
        }
    }

    /// The table, and how it is shown.
    pub fn found(&self) -> &Found {
        &self.found
    }

    /// What comes behind `from`, or the rest of a step.
    ///
    /// # Errors
    /// When it can't be had, and why.
    pub async fn step(&mut self, from: &Arc<Cursor>, rest: Option<&Rest>) -> Result<Step, Problem> {
        let known = match self.ask(from, rest).await? {
            Recently::Lost(reason) => return Err(gone(reason)),
            Recently::Log(known) => known,
            Recently::Rows(piece, is_all) => {
                self.count("window");
                let kind = Kind::Window {
                    from: from.clone(),
                    rows: piece.rows.into(),
                    seq: i64::MIN,
                    is_last: piece.is_last,
                };
                return Ok(Step {
                    kind,
                    end: piece.end,
                    is_to_now: is_all,
                });
            }
        };
        let replay = self.replay(from, rest, known.as_ref()).await?;
        self.count("log");
        Ok(Step {
            end: replay.end().clone(),
            is_to_now: replay.goal() == Goal::Now,
            kind: Kind::Log(Box::new(replay)),
        })
    }

    /// Once for a request.
    fn count(&mut self, result: &'static str) {
        if !std::mem::replace(&mut self.is_counted, true) {
            self.state.metrics.resumed(result);
        }
    }

    async fn ask(&mut self, from: &Arc<Cursor>, rest: Option<&Rest>) -> Result<Recently, Problem> {
        let recent = Recent {
            from: from.clone(),
            rest: rest.cloned(),
            view: self.found.view.clone(),
            bytes_max: self.bytes_max,
            client: self.client,
            asked: self.asked,
        };
        let (recently, asked) = self.state.ask(recent).await?;
        self.asked = asked;
        Ok(recently)
    }

    async fn replay(
        &self,
        from: &Arc<Cursor>,
        rest: Option<&Rest>,
        known: Option<&Arc<Cursor>>,
    ) -> Result<Replay, Problem> {
        let Found { rels, view, .. } = &self.found;
        let held = view.held.as_ref();
        Ok(self.history.replay(from, rest, rels, held, known).await??)
    }
}

impl Step {
    /// The cursor after it, once it has been finished.
    pub fn end(&self) -> &Arc<Cursor> {
        &self.end
    }

    /// Whether nothing more comes behind it.
    pub fn is_to_now(&self) -> bool {
        self.is_to_now
    }

    /// The next row.
    ///
    /// # Errors
    /// When it can't be had.
    pub async fn next(&mut self, source: &mut Source) -> Result<Option<LogRow>, Problem> {
        loop {
            let (rest, from) = match &mut self.kind {
                Kind::Log(replay) => return Ok(replay.next().await?),
                Kind::Window {
                    from,
                    rows,
                    seq,
                    is_last,
                } => {
                    if let Some(row) = rows.pop_front() {
                        *seq = row.seq;
                        return Ok(Some(row));
                    }
                    if *is_last {
                        return Ok(None);
                    }
                    let end = self.end.clone();
                    (Rest { end, seq: *seq }, from.clone())
                }
            };
            *self = source.step(&from, Some(&rest)).await?;
        }
    }

    /// After the last row: whether all of them were still there.
    ///
    /// # Errors
    /// When some were not.
    pub async fn finish(self) -> Result<(), Problem> {
        match self.kind {
            Kind::Log(replay) => Ok(replay.finish().await??),
            Kind::Window { .. } => Ok(()),
        }
    }
}
