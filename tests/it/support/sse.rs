//! A client of Server-Sent Events that reads them as an EventSource does, and applies batches as PROTOCOL.md says.

use std::collections::VecDeque;

use reqwest::Response;
use serde_json::Value;

use super::app::TestApp;
use super::within;

/// An event.
#[derive(Clone, Debug, PartialEq)]
pub struct SseEvent {
    pub kind: String,
    pub data: Value,
    /// Only where it has an `id:`.
    pub id: Option<String>,
}

/// See the module's documentation.
pub struct SseClient {
    response: Response,
    text: String,
    ready: VecDeque<SseEvent>,
    /// The event whose blank line has not come: kind, data, id.
    open: (String, String, Option<String>),
    /// What an EventSource would come back with.
    pub last_id: Option<String>,
    /// The last `retry:`.
    pub retry_ms: Option<u64>,
    /// Lines that are comments.
    pub comments: Vec<String>,
}

impl SseClient {
    /// Connects; `query` is what comes behind `/api/stream?`.
    pub async fn connect(app: &TestApp, query: &str) -> Self {
        Self::resume(app, query, None).await
    }

    /// The same, as an EventSource that was connected before.
    pub async fn resume(app: &TestApp, query: &str, last_id: Option<&str>) -> Self {
        let response = Self::request(app, query, last_id).await;
        let (status, headers) = (response.status(), response.headers().clone());
        assert_eq!(status, 200, "{}", response.text().await.unwrap());
        assert_eq!(headers["content-type"], "text/event-stream");
        assert_eq!(headers["cache-control"], "no-store, no-transform");
        assert_eq!(headers["x-accel-buffering"], "no");
        Self {
            response,
            text: String::new(),
            ready: VecDeque::new(),
            open: Default::default(),
            last_id: last_id.map(str::to_owned),
            retry_ms: None,
            comments: Vec::new(),
        }
    }

    /// Only the request. Without a deadline for the body, which has no end.
    pub async fn request(app: &TestApp, query: &str, last_id: Option<&str>) -> Response {
        let client = reqwest::Client::new();
        let mut request = client.get(app.url(&format!("/api/stream?{query}")));
        if let Some(last_id) = last_id {
            request = request.header("Last-Event-ID", last_id);
        }
        within("the head of a stream", request.send())
            .await
            .unwrap()
    }

    /// Takes what is there apart, line by line.
    fn parse(&mut self) {
        while let Some(end) = self.text.find('\n') {
            let line: String = self.text.drain(..=end).collect();
            let line = line.trim_end_matches('\n');
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" if line.is_empty() => {
                    let (kind, data, id) = std::mem::take(&mut self.open);
                    if !data.is_empty() {
                        let data = serde_json::from_str(&data).unwrap();
                        self.ready.push_back(SseEvent { kind, data, id });
                    }
                }
                "" => self.comments.push(value.to_owned()),
                "event" => self.open.0 = value.to_owned(),
                "data" => self.open.1 = value.to_owned(),
                "id" => self.open.2 = Some(value.to_owned()),
                "retry" => self.retry_ms = Some(value.parse().unwrap()),
                other => panic!("an unknown field: {other}"),
            }
        }
    }

    /// The next event; none when the stream has ended. One that is not whole is thrown away.
    pub async fn next(&mut self) -> Option<SseEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                assert_eq!(event.data["type"], event.kind.as_str());
                if event.id.is_some() {
                    self.last_id.clone_from(&event.id);
                    assert_eq!(event.data["cursor"], event.id.as_deref().unwrap());
                }
                return Some(event);
            }
            match within("an event", self.response.chunk()).await {
                Ok(Some(bytes)) => self.text.push_str(std::str::from_utf8(&bytes).unwrap()),
                Ok(None) | Err(_) => return None,
            }
            self.parse();
        }
    }

    /// The next event, which has to be of this type. Heartbeats are skipped unless asked for.
    pub async fn expect(&mut self, kind: &str) -> SseEvent {
        loop {
            let event = self.next().await;
            let event = event.unwrap_or_else(|| panic!("the end, and no {kind}"));
            if event.kind == kind {
                return event;
            }
            assert_eq!(event.kind, "heartbeat", "{kind} expected, got {event:?}");
        }
    }

    /// Waits until it is live.
    pub async fn live(&mut self) -> SseEvent {
        self.expect("welcome").await;
        self.expect("subscribed").await
    }

    /// The changes of the next whole batch.
    pub async fn batch(&mut self) -> Vec<Value> {
        let mut changes = Vec::new();
        loop {
            let event = self.expect("changes").await;
            changes.extend(event.data["changes"].as_array().unwrap().iter().cloned());
            let is_last = event.data["last"] == true;
            assert_eq!(
                event.id.is_some(),
                is_last,
                "an id where a client may resume"
            );
            if is_last {
                return changes;
            }
        }
    }

    /// Changes until there are `count`, batch by batch.
    pub async fn changes(&mut self, count: usize) -> Vec<Value> {
        let mut changes = Vec::new();
        while changes.len() < count {
            changes.extend(self.batch().await);
        }
        assert_eq!(changes.len(), count, "{changes:?}");
        changes
    }

    /// Reads on to the end.
    pub async fn ended(&mut self) {
        while self.next().await.is_some() {}
    }
}
