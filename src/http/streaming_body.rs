//! A body that a task writes piece by piece, while the client takes it. It only ends well if its last piece says that it
//! is the last one: a client takes a body that has an end for whole.

use actix_web::web::Bytes;
use futures_util::{Stream, stream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::limits::STALL_MAX;

use super::problem::Problem;

/// Pieces that are on their way.
const PIECES_MAX: usize = 2;

enum Piece {
    More(Bytes),
    Last(Bytes),
    Problem(Problem),
}

/// Why a client gets no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// It has left.
    Left,
    /// It has taken nothing for too long.
    Stalled,
}

/// The end that writes.
pub struct Pieces(mpsc::Sender<Piece>);

/// Room for one piece.
pub struct Room<'a>(mpsc::Permit<'a, Piece>);

/// The end that becomes an answer.
pub struct Body(mpsc::Receiver<Piece>);

/// Both ends.
pub fn channel() -> (Pieces, Body) {
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    (Pieces(sender), Body(receiver))
}

impl Pieces {
    /// Waits for room.
    ///
    /// # Errors
    /// See [`Gone`].
    pub async fn room(&self) -> Result<Room<'_>, Gone> {
        match timeout(STALL_MAX, self.0.reserve()).await {
            Ok(Ok(permit)) => Ok(Room(permit)),
            Ok(Err(_)) => Err(Gone::Left),
            Err(_) => Err(Gone::Stalled),
        }
    }

    /// Waits until the client has gone.
    pub async fn gone(&self) {
        self.0.closed().await;
    }

    /// Nothing more comes. As long as nothing has come at all, the client is told why; else its connection ends.
    pub fn fail(self, problem: Problem) {
        // Without room there are pieces on their way, and then that there is no last one says enough.
        let _ = self.0.try_send(Piece::Problem(problem));
    }
}

impl Room<'_> {
    /// Hands a piece on.
    pub fn send(self, piece: impl Into<Bytes>) {
        self.0.send(Piece::More(piece.into()));
    }

    /// Hands the last one on.
    pub fn finish(self, text: String) {
        self.0.send(Piece::Last(text.into()));
    }
}

impl Body {
    /// Waits for the first piece: until then there may be a better answer than half a body.
    ///
    /// # Errors
    /// What has happened instead.
    pub async fn begun(mut self) -> Result<impl Stream<Item = Result<Bytes, Problem>>, Problem> {
        let first = self.0.recv().await.unwrap_or_else(broken);
        if let Piece::Problem(problem) = first {
            return Err(problem);
        }
        let state = Some((Some(first), self.0));
        Ok(stream::unfold(state, |state| async {
            let (first, mut receiver) = state?;
            let piece = match first {
                Some(piece) => piece,
                None => receiver.recv().await.unwrap_or_else(broken),
            };
            Some(match piece {
                Piece::More(bytes) => (Ok(bytes), Some((None, receiver))),
                Piece::Last(bytes) => (Ok(bytes), None),
                // The connection ends without the end of the body.
                Piece::Problem(problem) => (Err(problem), None),
            })
        }))
    }
}

/// The task has ended without a last piece.
fn broken() -> Piece {
    Piece::Problem(Problem::unavailable("the answer could not be completed"))
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    #[actix_rt::test]
    async fn a_body_without_a_last_piece_has_no_end() {
        for is_finished in [true, false] {
            let (pieces, body) = channel();
            pieces.room().await.unwrap().send("a");
            if is_finished {
                pieces.room().await.unwrap().finish("b".into());
            }
            drop(pieces);
            let Ok(body) = body.begun().await else {
                panic!("it has begun")
            };
            let all: Vec<_> = body.collect().await;
            assert_eq!(all.len(), 2);
            assert_eq!(all.iter().all(Result::is_ok), is_finished);
        }
    }

    #[actix_rt::test]
    async fn a_problem_before_the_first_piece_is_the_answer() {
        let (pieces, body) = channel();
        pieces.fail(Problem::not_found("nowhere"));
        let Err(problem) = body.begun().await else {
            panic!("it has not begun")
        };
        assert_eq!(problem.status(), 404);
    }
}
