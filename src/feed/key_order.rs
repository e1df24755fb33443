//! The order of what happened to one key within one statement of a client.
//!
//! The log has every change, but not always in its order: the triggers that capture a statement fire when it has ended, those
//! of statements that it caused fire before, and foreign-key actions share them. What the changes say tells the order: each
//! goes from one state of the row to another, and the state after one is the state before the next. So they are the edges of
//! a graph, and their order is a trail that takes each edge once.

use std::collections::HashMap;
use std::hash::Hash;

/// What one change does to the row of a key: from which state to which. `None`: there is no row.
pub type Step<S> = (Option<S>, Option<S>);

/// The order in which changes of one key happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// As they came.
    AsLogged,
    /// In this order of their positions. Some may be left out: they cancel out, and touch none of the states of the others.
    Sorted(Vec<usize>),
    /// They cancel out: the row is as it was before them, whatever that is.
    Nothing,
    /// They don't fit together, so they don't say how the row is now.
    Unclear,
}

/// Finds the order of `steps`.
///
/// Changes that end where they began don't say which state that was: "insert x, delete x" in the log may have been "delete
/// x, insert x". A reader that leaves them out is right in both cases. `circle` is that state, where it is known.
pub fn order<S: Copy + Eq + Hash>(steps: &[Step<S>], circle: Option<Option<S>>) -> Order {
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
        return Order::AsLogged;
    };
    if steps.len() == 1
        || steps
            .iter()
            .all(|(from, to)| from == to && from == &first.0)
    {
        return Order::AsLogged;
    }
    let is_chain = steps.windows(2).all(|pair| pair[0].1 == pair[1].0);
    if is_chain && (first.0 != last.1 || circle == Some(first.0)) {
        return Order::AsLogged;
    }
    // How many more edges leave a state than reach it.
    let mut balance: HashMap<Option<S>, i64> = HashMap::new();
    for (from, to) in steps {
        *balance.entry(*from).or_default() += 1;
        *balance.entry(*to).or_default() -= 1;
    }
    let mut uneven = balance.into_iter().filter(|(_, more)| *more != 0);
    let start = match (uneven.next(), uneven.next(), uneven.next()) {
        (None, ..) => match circle {
            Some(state) => state,
            None => return Order::Nothing,
        },
        (Some((a, 1)), Some((_, -1)), None) => a,
        (Some((_, -1)), Some((b, 1)), None) => b,
        _ => return Order::Unclear,
    };
    match trail(steps, start) {
        order if order.is_empty() => Order::Unclear,
        order => Order::Sorted(order),
    }
}

/// A trail from `start` that takes every step once that can be reached (Hierholzer), by preference in the order of the log.
fn trail<S: Copy + Eq + Hash>(steps: &[Step<S>], start: Option<S>) -> Vec<usize> {
    let mut leaving: HashMap<Option<S>, Vec<usize>> = HashMap::new();
    for (i, (from, _)) in steps.iter().enumerate().rev() {
        leaving.entry(*from).or_default().push(i);
    }
    let mut path: Vec<(Option<S>, Option<usize>)> = vec![(start, None)];
    let mut order = Vec::with_capacity(steps.len());
    while let Some((state, by)) = path.last().copied() {
        match leaving.get_mut(&state).and_then(Vec::pop) {
            Some(step) => path.push((steps[step].1, Some(step))),
            None => {
                path.pop();
                order.extend(by);
            }
        }
    }
    order.reverse();
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: Option<u8> = Some(1);
    const B: Option<u8> = Some(2);
    const C: Option<u8> = Some(3);
    const GONE: Option<u8> = None;

    #[test]
    fn the_order_is_that_of_the_states() {
        let cases: [(&[Step<u8>], Order, &str); 9] = [
            (&[(A, B)], Order::AsLogged, "one change"),
            (&[(A, B), (B, C)], Order::AsLogged, "in order"),
            (
                &[(B, C), (A, B)],
                Order::Sorted(vec![1, 0]),
                "a nested trigger came first",
            ),
            (
                &[(GONE, B), (A, GONE)],
                Order::Sorted(vec![1, 0]),
                "an insert came before its delete",
            ),
            (
                &[(A, GONE), (GONE, A)],
                Order::Nothing,
                "the row is as before",
            ),
            (
                &[(A, B), (B, A)],
                Order::Nothing,
                "there and back, or back and there",
            ),
            (
                &[(A, A), (A, A)],
                Order::AsLogged,
                "updates that change nothing",
            ),
            (
                &[(A, B), (C, A)],
                Order::Sorted(vec![1, 0]),
                "from C by way of A",
            ),
            (&[(A, B), (A, C)], Order::Unclear, "two ends"),
        ];
        for (steps, expected, why) in cases {
            assert_eq!(order(steps, None), expected, "{why}");
        }
    }

    #[test]
    fn circle_begins_where_it_is_known_to() {
        assert_eq!(order(&[(GONE, A), (A, GONE)], Some(GONE)), Order::AsLogged);
        assert_eq!(
            order(&[(A, GONE), (GONE, A)], Some(GONE)),
            Order::Sorted(vec![1, 0])
        );
        assert_eq!(order(&[(A, B), (B, A)], Some(A)), Order::AsLogged);
        assert_eq!(order(&[(A, B), (B, A)], Some(B)), Order::Sorted(vec![1, 0]));
        assert_eq!(order(&[(A, B), (B, A)], Some(C)), Order::Unclear);
    }

    proptest! {
        /// Whatever happened, and in whatever order it was logged: a reader ends with the row as it is.
        #[test]
        fn any_log_of_a_walk_ends_where_the_walk_did(
            walk in prop::collection::vec(prop::option::of(0..4u8), 2..12), seed in prop::collection::vec(any::<u32>(), 12),
        ) {
            let steps: Vec<Step<u8>> = walk.windows(2).filter(|w| w[0].is_some() || w[1].is_some()).map(|w| (w[0], w[1])).collect();
            prop_assume!(!steps.is_empty() && steps.windows(2).all(|w| w[0].1 == w[1].0));
            let (first, last) = (steps[0].0, steps[steps.len() - 1].1);
            let mut logged: Vec<(u32, Step<u8>)> = seed.into_iter().zip(steps).collect();
            logged.sort_by_key(|(place, _)| *place);
            let logged: Vec<Step<u8>> = logged.into_iter().map(|(_, step)| step).collect();
            let ends = |order: &[usize]| {
                let sorted: Vec<_> = order.iter().map(|i| logged[*i]).collect();
                sorted.windows(2).all(|w| w[0].1 == w[1].0) && sorted[0].0 == first && sorted[sorted.len() - 1].1 == last
            };
            match order(&logged, None) {
                Order::AsLogged => prop_assert!(ends(&(0..logged.len()).collect::<Vec<_>>()) || logged.iter().all(|(a, b)| a == b)),
                Order::Sorted(order) => prop_assert!(ends(&order)),
                Order::Nothing => prop_assert_eq!(first, last),
                Order::Unclear => prop_assert!(false, "{:?}", logged),
            }
        }
    }
}
