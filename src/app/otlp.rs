//! Sends the spans of `--otlp-endpoint` to a collector: OTLP over HTTP, in its JSON form (docs/decisions/0117).

use std::sync::Arc;

use actix_rt::task::spawn_blocking;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::sleep;
use ureq::Agent;

use crate::config::OtlpEndpoint;
use crate::limits::{OTLP_ANSWER_MAX, SPANS_GATHER, SPANS_PER_REQUEST_MAX};
use crate::metrics::Metrics;
use crate::throttle::Throttle;
use crate::trace::Span;

use super::https;

/// Sends until no more spans come. What a collector does not take is lost, and counted: nothing waits for it.
pub(super) async fn export(
    endpoint: OtlpEndpoint,
    mut spans: mpsc::Receiver<Span>,
    metrics: Arc<Metrics>,
) {
    let agent = https::agent(OTLP_ANSWER_MAX);
    let throttle = Throttle::default();
    let mut some = Vec::new();
    loop {
        some.clear();
        if spans.recv_many(&mut some, SPANS_PER_REQUEST_MAX).await == 0 {
            return;
        }
        // The next ones of a burst go with them.
        if some.len() < SPANS_PER_REQUEST_MAX && !spans.is_closed() {
            sleep(SPANS_GATHER).await;
            while some.len() < SPANS_PER_REQUEST_MAX
                && let Ok(span) = spans.try_recv()
            {
                some.push(span);
            }
        }
        let (body, url, agent) = (request(&some).to_string(), endpoint.traces(), agent.clone());
        let sent = spawn_blocking(move || post(&agent, &url, &body)).await;
        let sent = sent.unwrap_or_else(|_| Err("sending failed".into()));
        metrics.spans(some.len() as u64, sent.is_ok());
        if let Err(why) = sent
            && let Some(kept_back) = throttle.pass()
        {
            let place = endpoint.shown();
            log::warn!(
                "spans are lost endpoint={place} spans={} reason=\"{why}\" lines-kept-back={kept_back}",
                some.len()
            );
        }
    }
}

fn post(agent: &Agent, url: &str, body: &str) -> Result<(), String> {
    let answer = agent.post(url).content_type("application/json").send(body);
    let answer = answer.map_err(|error| error.to_string())?;
    match answer.status().as_u16() {
        200..=299 => Ok(()),
        status => Err(format!("the answer is {status}")),
    }
}

/// `ExportTraceServiceRequest`.
fn request(spans: &[Span]) -> Value {
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let version = env!("CARGO_PKG_VERSION");
    let spans: Vec<Value> = spans.iter().map(span).collect();
    json!({"resourceSpans": [{
        "resource": {"attributes": [text("service.name", "plank"), text("service.version", version)]},
        "scopeSpans": [{"scope": {"name": "plank", "version": version}, "spans": spans}],
    }]})
}

fn span(span: &Span) -> Value {
    // Consumer: it has taken what another program has produced.
    const CONSUMER: u8 = 5;
    let number =
        |key: &str, value: u64| json!({"key": key, "value": {"intValue": value.to_string()}});
    let nanos = |us: i64| (i128::from(us) * 1_000).max(0).to_string();
    json!({
        "traceId": format!("{:032x}", span.parent.trace_id),
        "spanId": format!("{:016x}", fastrand::u64(1..)),
        "parentSpanId": format!("{:016x}", span.parent.parent_id),
        "name": format!("deliver {}", span.table),
        "kind": CONSUMER,
        // The clock of the database may be ahead of this one.
        "startTimeUnixNano": nanos(span.begin_us.min(span.end_us)),
        "endTimeUnixNano": nanos(span.end_us),
        "attributes": [
            {"key": "db.system.name", "value": {"stringValue": "postgresql"}},
            {"key": "db.collection.name", "value": {"stringValue": span.table}},
            number("plank.changes", span.changes),
            number("plank.xid", span.xid),
        ],
    })
}
