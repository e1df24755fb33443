//! The traces of the batch that is under way: one span for each trace and table.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::feed::catalog::Oid;
use crate::feed::{Catalog, LogRow};
use crate::limits::SPANS_WAITING_MAX;
use crate::metrics::Metrics;
use crate::trace::{Span, Spans, TraceParent};

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Traces {
    spans: Spans,
    open: HashMap<(TraceParent, Oid), Begun>,
}

#[derive(Debug)]
struct Begun {
    changes: u64,
    xid: u64,
    at_us: i64,
}

impl Traces {
    /// For spans that go there.
    pub fn new(spans: Spans) -> Self {
        let open = HashMap::new();
        Self { spans, open }
    }

    /// Takes note of rows of the batch.
    pub fn note(&mut self, rows: &[LogRow], metrics: &Metrics) {
        if !self.spans.are_wanted() {
            return;
        }
        for row in rows.iter().filter(|row| row.op.change().is_some()) {
            let Some(parent) = row.trace.filter(|trace| trace.is_sampled()) else {
                continue;
            };
            let place = (parent, row.rel);
            if self.open.len() >= SPANS_WAITING_MAX && !self.open.contains_key(&place) {
                metrics.limit("spans");
                continue;
            }
            let begun = self.open.entry(place).or_insert(Begun {
                changes: 0,
                xid: row.xid,
                at_us: row.at_us,
            });
            begun.changes += 1;
            begun.at_us = begun.at_us.min(row.at_us);
        }
    }

    /// The shards have all of the batch.
    pub fn end(&mut self, catalog: &Catalog, metrics: &Metrics) {
        if self.open.is_empty() {
            return;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let end_us = now.map_or(0, |now| i64::try_from(now.as_micros()).unwrap_or(i64::MAX));
        for ((parent, rel), begun) in self.open.drain() {
            // A table that is not watched any more may still have rows in the log.
            let Some(table) = catalog.get(rel) else {
                continue;
            };
            let span = Span {
                parent,
                table: table.quoted.clone(),
                changes: begun.changes,
                xid: begun.xid,
                begin_us: begun.at_us,
                end_us,
            };
            if !self.spans.send(span) {
                metrics.limit("spans");
            }
        }
    }

    /// The batch is void.
    pub fn clear(&mut self) {
        self.open.clear();
    }
}
