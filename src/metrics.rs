//! What `/metrics` shows (DESIGN, section 7). A value of a label comes from a fixed list, never from a client.

use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::resource::{Resource, getrlimit};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::canary::Canary;

type Seconds = Gauge<f64, AtomicU64>;

/// `{transport}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct TransportLabel {
    /// `websocket`, `sse`, `long-poll`
    pub transport: &'static str,
}

/// `{table,op}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ChangeLabels {
    /// As PostgreSQL quotes it.
    pub table: String,
    /// `insert`, `update`, `delete`, `truncate`
    pub op: &'static str,
}

/// `{code}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct CloseLabel {
    /// The label in the registry of close codes.
    pub code: &'static str,
}

/// `{limit}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct LimitLabel {
    /// The name of the bound that was reached.
    pub limit: &'static str,
}

/// `{kind}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct PlaceLabel {
    /// `snapshot`, `page`, `replay`, `request`, `window`, `read`
    pub kind: &'static str,
}

/// `{result}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ReplicaLabel {
    /// `replica`, or why the primary served it: `behind`, `ahead`, `conflict`, `unfit`, `away`, `resting`, `failed`
    pub result: &'static str,
}

/// `{result}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct SpanLabel {
    /// `sent`, `lost`
    pub result: &'static str,
}

/// `{stage}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct StageLabel {
    /// `before`, `after`
    pub stage: &'static str,
}

/// `{result}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ResumeLabel {
    /// `window`, `log`, `reset`
    pub result: &'static str,
}

/// `{result}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct AppendLabel {
    /// `done`, `refused`, `full`, `failed`
    pub result: &'static str,
}

/// `{query}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct QueryLabel {
    /// The name of a live query.
    pub query: String,
}

/// `{query,kind}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct RefreshLabels {
    /// The name of a live query.
    pub query: String,
    /// `whole`, `scoped`
    pub kind: &'static str,
}

/// `{route,method,status}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct RequestLabels {
    /// The pattern of the route, `/api/items/{id}`, or `other`.
    pub route: String,
    /// `GET`, ..., or `other`.
    pub method: &'static str,
    /// The status.
    pub status: u16,
}

/// `{route}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct RouteLabel {
    /// See [`RequestLabels::route`].
    pub route: String,
}

/// Makes the histograms of a family, which all have the same buckets.
#[derive(Clone, Debug)]
pub struct RequestBuckets;

impl MetricConstructor<Histogram> for RequestBuckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new([
            0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
        ])
    }
}

