//! How much the topics may cost, of one principal and of all: how many there are, and what asking their filters costs. What would
//! cost more is refused when it is asked for.

use std::collections::HashMap;
use std::sync::Arc;

use crate::feed::TopicId;
use crate::limits::{
    FILTER_COST_MAX, FILTER_COST_PER_PRINCIPAL_MAX, TOPICS_MAX, TOPICS_PER_PRINCIPAL_MAX,
};

/// Topics, and what their filters cost; see [`crate::feed::filter::Filter::cost`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Spent {
    topics: usize,
    cost: usize,
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
    made: HashMap<TopicId, (Option<Arc<str>>, usize)>,
}

impl Budget {
    /// Whether one more topic fits.
    ///
    /// # Errors
    /// Names the bound.
    pub fn admit(&self, sub: Option<&str>, cost: usize) -> Result<(), Exceeded> {
        let fits = |spent: Spent, topics_max: usize, cost_max: usize| {
            (spent.topics < topics_max, spent.cost + cost <= cost_max)
        };
        let of_one = sub.and_then(|sub| self.of_one.get(sub)).copied();
        let (topics, costs) = match sub {
            Some(_) => fits(
                of_one.unwrap_or_default(),
                TOPICS_PER_PRINCIPAL_MAX,
                FILTER_COST_PER_PRINCIPAL_MAX,
            ),
            None => (true, true),
        };
        let (all_topics, all_costs) = fits(self.all, TOPICS_MAX, FILTER_COST_MAX);
        match (topics, costs, all_topics, all_costs) {
            (false, ..) => Err(Exceeded("topics_per_principal")),
            (_, false, ..) => Err(Exceeded("filter_cost_per_principal")),
            (_, _, false, _) => Err(Exceeded("topics")),
            (_, _, _, false) => Err(Exceeded("filter_cost")),
            _ => Ok(()),
        }
    }

    /// A topic has been made.
    pub fn add(&mut self, id: TopicId, sub: Option<&str>, cost: usize) {
        let sub: Option<Arc<str>> = sub.map(Into::into);
        if let Some(sub) = &sub {
            let spent = self.of_one.entry(sub.clone()).or_default();
            spent.topics += 1;
            spent.cost += cost;
        }
        self.all.topics += 1;
        self.all.cost += cost;
        self.made.insert(id, (sub, cost));
    }

    /// It is gone.
    pub fn remove(&mut self, id: TopicId) {
        let Some((sub, cost)) = self.made.remove(&id) else {
            return;
        };
        self.all.topics -= 1;
        self.all.cost -= cost;
        if let Some(sub) = sub
            && let Some(spent) = self.of_one.get_mut(&sub)
        {
            spent.topics -= 1;
            spent.cost -= cost;
            if spent.topics == 0 {
                self.of_one.remove(&sub);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_costs_too_much_is_refused_and_what_ends_gives_it_back() {
        let mut budget = Budget::default();
        let half = FILTER_COST_PER_PRINCIPAL_MAX / 2;
        budget.add(TopicId(1), Some("ann"), half);
        budget.add(TopicId(2), Some("ann"), half);
        let dear = Err(Exceeded("filter_cost_per_principal"));
        assert_eq!(budget.admit(Some("ann"), 1), dear);
        assert_eq!(budget.admit(Some("bob"), half), Ok(()), "nobody else");
        assert_eq!(budget.admit(None, half), Ok(()));
        budget.remove(TopicId(1));
        budget.remove(TopicId(1));
        assert_eq!(budget.admit(Some("ann"), half), Ok(()));
        budget.remove(TopicId(2));
        assert!(budget.of_one.is_empty() && budget.made.is_empty());
        assert_eq!(budget.all, Spent::default());

        let topics = TOPICS_PER_PRINCIPAL_MAX as u32;
        (0..topics).for_each(|id| budget.add(TopicId(id), Some("ann"), 0));
        let many = Err(Exceeded("topics_per_principal"));
        assert_eq!(budget.admit(Some("ann"), 0), many);
        budget.add(TopicId(topics), None, FILTER_COST_MAX);
        assert_eq!(budget.admit(Some("bob"), 1), Err(Exceeded("filter_cost")));
    }
}
