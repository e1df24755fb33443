//! The few places for reading tables and the log and for requests, shared fairly among those who wait. It knows names and
//! numbers, and no connection.
//!
//! A free place goes to the asker that has the fewest; among these to the one that has waited longest. An asker that is known by a
//! name or an address never has all of them, so another one that comes finds one, whatever the first does with its own.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::limits::{HISTORY_WAITING_MAX, HISTORY_WAITING_OF_ONE_MAX};
use crate::metrics::{Metrics, PlaceLabel};

/// Whom a place is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Asker {
    /// Not known: all of these are one, and have no bound of their own.
    #[default]
    Anyone,
    /// A principal, by its `sub`.
    Name(Arc<str>),
    /// A client that nobody has named, by its address.
    Address(IpAddr),
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Turns {
    kind: &'static str,
    size: usize,
    state: Mutex<State>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct State {
    /// Those that have a place or wait for one.
    askers: HashMap<Asker, Own>,
    /// Those that wait, in the order in which they come: by the places they have, and the number of the first that waits.
    order: BTreeMap<(usize, u64), Asker>,
    taken: usize,
    waiting: usize,
    /// Of the last one that began to wait.
    number: u64,
}

/// What one asker has.
#[derive(Debug, Default)]
struct Own {
    held: usize,
    /// With their numbers, in order.
    waiting: VecDeque<(u64, oneshot::Sender<()>)>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Crowded;

/// A place; free again when it is dropped.
#[derive(Debug)]
pub struct Turn {
    turns: Arc<Turns>,
    asker: Asker,
}

impl Turns {
    /// `size` places, all free. `kind` is their name in metrics.
    pub(super) fn new(kind: &'static str, size: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            kind,
            size,
            state: Mutex::default(),
            metrics,
        })
    }

    /// Waits for a place, for at most `patience`.
    ///
    /// # Errors
    /// If there is none by then, or too many wait already.
    pub(super) async fn take(
        self: &Arc<Self>,
        asker: &Asker,
        patience: Duration,
    ) -> Result<Turn, Crowded> {
        let started = Instant::now();
        let turn = self.wait(asker, patience).await;
        let label = PlaceLabel { kind: self.kind };
        let waited = self.metrics.place_wait_seconds.get_or_create(&label);
        waited.observe(started.elapsed().as_secs_f64());
        turn
    }

    async fn wait(self: &Arc<Self>, asker: &Asker, patience: Duration) -> Result<Turn, Crowded> {
        let turn = |turns: &Arc<Self>| Turn {
            turns: turns.clone(),
            asker: asker.clone(),
        };
        let (number, receiver) = {
            let mut state = self.lock();
            if state.taken < self.size && state.held(asker) < asker.places_max(self.size) {
                state.change(asker, |own| own.held += 1);
                state.taken += 1;
                return Ok(turn(self));
            }
            state.queue(asker)?
        };
        let mut waiting = Waiting {
            turns: self,
            asker,
            number,
            receiver,
            is_done: false,
        };
        match timeout(patience, &mut waiting.receiver).await {
            Ok(Ok(())) => {
                waiting.is_done = true;
                Ok(turn(self))
            }
            _ => Err(Crowded),
        }
    }

    /// Whether another one waits that should have a place of `asker` rather than it.
    fn is_wanted(&self, asker: &Asker) -> bool {
        let state = self.lock();
        let Some(own) = state.askers.get(asker) else {
            return false;
        };
        let fewest = state.order.keys().next();
        !own.waiting.is_empty() || fewest.is_some_and(|(held, _)| *held < own.held)
    }

    fn give_back(&self, asker: &Asker) {
        let mut state = self.lock();
        state.release(asker);
        state.hand_on(self.size);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in between can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asker {
    /// How many of `size` places it may have.
    fn places_max(&self, size: usize) -> usize {
        match self {
            Self::Anyone => size,
            _ => size.saturating_sub(1).max(1),
        }
    }

    fn waiting_max(&self) -> usize {
        match self {
            Self::Anyone => HISTORY_WAITING_MAX,
            _ => HISTORY_WAITING_OF_ONE_MAX,
        }
    }
}

impl State {
    fn held(&self, asker: &Asker) -> usize {
        self.askers.get(asker).map_or(0, |own| own.held)
    }

    /// Changes what an asker has, and its place in the order.
    fn change<T>(&mut self, asker: &Asker, change: impl FnOnce(&mut Own) -> T) -> T {
        let own = self.askers.entry(asker.clone()).or_default();
        let place = |own: &Own| own.waiting.front().map(|(number, _)| (own.held, *number));
        let before = place(own);
        let result = change(own);
        let after = place(own);
        let is_idle = own.held == 0 && own.waiting.is_empty();
        if before != after {
            if let Some(before) = before {
                self.order.remove(&before);
            }
            if let Some(after) = after {
                self.order.insert(after, asker.clone());
            }
        }
        if is_idle {
            self.askers.remove(asker);
        }
        result
    }

    /// Lets one more of an asker wait; its number.
    fn queue(&mut self, asker: &Asker) -> Result<(u64, oneshot::Receiver<()>), Crowded> {
        let own = self.askers.get(asker).map_or(0, |own| own.waiting.len());
        if self.waiting >= HISTORY_WAITING_MAX || own >= asker.waiting_max() {
            return Err(Crowded);
        }
        let (sender, receiver) = oneshot::channel();
        self.waiting += 1;
        self.number += 1;
        let number = self.number;
        self.change(asker, |own| own.waiting.push_back((number, sender)));
        Ok((number, receiver))
    }

    fn release(&mut self, asker: &Asker) {
        self.taken -= 1;
        self.change(asker, |own| own.held -= 1);
    }

    /// Gives free places to those who wait.
    fn hand_on(&mut self, size: usize) {
        while self.taken < size {
            let mut order = self.order.iter();
            // Those that have all that they may have stand at the end.
            let next = order.find(|((held, _), asker)| *held < asker.places_max(size));
            let Some(asker) = next.map(|(_, asker)| asker.clone()) else {
                return;
            };
            let given = self.change(&asker, |own| {
                own.held += 1;
                own.waiting.pop_front()
            });
            self.taken += 1;
            self.waiting -= 1;
            // One that has gone meanwhile does not take it.
            let is_taken = given.is_some_and(|(_, turn)| turn.send(()).is_ok());
            if !is_taken {
                self.release(&asker);
            }
        }
    }
}

/// One that waits. When it gives up it leaves the queue; a place that was given to it in that moment goes on.
struct Waiting<'a> {
    turns: &'a Arc<Turns>,
    asker: &'a Asker,
    number: u64,
    receiver: oneshot::Receiver<()>,
    is_done: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        // Places are given under this lock.
        let mut state = self.turns.lock();
        let number = self.number;
        let is_gone = state.change(self.asker, |own| {
            let found = own.waiting.binary_search_by_key(&number, |(n, _)| *n);
            found.is_ok_and(|i| own.waiting.remove(i).is_some())
        });
        if is_gone {
            state.waiting -= 1;
        } else {
            state.release(self.asker);
            state.hand_on(self.turns.size);
        }
    }
}