/// All metrics of one [`crate::app::App`].
#[derive(Debug)]
#[allow(missing_docs)] // Each one's help text is in `new`.
pub struct Metrics {
    registry: Registry,
    pub sessions: Family<TransportLabel, Gauge>,
    pub subscriptions: Gauge,
    pub topics: Gauge,
    pub changes: Family<ChangeLabels, Counter>,
    pub deliveries: Counter,
    pub delivery_seconds: Histogram,
    pub listener_up: Gauge,
    pub listener_reconnects: Counter,
    pub listener_lag_seconds: Seconds,
    pub bell_missed: Counter,
    pub bell_armed: Gauge,
    pub backplane_on: Gauge,
    pub backplane_reader: Gauge,
    pub backplane_followed: Gauge,
    pub backplane_held_bytes: Gauge,
    pub backplane_left: Counter,
    pub backplane_appended_bytes: Counter,
    backplane_appends: Family<AppendLabel, Counter>,
    pub resumes: Family<ResumeLabel, Counter>,
    pub catching_up: Gauge,
    pub window_bytes: Gauge,
    pub derived: Gauge,
    pub derived_bytes: Gauge,
    pub derived_reads: Counter,
    pub shared_read_bytes: Gauge,
    pub shared_reads: Counter,
    pub replica_reads: Family<ReplicaLabel, Counter>,
    pub replica_wait_seconds: Histogram,
    pub replica_up: Gauge,
    pub log_rows: Gauge,
    pub log_bytes: Gauge,
    pub backlog_bytes: Gauge,
    pub slow_sessions: Gauge,
    pub lag_bytes: Histogram,
    pub fallen_behind: Counter,
    deflate_bytes: Family<StageLabel, Counter>,
    pub closes: Family<CloseLabel, Counter>,
    pub limits: Family<LimitLabel, Counter>,
    pub spans: Family<SpanLabel, Counter>,
    pub requests: Family<RequestLabels, Counter>,
    pub request_seconds: Family<RouteLabel, Histogram, RequestBuckets>,
    /// How long reads of tables and of the log have waited for a place, and those that got none.
    pub place_wait_seconds: Family<PlaceLabel, Histogram, RequestBuckets>,
    pub live_queries: Gauge,
    pub query_refreshes: Family<RefreshLabels, Counter>,
    pub query_refresh_seconds: Family<QueryLabel, Histogram, RequestBuckets>,
    pub query_failures: Family<QueryLabel, Counter>,
    pub query_stale: Family<QueryLabel, Gauge>,
    pub query_interval_seconds: Family<QueryLabel, Seconds>,
    /// What has to come back through the log.
    pub canary: Canary,
    canary_seconds: Seconds,
    process_resident_memory: Gauge,
    process_open_fds: Gauge,
    process_max_fds: Gauge,
    process_start_seconds: Gauge<f64, AtomicU64>,
    process_cpu_seconds: Counter<f64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut m = Self {
            registry: Registry::default(),
            sessions: Family::default(),
            subscriptions: Gauge::default(),
            topics: Gauge::default(),
            changes: Family::default(),
            deliveries: Counter::default(),
            delivery_seconds: Histogram::new([
                0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
                2.5, 10.0,
            ]),
            listener_up: Gauge::default(),
            listener_reconnects: Counter::default(),
            listener_lag_seconds: Seconds::default(),
            bell_missed: Counter::default(),
            bell_armed: Gauge::default(),
            backplane_on: Gauge::default(),
            backplane_reader: Gauge::default(),
            backplane_followed: Gauge::default(),
            backplane_held_bytes: Gauge::default(),
            backplane_left: Counter::default(),
            backplane_appended_bytes: Counter::default(),
            backplane_appends: Family::default(),
            resumes: Family::default(),
            catching_up: Gauge::default(),
            window_bytes: Gauge::default(),
            derived: Gauge::default(),
            derived_bytes: Gauge::default(),
            derived_reads: Counter::default(),
            shared_read_bytes: Gauge::default(),
            shared_reads: Counter::default(),
            replica_reads: Family::default(),
            replica_wait_seconds: Histogram::new([
                0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
            ]),
            replica_up: Gauge::default(),
            log_rows: Gauge::default(),
            log_bytes: Gauge::default(),
            backlog_bytes: Gauge::default(),
            slow_sessions: Gauge::default(),
            lag_bytes: Histogram::new(
                [16, 64, 256, 1024, 4096, 16_384, 65_536].map(|kib| f64::from(kib * 1024)),
            ),
            fallen_behind: Counter::default(),
            deflate_bytes: Family::default(),
            closes: Family::default(),
            limits: Family::default(),
            spans: Family::default(),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(RequestBuckets),
            place_wait_seconds: Family::new_with_constructor(RequestBuckets),
            live_queries: Gauge::default(),
            query_refreshes: Family::default(),
            query_refresh_seconds: Family::new_with_constructor(RequestBuckets),
            query_failures: Family::default(),
            query_stale: Family::default(),
            query_interval_seconds: Family::default(),
            canary: Canary::default(),
            canary_seconds: Seconds::default(),
            process_resident_memory: Gauge::default(),
            process_open_fds: Gauge::default(),
            process_max_fds: Gauge::default(),
            process_start_seconds: Gauge::default(),
            process_cpu_seconds: Counter::default(),
        };
        let r = &mut m.registry;
        r.register(
            "plank_sessions",
            "Clients being served, by transport",
            m.sessions.clone(),
        );
        r.register(
            "plank_subscriptions",
            "Subscriptions of all sessions",
            m.subscriptions.clone(),
        );
        r.register(
            "plank_topics",
            "Distinct subscriptions that share their frames",
            m.topics.clone(),
        );
        r.register(
            "plank_changes",
            "Changes read from the log",
            m.changes.clone(),
        );
        r.register(
            "plank_deliveries",
            "Changes handed to sockets, each socket counted",
            m.deliveries.clone(),
        );
        r.register(
            "plank_delivery_seconds",
            "From a transaction's time (its start) to the moment its changes were handed to the sockets",
            m.delivery_seconds.clone(),
        );
        r.register(
            "plank_listener_up",
            "1 while the log is being followed",
            m.listener_up.clone(),
        );
        r.register(
            "plank_listener_reconnects",
            "Times the listener came back",
            m.listener_reconnects.clone(),
        );
        r.register(
            "plank_listener_lag_seconds",
            "Age of the newest change when it was read from the log",
            m.listener_lag_seconds.clone(),
        );
        r.register(
            "plank_bell_missed",
            "Changes found by the slow safety read although no bell had rung; has to stay 0",
            m.bell_missed.clone(),
        );
        r.register(
            "plank_bell_armed",
            "1 while this listener sleeps, or is about to, and writers ring; 0 while it polls",
            m.bell_armed.clone(),
        );
        r.register(
            "plank_backplane_on",
            "1 if this node has a backplane",
            m.backplane_on.clone(),
        );
        r.register(
            "plank_backplane_reader",
            "1 while this node reads the log for the backplane",
            m.backplane_reader.clone(),
        );
        r.register(
            "plank_backplane_followed",
            "1 while this node follows the stream of the backplane, 0 while it reads the log itself",
            m.backplane_followed.clone(),
        );
        r.register(
            "plank_backplane_held_bytes",
            "Bytes of the parts of a message of the backplane that is not whole yet",
            m.backplane_held_bytes.clone(),
        );
        r.register(
            "plank_backplane_left",
            "Times this node left the stream of the backplane and read the log itself",
            m.backplane_left.clone(),
        );
        r.register(
            "plank_backplane_appended_bytes",
            "Bytes that this node has appended to the stream of the backplane",
            m.backplane_appended_bytes.clone(),
        );
        r.register(
            "plank_backplane_appends",
            "Messages that this node appended to the stream, or could not: another reader was faster, the stream is full, NATS is away",
            m.backplane_appends.clone(),
        );
        r.register(
            "plank_resumes",
            "Clients that came back with a cursor: served from memory, from the log, or told to begin anew",
            m.resumes.clone(),
        );
        r.register(
            "plank_catching_up",
            "Subscriptions that load a snapshot or the log, and are not live yet",
            m.catching_up.clone(),
        );
        r.register(
            "plank_window_bytes",
            "Recent changes kept in memory for clients that come back",
            m.window_bytes.clone(),
        );
        r.register(
            "plank_live_windows",
            "Windows and counts that are followed, each once for all that ask for the same",
            m.derived.clone(),
        );
        r.register(
            "plank_live_window_bytes",
            "Bytes of the rows that are held for them",
            m.derived_bytes.clone(),
        );
        r.register(
            "plank_live_window_reads",
            "Windows and counts that were read from the database, because changes did not tell what they are",
            m.derived_reads.clone(),
        );
        r.register(
            "plank_shared_read_bytes",
            "Changes read from the log that are kept in memory for others that come back from nearby",
            m.shared_read_bytes.clone(),
        );
        r.register(
            "plank_shared_reads",
            "Times a client found in memory what another one had read from the log",
            m.shared_reads.clone(),
        );
        r.register(
            "plank_replica_reads",
            "Reads that the replica served, or that it could not serve, by why; the primary served those",
            m.replica_reads.clone(),
        );
        r.register(
            "plank_replica_wait_seconds",
            "How long reads have waited until the replica had replayed what they need",
            m.replica_wait_seconds.clone(),
        );
        r.register(
            "plank_replica_up",
            "1 while reads go to the replica, 0 while it rests or there is none",
            m.replica_up.clone(),
        );
        r.register(
            "plank_log_rows",
            "Rows of the change log, estimated",
            m.log_rows.clone(),
        );
        r.register(
            "plank_log_bytes",
            "Size of the change log with its indexes",
            m.log_bytes.clone(),
        );
        r.register(
            "plank_backlog_bytes",
            "Frames kept for sockets that lag behind",
            m.backlog_bytes.clone(),
        );
        r.register(
            "plank_slow_sessions",
            "Sockets that lag behind",
            m.slow_sessions.clone(),
        );
        r.register(
            "plank_session_lag_bytes",
            "How far each socket that lags behind is behind, looked at once a second",
            m.lag_bytes.clone(),
        );
        r.register(
            "plank_sessions_fallen_behind",
            "Times a socket lagged behind all frames that are kept, and went on from the log",
            m.fallen_behind.clone(),
        );
        r.register(
            "plank_deflate_bytes",
            "Frames that were compressed, before and after, each counted once however many clients it went to",
            m.deflate_bytes.clone(),
        );
        r.register(
            "plank_closes",
            "Sockets closed by the server or the client, by close code",
            m.closes.clone(),
        );
        r.register(
            "plank_limits",
            "Times a bound was reached, by its name",
            m.limits.clone(),
        );
        r.register(
            "plank_http_requests",
            "Requests, by route pattern",
            m.requests.clone(),
        );
        r.register(
            "plank_http_request_seconds",
            "Time to the response",
            m.request_seconds.clone(),
        );
        r.register(
            "plank_place_wait_seconds",
            "Time that reads of tables and of the log have waited for a place, by kind",
            m.place_wait_seconds.clone(),
        );
        r.register(
            "plank_live_queries",
            "Live queries that are followed",
            m.live_queries.clone(),
        );
        r.register(
            "plank_query_refreshes",
            "Refreshes of a live query by this node, of all its rows or of those in its scope",
            m.query_refreshes.clone(),
        );
        r.register(
            "plank_query_refresh_seconds",
            "Time that a refresh of a live query took",
            m.query_refresh_seconds.clone(),
        );
        r.register(
            "plank_query_failures",
            "Refreshes of a live query that have failed; its last result stays, and is stale",
            m.query_failures.clone(),
        );
        r.register(
            "plank_query_stale",
            "1 while the last refresh of a live query has failed",
            m.query_stale.clone(),
        );
        r.register(
            "plank_query_interval_seconds",
            "Least time between two refreshes of a live query: what was asked for, or more where a refresh takes long",
            m.query_interval_seconds.clone(),
        );
        r.register(
            "plank_spans",
            "Spans of --otlp-endpoint, by what became of them",
            m.spans.clone(),
        );
        r.register(
            "plank_canary_seconds",
            "Time that a row which plank writes itself took to come back through the log, or has not come back for",
            m.canary_seconds.clone(),
        );
        r.register(
            "process_resident_memory_bytes",
            "Resident memory",
            m.process_resident_memory.clone(),
        );
        r.register(
            "process_open_fds",
            "Open file descriptors",
            m.process_open_fds.clone(),
        );
        r.register(
            "process_max_fds",
            "File descriptors that the process may have",
            m.process_max_fds.clone(),
        );
        r.register(
            "process_start_time_seconds",
            "When the process started, in seconds of Unix time",
            m.process_start_seconds.clone(),
        );
        m.process_start_seconds.set(*STARTED_S);
        r.register(
            "process_cpu_seconds",
            "User and system time so far",
            m.process_cpu_seconds.clone(),
        );
        m
    }
}

