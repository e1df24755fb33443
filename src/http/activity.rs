//! `GET /api/activity`: what `/metrics` has no labels for, because clients write it.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::actor::message::{FindHeaviest, TopicLoad};

use super::State;
use super::credentials;
use super::openapi as doc;
use super::problem::Problem;

/// What is sent, by topic.
#[derive(Serialize, ToSchema)]
pub struct Activity {
    /// How many topics there are.
    total: usize,
    /// Those that have sent the most lately, the heaviest first.
    #[schema(max_items = 30)]
    topics: Vec<Topic>,
}

/// Subscriptions that ask for the same, and what they were sent.
#[derive(Serialize, ToSchema)]
pub struct Topic {
    /// As in the messages of a WebSocket.
    #[schema(pattern = "^t[0-9]+$")]
    topic: String,
    /// As PostgreSQL quotes it.
    table: String,
    /// `rows`, `window`, `counts`
    #[schema(pattern = "^(rows|window|counts)$")]
    kind: &'static str,
    /// As the clients asked, its first 200 characters; none for all rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    filter: Option<String>,
    /// Whose policies it goes by, where people have to log in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    role: Option<String>,
    /// How many subscriptions share it.
    subscriptions: usize,
    /// Changes since it began.
    changes: u64,
    /// Bytes of its messages, each times the subscriptions that it went to, before compression.
    bytes: u64,
}

impl From<TopicLoad> for Topic {
    fn from(load: TopicLoad) -> Self {
        Self {
            topic: load.topic.to_string(),
            table: load.table,
            kind: load.kind,
            filter: load.filter,
            role: load.role.map(|role| role.to_string()),
            subscriptions: load.subscriptions,
            changes: load.changes,
            bytes: load.bytes,
        }
    }
}

/// `GET /api/activity`
///
/// # Errors
/// Those of `/metrics`, and 503 when the hub does not answer.
#[utoipa::path(
    get, path = "/api/activity", tag = "operations", operation_id = "activity",
    summary = "Which topics send the most", description = "For operators, with the same token as `/metrics`: filters are what clients have written.",
    responses(
        (
            status = 200, description = "The heaviest topics of this node.", body = Activity,
            example = json!({"total": 1, "topics": [
                {"topic": "t7", "table": "public.items", "kind": "rows", "filter": "status.eq.open", "subscriptions": 3, "changes": 20, "bytes": 9_000},
            ]}),
        ),
        doc::Malformed, doc::Unauthenticated, doc::Forbidden, doc::Away,
    ),
)]
pub async fn read(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, Problem> {
    credentials::check_operator(&state, &request).await?;
    let heaviest = state.ask(FindHeaviest).await?;
    Ok(HttpResponse::Ok().json(Activity {
        total: heaviest.total,
        topics: heaviest.topics.into_iter().map(Topic::from).collect(),
    }))
}
