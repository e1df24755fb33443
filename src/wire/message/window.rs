//! Which rows of a table a subscription follows when it wants the first ones in an order: the members `order` and `limit`.

use crate::feed::{WindowSpec, order};
use crate::limits::LIVE_WINDOW_ROWS_MAX;

use super::{Refusal, Subscribe};

impl Subscribe {
    /// The first rows in an order, from the members `order` and `limit`; with neither of them all rows.
    ///
    /// # Errors
    /// Names the member that is missing or wrong.
    pub fn set_window(&mut self, order: Option<&str>, limit: Option<&str>) -> Result<(), Refusal> {
        let refuse = |member: &str, why: String| {
            Refusal::of(&self.id, "bad_message", format!("{member}: {why}")).at(member)
        };
        self.window = match (order, limit) {
            (None, None) => None,
            (Some(order), Some(limit)) => {
                let order = order::parse(order).map_err(|why| refuse("order", why))?;
                let number = limit.parse().ok();
                let number = number.filter(|n| (1..=LIVE_WINDOW_ROWS_MAX).contains(n));
                let limit = number.ok_or_else(|| {
                    let why = format!(
                        "is {limit}; it has to be a number from 1 to {LIVE_WINDOW_ROWS_MAX}"
                    );
                    refuse("limit", why)
                })?;
                Some(WindowSpec { order, limit })
            }
            (Some(_), None) => {
                let why = format!(
                    "needs limit, a number from 1 to {LIVE_WINDOW_ROWS_MAX}: the first rows in an order are followed"
                );
                return Err(refuse("order", why));
            }
            (None, Some(_)) => {
                let why = "needs order: the first rows in which order?";
                return Err(refuse("limit", why.into()));
            }
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_limit_are_read_together_or_refused_by_name() {
        let window = |order: Option<&str>, limit: Option<&str>| {
            let mut wanted = Subscribe::default();
            let set = wanted.set_window(order, limit);
            set.map(|()| wanted.window.map(|spec| (spec.order.len(), spec.limit)))
                .map_err(|refusal| (refusal.field.unwrap_or_default(), refusal.message))
        };
        assert_eq!(window(None, None), Ok(None));
        assert_eq!(window(Some("a.desc,b"), Some("1000")), Ok(Some((2, 1000))));
        for (order, limit, member, says) in [
            (Some("a"), None, "order", "order: needs limit"),
            (None, Some("5"), "limit", "limit: needs order"),
            (Some("a"), Some("0"), "limit", "limit: is 0; it has to be"),
            (Some("a"), Some("1001"), "limit", "a number from 1 to 1000"),
            (Some("a"), Some("1.5"), "limit", "limit: is 1.5"),
            (Some("a"), Some("\"5\""), "limit", "limit: is \"5\""),
            (Some("a,,b"), Some("5"), "order", "order: has \"\""),
        ] {
            let (field, message) = window(order, limit).unwrap_err();
            assert_eq!(field, member);
            assert!(message.contains(says), "{message}");
        }
    }
}