/// The first metrics are made when the process starts; `/proc`, which knows it better, is closed to a service (ProcSubset=).
static STARTED_S: LazyLock<f64> = LazyLock::new(|| {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
});

impl Metrics {
    /// Counts a bound that was reached.
    pub fn limit(&self, limit: &'static str) {
        self.limits.get_or_create(&LimitLabel { limit }).inc();
    }

    /// Counts an append to the stream of the backplane.
    pub fn appended(&self, result: &'static str) {
        let label = AppendLabel { result };
        self.backplane_appends.get_or_create(&label).inc();
    }

    /// A collector has been sent spans, or has not taken them.
    pub fn spans(&self, count: u64, are_taken: bool) {
        let result = if are_taken { "sent" } else { "lost" };
        self.spans
            .get_or_create(&SpanLabel { result })
            .inc_by(count);
    }

    /// There is no such live query any more.
    pub fn forget_query(&self, query: &str) {
        let query = query.to_owned();
        for kind in ["whole", "scoped"] {
            let query = query.clone();
            self.query_refreshes.remove(&RefreshLabels { query, kind });
        }
        let label = QueryLabel { query };
        self.query_refresh_seconds.remove(&label);
        self.query_failures.remove(&label);
        self.query_stale.remove(&label);
        self.query_interval_seconds.remove(&label);
    }

