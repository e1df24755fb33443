//! Live queries: which are stale, slow or have ended; and whether one gives what its query gives.

use std::time::Duration;

use tokio::time::sleep;

use crate::config::Server;
use crate::limits::LIVE_QUERY_BUSY;
use crate::store::live_query::{Link, Outcome, QueryState};

use super::report::{Report, time};

/// Looks at all of them.
pub async fn look(report: &mut Report, server: &Server) {
    let states = async {
        let link = Link::open(server).await.map_err(|e| e.to_string())?;
        link.states().await.map_err(|e| e.to_string())
    };
    match states.await {
        Ok(states) => judge(report, &states),
        Err(why) => report.skip("queries", format!("they can't be read: {why}")),
    }
}

fn judge(report: &mut Report, states: &[QueryState]) {
    let mut is_well = true;
    for state in states {
        let name = &state.name;
        if let Some(why) = &state.ended {
            is_well = false;
            report.wrong(
                "queries",
                format!("the live query {name} has ended: {why}"),
                "its clients were told that it is not watched any more",
                format!("plank unwatch {name}, and plank watch-query anew"),
            );
        } else if let Some(why) = &state.problem {
            is_well = false;
            report.wrong(
                "queries",
                format!("the live query {name} is stale: {why}"),
                "clients see its last result until a refresh works; plank tries again",
                "correct the rows that the query does not take, or unwatch it and watch another query",
            );
        } else if state.pause_s > state.every_s {
            is_well = false;
            report.note(
                "queries",
                format!(
                    "the live query {name} takes {}, and is refreshed at most once in {} instead of {}",
                    time(state.took_s),
                    time(state.pause_s),
                    time(state.every_s)
                ),
                "a query that takes long is run less often: its refreshes take a thirtieth of the time at most",
                "an index, a scope, or fewer rows make it faster; see docs/LIVE-QUERIES.md",
            );
        }
    }
    if is_well {
        report.ok(
            "queries",
            match states.len() {
                0 => "no live query".to_owned(),
                n => format!("{n} live, and all up to date"),
            },
        );
    }
}

/// Compares the result of a query with the query, after a refresh.
pub async fn verify(report: &mut Report, server: &Server, name: &str, patience: Duration) {
    let work = async {
        let mut link = Link::open(server).await.map_err(|e| e.to_string())?;
        let begun = std::time::Instant::now();
        loop {
            let outcome = link.refresh(name, None, true).await;
            match outcome.map_err(|e| e.to_string())? {
                Outcome::Refreshed { .. } | Outcome::Clean => return Ok(()),
                Outcome::Gone => return Err("there is no such live query, or it has ended".into()),
                Outcome::Early(_) | Outcome::Busy if begun.elapsed() > patience => {
                    return Err("it is being refreshed all the time; try again".into());
                }
                Outcome::Early(wait) => sleep(wait).await,
                Outcome::Busy => sleep(LIVE_QUERY_BUSY).await,
            }
        }
    };
    match work.await {
        Ok(()) => report.ok("verify", format!("{name} is what its query gives")),
        Err::<(), String>(why) => report.wrong(
            "verify",
            format!("{name}: {why}"),
            "clients may see rows that the query does not give",
            "correct the scope: plank unwatch it, and watch it anew without a scope or with another one",
        ),
    }
}
