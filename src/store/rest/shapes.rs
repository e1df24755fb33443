//! Which statements stay prepared. A client chooses the shape of its statement, so there are any number of them: one is prepared
//! when it comes for the second time, and the one that was used the longest ago makes way.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deadpool_postgres::{ClientWrapper, Pool};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Row, Statement};

use crate::limits::{REST_SHAPES_MAX, REST_STATEMENT_BYTES_MAX, REST_STATEMENTS_MAX};

/// The shapes of one pool; all clones share them.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Shapes(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Clients can't know which shapes have the same one.
    hasher: RandomState,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Those that are prepared, the one that was used last at the end.
    prepared: VecDeque<(u64, Kept)>,
    /// Those that were seen once, the last one at the end.
    once: VecDeque<u64>,
}

/// A statement as the sessions keep it.
#[derive(Debug)]
struct Kept {
    text: String,
    types: Vec<Type>,
}

/// A parameter and its type.
pub(super) type Typed<'a> = (&'a (dyn ToSql + Sync), Type);

/// A statement for one session.
pub(super) enum Shape {
    /// It is read as it is sent.
    Once,
    /// The session has it.
    Prepared(Statement),
}

impl Shapes {
    /// Finds out how a statement is sent over `client`, and prepares it there if it is to stay.
    ///
    /// # Errors
    /// Those of the server. Nothing was run.
    pub(super) async fn prepare(
        &self,
        pool: &Pool,
        client: &ClientWrapper,
        text: &str,
        params: &[Typed<'_>],
    ) -> Result<Shape, tokio_postgres::Error> {
        if text.len() > REST_STATEMENT_BYTES_MAX {
            return Ok(Shape::Once);
        }
        let shape = self.0.hasher.hash_one(text);
        let types: Vec<Type> = params.iter().map(|(_, of)| of.clone()).collect();
        let (is_prepared, gone) = self.lock().seen(shape, text, &types);
        if let Some(Kept { text, types }) = gone {
            pool.manager().statement_caches.remove(&text, &types);
        }
        if !is_prepared {
            return Ok(Shape::Once);
        }
        let prepared = client.prepare_typed_cached(text, &types).await?;
        // Another request may have let it go meanwhile.
        if !self.lock().has(shape) {
            drop(client.statement_cache.remove(text, &types));
        }
        Ok(Shape::Prepared(prepared))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shape {
    /// Runs it; it gives one row.
    ///
    /// # Errors
    /// Those of the server.
    pub(super) async fn query_one(
        &self,
        client: &ClientWrapper,
        text: &str,
        params: &[Typed<'_>],
    ) -> Result<Row, tokio_postgres::Error> {
        let Self::Prepared(statement) = self else {
            return client.query_typed_one(text, params).await;
        };
        let values: Vec<&(dyn ToSql + Sync)> = params.iter().map(|(value, _)| *value).collect();
        client.query_one(statement, &values).await
    }
}

impl Known {
    fn has(&self, shape: u64) -> bool {
        self.prepared.iter().any(|(other, _)| *other == shape)
    }

    /// Notes that a shape is used: whether it is prepared, and which one is not any more.
    fn seen(&mut self, shape: u64, text: &str, types: &[Type]) -> (bool, Option<Kept>) {
        if let Some(at) = self.prepared.iter().rposition(|(other, _)| *other == shape) {
            if at + 1 < self.prepared.len()
                && let Some(kept) = self.prepared.remove(at)
            {
                self.prepared.push_back(kept);
            }
            return (true, None);
        }
        if let Some(at) = self.once.iter().position(|other| *other == shape) {
            self.once.remove(at);
            let (text, types) = (text.to_owned(), types.to_vec());
            self.prepared.push_back((shape, Kept { text, types }));
            let gone = match self.prepared.len() > REST_STATEMENTS_MAX {
                true => self.prepared.pop_front(),
                false => None,
            };
            return (true, gone.map(|(_, kept)| kept));
        }
        self.once.push_back(shape);
        if self.once.len() > REST_SHAPES_MAX {
            self.once.pop_front();
        }
        (false, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_prepared_when_it_comes_again_and_the_oldest_makes_way() {
        let mut known = Known::default();
        let text = |n: usize| format!("select {n}");
        for n in 0..REST_STATEMENTS_MAX {
            assert!(!known.seen(n as u64, &text(n), &[]).0, "once");
            let (is_prepared, gone) = known.seen(n as u64, &text(n), &[]);
            assert!(is_prepared && gone.is_none());
        }
        assert!(known.seen(0, &text(0), &[]).0, "used again");
        known.seen(1_000, "another", &[]);
        let (is_prepared, gone) = known.seen(1_000, "another", &[]);
        assert!(is_prepared);
        assert_eq!(gone.expect("one makes way").text, text(1));
        assert!(known.has(0) && !known.has(1));
        assert_eq!(known.prepared.len(), REST_STATEMENTS_MAX);
    }

    #[test]
    fn shapes_that_never_come_again_take_nobody_s_place() {
        let mut known = Known::default();
        known.seen(1, "a", &[]);
        known.seen(1, "a", &[]);
        for n in 10..10_000 {
            assert!(!known.seen(n, "once", &[]).0);
        }
        assert!(known.has(1));
        assert_eq!(
            (known.prepared.len(), known.once.len()),
            (1, REST_SHAPES_MAX)
        );
    }
}