    /// Counts a frame that was compressed, with its bytes before and after.
    pub fn deflated(&self, before: usize, after: usize) {
        for (stage, bytes) in [("before", before), ("after", after)] {
            let counter = self.deflate_bytes.get_or_create(&StageLabel { stage });
            counter.inc_by(bytes as u64);
        }
    }

    /// Counts a client that came back with a cursor.
    pub fn resumed(&self, result: &'static str) {
        self.resumes.get_or_create(&ResumeLabel { result }).inc();
    }

    /// The text that Prometheus reads (OpenMetrics).
    pub fn render(&self) -> String {
        self.read_process();
        self.canary_seconds.set(self.canary.age().as_secs_f64());
        let mut text = String::new();
        // Writing into a String can't fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// Linux only; elsewhere the gauges stay 0.
    fn read_process(&self) {
        if let Ok(stat) = std::fs::read_to_string("/proc/self/statm")
            && let Some(pages) = stat.split(' ').nth(1).and_then(|n| n.parse::<i64>().ok())
        {
            self.process_resident_memory.set(pages * 4096);
        }
        if let Ok(dir) = std::fs::read_dir("/proc/self/fd") {
            self.process_open_fds.set(dir.count() as i64);
        }
        if let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NOFILE) {
            self.process_max_fds
                .set(i64::try_from(soft).unwrap_or(i64::MAX));
        }
        if let Ok(stat) = std::fs::read_to_string("/proc/self/stat")
            && let Some((_, rest)) = stat.rsplit_once(") ")
        {
            // Fields 14 and 15, utime and stime, in ticks of 1/100 s (proc(5)); `rest` begins with field 3.
            let ticks: u64 = rest
                .split(' ')
                .skip(11)
                .take(2)
                .filter_map(|n| n.parse::<u64>().ok())
                .sum();
            self.process_cpu_seconds
                .inner()
                .store((ticks as f64 / 100.0).to_bits(), Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_the_names_of_the_contract() {
        let metrics = Metrics::default();
        metrics
            .changes
            .get_or_create(&ChangeLabels {
                table: "public.\"a\nb\"".into(),
                op: "insert",
            })
            .inc();
        metrics.limit("sessions");
        let text = metrics.render();
        for name in [
            "plank_changes_total{table=",
            "plank_limits_total{limit=\"sessions\"} 1",
            "process_resident_memory_bytes ",
            "process_start_time_seconds ",
        ] {
            assert!(text.contains(name), "{name} is missing in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
