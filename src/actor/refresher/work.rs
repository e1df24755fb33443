//! What is done over a connection: one refresh, a refresh that clients wait for, a look at which queries there are.

use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use crate::actor::refresh_request::{Fresh, Unseen};
use crate::config::Server;
use crate::limits::{LIVE_QUERY_BUSY, RECEIPT_WAIT_MAX};
use crate::store::live_query::{Link, LiveQuery, Outcome, RefreshError};

/// Whether a refresh in part is compared with a whole one: in a build for development.
const VERIFIES: bool = cfg!(debug_assertions);

/// A query, and the first transaction that may be news to it.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) first: Option<u64>,
    pub(super) is_scoped: bool,
}

/// How a refresh has ended.
#[derive(Debug)]
pub(super) enum End {
    Done(Outcome),
    /// It is tried again after this time.
    Failed(RefreshError, Duration),
}

/// What has been done.
pub(super) enum Done {
    /// Which queries there are.
    Looked(Result<Vec<LiveQuery>, RefreshError>),
    /// One was refreshed.
    Refreshed(String, End),
    /// One was refreshed for those that wait, after these that it reads.
    Asked(String, Vec<(String, End, Duration)>, Fresh),
}

async fn open(server: &Server, kept: Option<Link>) -> Result<Link, RefreshError> {
    match kept.filter(|link| !link.is_closed()) {
        Some(link) => Ok(link),
        None => Link::open(server)
            .await
            .map_err(|e| RefreshError::Away(e.to_string())),
    }
}

/// Refreshes a query. When the link is lost it is taken.
async fn refresh(link: &mut Option<Link>, server: &Server, wanted: &Wanted) -> End {
    let mut own = match open(server, link.take()).await {
        Ok(own) => own,
        Err(error) => return End::Failed(error, crate::limits::LIVE_QUERY_AWAY),
    };
    let verifies = VERIFIES && wanted.is_scoped;
    match own.refresh(&wanted.name, wanted.first, verifies).await {
        Ok(outcome) => {
            *link = Some(own);
            End::Done(outcome)
        }
        Err(error @ RefreshError::Away(_)) => End::Failed(error, crate::limits::LIVE_QUERY_AWAY),
        Err(error) => {
            let noted = own.failed(&wanted.name, &error.to_string()).await;
            let delay = noted.unwrap_or(crate::limits::LIVE_QUERY_AWAY);
            *link = Some(own);
            End::Failed(error, delay)
        }
    }
}

/// One refresh.
pub(super) async fn one(
    server: Server,
    mut link: Option<Link>,
    wanted: Wanted,
) -> (Done, Option<Link>) {
    let end = refresh(&mut link, &server, &wanted).await;
    (Done::Refreshed(wanted.name, end), link)
}

/// Looks at which queries there are, after those that can't be followed any more have been ended.
pub(super) async fn look(server: Server, link: Option<Link>) -> (Done, Option<Link>) {
    let work = async {
        let own = open(&server, link).await?;
        for (name, reason) in own.follow().await? {
            log::warn!("live query ended name={name} reason={reason:?}");
        }
        let list = own.list().await?;
        Ok((list, own))
    };
    match work.await {
        Ok((list, own)) => (Done::Looked(Ok(list)), Some(own)),
        Err(error) => (Done::Looked(Err(error)), None),
    }
}

/// Refreshes the last of these queries until it has seen everything that was committed before, and before it those that it reads.
pub(super) async fn ask(
    server: Server,
    mut link: Option<Link>,
    chain: Vec<Wanted>,
) -> (Done, Option<Link>) {
    let name = chain.last().map(|w| w.name.clone()).unwrap_or_default();
    let mut ends = Vec::new();
    let work = async {
        for wanted in &chain {
            settle(&mut link, &server, wanted, &mut ends).await?;
        }
        let own = open(&server, link.take())
            .await
            .map_err(|e| ("busy", e.to_string()))?;
        let cursor = own.cursor().await.map_err(|e| ("busy", e.to_string()))?;
        link = Some(own);
        Ok(Some(cursor))
    };
    let fresh = timeout(RECEIPT_WAIT_MAX, work).await;
    let late = || Err(("busy", "the query was not refreshed in time".into()));
    let fresh = fresh.unwrap_or_else(|_| late());
    (Done::Asked(name, ends, fresh), link)
}

async fn settle(
    link: &mut Option<Link>,
    server: &Server,
    wanted: &Wanted,
    ends: &mut Vec<(String, End, Duration)>,
) -> Result<(), Unseen> {
    loop {
        let begun = Instant::now();
        let end = refresh(link, server, wanted).await;
        let next = match &end {
            End::Done(Outcome::Refreshed { .. } | Outcome::Clean) => Ok(None),
            End::Done(Outcome::Early(wait)) => Ok(Some(*wait)),
            End::Done(Outcome::Busy) => Ok(Some(LIVE_QUERY_BUSY)),
            End::Done(Outcome::Gone) => {
                Err(("unknown_table", "the live query has ended".to_owned()))
            }
            End::Failed(RefreshError::Away(_), delay) => Ok(Some(*delay)),
            End::Failed(RefreshError::Query { .. }, _) => Err((
                "busy",
                "the query fails, and its result is stale".to_owned(),
            )),
        };
        ends.push((wanted.name.clone(), end, begun.elapsed()));
        match next? {
            None => return Ok(()),
            Some(wait) => sleep(wait).await,
        }
    }
}
