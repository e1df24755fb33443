//! How much the topics may cost, of one principal and of all: how many there are, and what asking their filters costs. What would
//! cost more is refused when it is asked for.

use std::collections::HashMap;
use std::sync::Arc;

use crate::feed::TopicId;
use crate::limits::{
    DERIVED_MAX, DERIVED_PER_PRINCIPAL_MAX, FILTER_COST_MAX, FILTER_COST_PER_PRINCIPAL_MAX,
    TOPICS_MAX, TOPICS_PER_PRINCIPAL_MAX,
};

/// What one topic costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// See [`crate::feed::filter::Filter::cost`].
    pub filter: usize,
    /// Whether it is a window, or counts: rows are held for it.
    pub is_derived: bool,
}

/// Topics, what their filters cost, and how many of them are windows or counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Spent {
    topics: usize,
    filters: usize,
    derived: usize,
}

/// The bounds of one principal, or of all, with their names in metrics.
struct Bounds {
    topics: (usize, &'static str),
    filters: (usize, &'static str),
    derived: (usize, &'static str),
}

const OF_ONE: Bounds = Bounds {
    topics: (TOPICS_PER_PRINCIPAL_MAX, "topics_per_principal"),
    filters: (FILTER_COST_PER_PRINCIPAL_MAX, "filter_cost_per_principal"),
    derived: (DERIVED_PER_PRINCIPAL_MAX, "windows_per_principal"),
};

const OF_ALL: Bounds = Bounds {
    topics: (TOPICS_MAX, "topics"),
    filters: (FILTER_COST_MAX, "filter_cost"),
    derived: (DERIVED_MAX, "windows"),
};

impl Spent {
    fn admit(&self, cost: Cost, bounds: &Bounds) -> Result<(), Exceeded> {
        let derived = self.derived + usize::from(cost.is_derived);
        for (spent, (max, name)) in [
            (self.topics + 1, bounds.topics),
            (self.filters + cost.filter, bounds.filters),
            (derived, bounds.derived),
        ] {
            if spent > max {
                return Err(Exceeded(name));
            }
        }
        Ok(())
    }

    fn add(&mut self, cost: Cost) {
        self.topics += 1;
        self.filters += cost.filter;
        self.derived += usize::from(cost.is_derived);
    }

    fn remove(&mut self, cost: Cost) {
        self.topics -= 1;
        self.filters -= cost.filter;
        self.derived -= usize::from(cost.is_derived);
    }
}

/// The bound that would be exceeded, as the metric names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded(pub &'static str);

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Budget {
    all: Spent,
    /// By the claim `sub`.
    of_one: HashMap<Arc<str>, Spent>,
    /// Who made each topic. That others share it costs nothing.
    made: HashMap<TopicId, (Option<Arc<str>>, Cost)>,
}

impl Budget {
    /// Whether one more topic fits.
    ///
    /// # Errors
    /// Names the bound.
    pub fn admit(&self, sub: Option<&str>, cost: Cost) -> Result<(), Exceeded> {
        if let Some(sub) = sub {
            let of_one = self.of_one.get(sub).copied().unwrap_or_default();
            of_one.admit(cost, &OF_ONE)?;
        }
        self.all.admit(cost, &OF_ALL)
    }

    /// A topic has been made.
    pub fn add(&mut self, id: TopicId, sub: Option<&str>, cost: Cost) {
        let sub: Option<Arc<str>> = sub.map(Into::into);
        if let Some(sub) = &sub {
            self.of_one.entry(sub.clone()).or_default().add(cost);
        }
        self.all.add(cost);
        self.made.insert(id, (sub, cost));
    }

    /// It is gone.
    pub fn remove(&mut self, id: TopicId) {
        let Some((sub, cost)) = self.made.remove(&id) else {
            return;
        };
        self.all.remove(cost);
        if let Some(sub) = sub
            && let Some(spent) = self.of_one.get_mut(&sub)
        {
            spent.remove(cost);
            if spent.topics == 0 {
                self.of_one.remove(&sub);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(filter: usize) -> Cost {
        Cost {
            filter,
            is_derived: false,
        }
    }

    const WINDOW: Cost = Cost {
        filter: 0,
        is_derived: true,
    };

    #[test]
    fn what_costs_too_much_is_refused_and_what_ends_gives_it_back() {
        let mut budget = Budget::default();
        let half = FILTER_COST_PER_PRINCIPAL_MAX / 2;
        budget.add(TopicId(1), Some("ann"), filter(half));
        budget.add(TopicId(2), Some("ann"), filter(half));
        let dear = Err(Exceeded("filter_cost_per_principal"));
        assert_eq!(budget.admit(Some("ann"), filter(1)), dear);
        assert_eq!(
            budget.admit(Some("bob"), filter(half)),
            Ok(()),
            "of another principal"
        );
        assert_eq!(budget.admit(None, filter(half)), Ok(()));
        budget.remove(TopicId(1));
        budget.remove(TopicId(1));
        assert_eq!(budget.admit(Some("ann"), filter(half)), Ok(()));
        budget.remove(TopicId(2));
        assert!(budget.of_one.is_empty() && budget.made.is_empty());
        assert_eq!(budget.all, Spent::default());

        let topics = TOPICS_PER_PRINCIPAL_MAX as u32;
        (0..topics).for_each(|id| budget.add(TopicId(id), Some("ann"), filter(0)));
        let many = Err(Exceeded("topics_per_principal"));
        assert_eq!(budget.admit(Some("ann"), filter(0)), many);
        budget.add(TopicId(topics), None, filter(FILTER_COST_MAX));
        let dear = Err(Exceeded("filter_cost"));
        assert_eq!(budget.admit(Some("bob"), filter(1)), dear);
    }

    #[test]
    fn windows_are_counted_for_each_principal_and_for_all() {
        let mut budget = Budget::default();
        let own = DERIVED_PER_PRINCIPAL_MAX as u32;
        (0..own).for_each(|id| budget.add(TopicId(id), Some("ann"), WINDOW));
        let many = Err(Exceeded("windows_per_principal"));
        assert_eq!(budget.admit(Some("ann"), WINDOW), many);
        assert_eq!(budget.admit(Some("ann"), filter(0)), Ok(()), "no window");
        assert_eq!(budget.admit(Some("bob"), WINDOW), Ok(()));
        (own..DERIVED_MAX as u32).for_each(|id| budget.add(TopicId(id), None, WINDOW));
        assert_eq!(budget.admit(Some("bob"), WINDOW), Err(Exceeded("windows")));
        budget.remove(TopicId(own));
        assert_eq!(budget.admit(Some("bob"), WINDOW), Ok(()));
    }
}
