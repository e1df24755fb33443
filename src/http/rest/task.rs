//! Carries out what a request asks for, once: with an `Idempotency-Key`
//! (draft-ietf-httpapi-idempotency-key-header) the answer is kept, and the same request again gets it and writes nothing.

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};

use sha2::{Digest as _, Sha256};

use crate::auth::Viewer;
use crate::limits::IDEMPOTENCY_KEY_BYTES_MAX;
use crate::store::rest::keys::{self, Kept, Key, Known};
use crate::store::rest::run::{self, Transaction};
use crate::store::{Doubt, Pool, StoreError};

use super::super::problem::Problem;
use super::super::{State, prefix};
use super::batch::Batch;
use super::one::One;
use super::{in_time, refusal};

/// What a request asks for.
#[derive(Debug)]
pub enum Task {
    /// One statement.
    One(Box<One>),
    /// Several, all or nothing.
    Batch(Batch),
}

impl Task {
    /// Of one statement.
    pub fn of(one: One) -> Self {
        Self::One(Box::new(one))
    }

    /// Carries it out.
    async fn run(&self, pool: &Pool, place: &str) -> Result<Kept, Problem> {
        match self {
            Self::One(one) if one.is_nothing() => one.answer(place, &One::nothing()),
            Self::One(one) => {
                let written = in_time(Box::pin(run::write(pool, &one.write, one.is_dry))).await?;
                one.answer(place, &written.map_err(|error| one.refused(error))?)
            }
            Self::Batch(batch) => {
                let done = run::write_all(pool, &batch.writes, batch.is_dry, |w| batch.check(w));
                match Box::pin(done).await? {
                    Ok(written) => batch.answer(&written),
                    Err(run::Refused::Check(problem)) => Err(problem),
                    Err(run::Refused::Database(index, error)) => Err(batch.refused(index, error)),
                }
            }
        }
    }

    /// Carries it out in a transaction; the answer, or the refusal, after which the transaction has to be taken back.
    async fn run_in(
        &self,
        pool: &Pool,
        transaction: &Transaction<'_>,
        doubt: &Doubt,
        place: &str,
    ) -> Result<Result<Kept, Kept>, StoreError> {
        let (answer, is_dry) = match self {
            Self::One(one) if one.is_nothing() => (one.answer(place, &One::nothing()), false),
            Self::One(one) => {
                let written =
                    run::write_in(pool, transaction, std::slice::from_ref(&one.write), doubt)
                        .await?;
                let answer = match written {
                    Ok(written) => one.answer(place, written.first().unwrap_or(&One::nothing())),
                    Err((_, error)) => Err(one.refused(error)),
                };
                (answer, one.is_dry)
            }
            Self::Batch(batch) => {
                let answer = match run::write_in(pool, transaction, &batch.writes, doubt).await? {
                    Ok(written) => match batch.check(&written) {
                        Some(problem) => Err(problem),
                        None => batch.answer(&written),
                    },
                    Err((index, error)) => Err(batch.refused(index, error)),
                };
                (answer, batch.is_dry)
            }
        };
        Ok(match answer {
            Ok(kept) if is_dry => Err(kept),
            Ok(kept) => Ok(kept),
            Err(problem) => Err(kept_of(problem)),
        })
    }
}

/// Serves a request whose `body` has been read. `asking` makes of it what is to be done.
///
/// # Errors
/// 409 while the same request is under way, 422 if the key was for another one; those of the request itself.
pub async fn serve(
    state: &State,
    request: &HttpRequest,
    viewer: &Viewer,
    body: &[u8],
    asking: impl Future<Output = Result<Task, Problem>>,
) -> Result<HttpResponse, Problem> {
    let place = prefix::path(state, request, request.path());
    let pool = state.pool_for(request, viewer);
    let Some(key) = key(request, viewer, body)? else {
        let task = asking.await?;
        return Ok(respond(&Box::pin(task.run(&pool, &place)).await?));
    };
    let known = keys::look(&pool, &key).await?;
    if known != Known::New {
        return answer(known);
    }
    let known = match asking.await {
        Ok(task) => {
            run::know_own(&pool).await;
            let work = async |transaction: &Transaction<'_>, doubt: &Doubt| {
                task.run_in(&pool, transaction, doubt, &place).await
            };
            Box::pin(keys::once(&pool, &key, work)).await?
        }
        Err(problem) if is_final(problem.status()) => {
            let refused = kept_of(problem);
            let work = async |_: &Transaction<'_>, _: &Doubt| Ok(Err(refused.clone()));
            Box::pin(keys::once(&pool, &key, work)).await?
        }
        Err(problem) => return Err(problem),
    };
    answer(known)
}

/// Whether the same request would be refused again for what it says.
fn is_final(status: StatusCode) -> bool {
    status.is_client_error() && !matches!(status.as_u16(), 401 | 408 | 429)
}

fn answer(known: Known) -> Result<HttpResponse, Problem> {
    match known {
        Known::Kept(kept) => Ok(respond(&kept)),
        Known::Other => Err(key_reused()),
        Known::Busy | Known::New => {
            let detail = "Idempotency-Key: the request with this key is still under way; ask again in a moment";
            let problem = Problem::new(StatusCode::CONFLICT, "key-in-use", detail);
            Err(problem.with_code("PGRST409"))
        }
    }
}

/// 422.
pub fn key_reused() -> Problem {
    let detail = "Idempotency-Key: this key was for another request; use a new one for each";
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    Problem::new(status, "key-reused", detail).with_code("PGRST422")
}

/// The key of a request, if it has one.
fn key(request: &HttpRequest, viewer: &Viewer, body: &[u8]) -> Result<Option<Key>, Problem> {
    const NAME: &str = "Idempotency-Key";
    let mut values = request.headers().get_all("idempotency-key");
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().map(|text| text.trim().trim_matches('"'));
    let key = text.unwrap_or_default().to_owned();
    if values.next().is_some() || key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
        let detail =
            format!("has to be one text of 1 to {IDEMPOTENCY_KEY_BYTES_MAX} printable characters");
        return Err(Problem::malformed(NAME, detail));
    }
    let header = |name: &str| {
        request
            .headers()
            .get(name)
            .map_or(&b""[..], |v| v.as_bytes())
    };
    let mut hash = Sha256::new();
    let target = request.uri().to_string();
    for part in [
        request.method().as_str().as_bytes(),
        target.as_bytes(),
        header("content-profile"),
        header("if-match"),
        body,
    ] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let principal = viewer.principal();
    let principal = principal.map(|p| serde_json::json!([p.sub, p.role]).to_string());
    Ok(Some(Key {
        principal: principal.unwrap_or_default(),
        key,
        request: hash.finalize().to_vec(),
    }))
}

/// A problem as an answer that can be kept.
fn kept_of(problem: Problem) -> Kept {
    let problem = refusal::dress(problem);
    let own = problem.headers().iter();
    let own = own.filter_map(|(name, value)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    });
    let kind = (
        "content-type".to_owned(),
        "application/problem+json".to_owned(),
    );
    Kept {
        status: problem.status().as_u16(),
        headers: own.chain([kind]).collect(),
        body: Some(problem.json()),
    }
}

/// An answer as it leaves.
fn respond(kept: &Kept) -> HttpResponse {
    let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = HttpResponse::build(status);
    for (name, value) in &kept.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
            answer.insert_header((name, value));
        }
    }
    match &kept.body {
        Some(body) => answer.body(body.clone()),
        None => answer.finish(),
    }
}