impl Turn {
    /// Whether another one waits that should have it.
    pub(super) fn is_wanted(&self) -> bool {
        self.turns.is_wanted(&self.asker)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.give_back(&self.asker);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::{Pin, pin};
    use std::task::Poll;

    use super::*;

    /// Whether it has come to an end, as far as it goes without waiting.
    async fn polled<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
        poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
    }

    const LONG: Duration = Duration::from_secs(3600);

    fn turns(size: usize) -> Arc<Turns> {
        Turns::new("snapshot", size, Arc::default())
    }

    fn name(name: &str) -> Asker {
        Asker::Name(name.into())
    }

    #[actix_rt::test]
    async fn another_one_finds_a_place_whatever_one_does() {
        let turns = turns(4);
        let (hostile, other) = (name("hostile"), name("other"));
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(turns.take(&hostile, LONG).await.unwrap());
        }
        let mut fourth = pin!(turns.take(&hostile, LONG));
        assert!(polled(fourth.as_mut()).await.is_pending());
        let theirs = turns.take(&other, LONG).await.unwrap();
        // It is the only one that waits, and may have no more.
        assert!(!theirs.is_wanted() && held[0].is_wanted());
        drop(theirs);
        assert!(polled(fourth.as_mut()).await.is_pending());
        held.pop();
        assert!(polled(fourth.as_mut()).await.is_ready());
    }

    #[actix_rt::test]
    async fn who_has_the_fewest_comes_first_and_then_who_has_waited_longest() {
        let turns = turns(2);
        let (a, b, c) = (name("a"), name("b"), name("c"));
        let first = turns.take(&a, LONG).await.unwrap();
        let second = turns.take(&b, LONG).await.unwrap();
        let (mut again, mut third, mut fourth) = (
            pin!(turns.take(&a, LONG)),
            pin!(turns.take(&c, LONG)),
            pin!(turns.take(&b, LONG)),
        );
        assert!(polled(again.as_mut()).await.is_pending());
        assert!(polled(third.as_mut()).await.is_pending());
        assert!(polled(fourth.as_mut()).await.is_pending());
        assert!(first.is_wanted() && second.is_wanted());
        drop(second);
        // b and c have none; c has waited longer, and a has one.
        let Poll::Ready(Ok(third)) = polled(third.as_mut()).await else {
            panic!("c is the next one");
        };
        assert!(
            polled(fourth.as_mut()).await.is_pending() && polled(again.as_mut()).await.is_pending()
        );
        drop(third);
        let Poll::Ready(Ok(_)) = polled(fourth.as_mut()).await else {
            panic!("then b");
        };
        drop(first);
        assert!(polled(again.as_mut()).await.is_ready());
    }

    #[actix_rt::test]
    async fn those_who_are_not_known_share_all_places() {
        let turns = turns(2);
        let held = [
            turns.take(&Asker::Anyone, LONG).await.unwrap(),
            turns.take(&Asker::Anyone, LONG).await.unwrap(),
        ];
        assert!(!held[0].is_wanted());
        let mut third = pin!(turns.take(&Asker::Anyone, LONG));
        assert!(polled(third.as_mut()).await.is_pending());
        assert!(held[0].is_wanted());
    }

    #[actix_rt::test]
    async fn who_gives_up_leaves_nothing_behind() {
        let turns = turns(1);
        let (b, d) = (name("b"), name("d"));
        let held = turns.take(&name("a"), LONG).await.unwrap();
        {
            let mut gone = pin!(turns.take(&b, LONG));
            assert!(polled(gone.as_mut()).await.is_pending());
        }
        let late = turns.take(&name("c"), Duration::from_millis(1)).await;
        assert!(late.is_err());
        {
            // Given a place, and gone before it looks.
            let mut given = pin!(turns.take(&d, LONG));
            assert!(polled(given.as_mut()).await.is_pending());
            drop(held);
        }
        let state = turns.lock();
        assert_eq!((state.taken, state.waiting), (0, 0));
        assert!(state.askers.is_empty() && state.order.is_empty());
    }

    #[actix_rt::test]
    async fn no_queue_is_without_a_bound_and_one_alone_does_not_fill_it() {
        let turns = turns(1);
        let held = turns.take(&name("a"), LONG).await.unwrap();
        let mut waiting = Vec::new();
        for _ in 0..HISTORY_WAITING_OF_ONE_MAX {
            let (turns, hostile) = (turns.clone(), name("hostile"));
            let mut one = Box::pin(async move { turns.take(&hostile, LONG).await.is_ok() });
            assert!(polled(one.as_mut()).await.is_pending());
            waiting.push(one);
        }
        assert!(turns.take(&name("hostile"), LONG).await.is_err());
        let other = name("other");
        let mut other = pin!(turns.take(&other, LONG));
        assert!(polled(other.as_mut()).await.is_pending(), "it waits");
        drop(waiting);
        drop(held);
        assert!(polled(other.as_mut()).await.is_ready());
    }
}
