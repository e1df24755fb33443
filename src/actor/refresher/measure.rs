//! What is counted of refreshes, and what the log says of them.

use std::time::Duration;

use crate::metrics::{QueryLabel, RefreshLabels};
use crate::store::live_query::{Outcome, RefreshError};

use super::Refresher;
use super::work::End;

impl Refresher {
    /// Counts one that has ended.
    pub(super) fn count(&self, name: &str, end: &End, took: Duration) {
        let query = name.to_owned();
        match end {
            End::Done(Outcome::Refreshed {
                is_whole, changed, ..
            }) => {
                let kind = if *is_whole { "whole" } else { "scoped" };
                let labels = RefreshLabels {
                    query: query.clone(),
                    kind,
                };
                self.metrics.query_refreshes.get_or_create(&labels).inc();
                let label = QueryLabel { query };
                self.metrics
                    .query_refresh_seconds
                    .get_or_create(&label)
                    .observe(took.as_secs_f64());
                log::debug!(
                    "live query refreshed name={name} kind={kind} rows={changed} ms={}",
                    took.as_millis()
                );
            }
            End::Failed(RefreshError::Query { reason, limit }, delay) => {
                self.metrics
                    .query_failures
                    .get_or_create(&QueryLabel { query })
                    .inc();
                if let Some(limit) = limit {
                    self.metrics.limit(limit);
                }
                log::warn!(
                    "live query not refreshed, its result is stale name={name} again_in_ms={} reason={reason:?}",
                    delay.as_millis()
                );
            }
            End::Failed(RefreshError::Away(why), _) => {
                log::debug!("live query not refreshed name={name} reason={why:?}");
            }
            End::Done(_) => {}
        }
    }
}
