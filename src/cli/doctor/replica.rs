//! The replica that reads go to.

use crate::config::Server;
use crate::store::inspect::{Inspector, ReplicaFacts};

use super::report::{Report, size};

/// From here on it is spoken of. Reads wait for less than a second.
const BEHIND_BYTES: f64 = 1_048_576.0;

/// Whether plank can read there what is in the database of `primary`.
pub async fn look(report: &mut Report, primary: &Inspector, server: &Server) {
    let replica = match Inspector::open(server).await {
        Ok(replica) => replica,
        Err(error) => {
            return report.wrong(
                "replica",
                error.to_string(),
                "the primary serves all reads, and plank tries the replica again now and then",
                "start it, or correct PLANK_READ_DATABASE_URL",
            );
        }
    };
    let place = replica.place();
    let facts = match primary.primary_place().await {
        Ok(primary) => replica.replica(&primary).await,
        Err(why) => {
            return report.skip(
                "replica",
                format!("the primary does not tell where it is: {why}"),
            );
        }
    };
    match facts {
        Ok(facts) => judge(report, &place, &facts),
        Err(why) => report.wrong(
            "replica",
            format!("the replica at {place} did not answer a question: {why}"),
            "the primary serves all reads",
            "let the same role in as on the primary",
        ),
    }
}

fn judge(report: &mut Report, place: &str, facts: &ReplicaFacts) {
    const UNUSED: &str = "plank does not use it: the primary serves all reads";
    let wrong = |report: &mut Report, what: &str, todo: &str| {
        report.wrong(
            "replica",
            format!("the server at {place} {what}"),
            UNUSED,
            todo,
        );
    };
    if !facts.is_standby {
        let todo = "point --read-database-url (PLANK_READ_DATABASE_URL) at a streaming replica, or leave it out";
        return wrong(
            report,
            "is no replica: it was promoted, or never was one",
            todo,
        );
    }
    if !facts.has_schema {
        return wrong(
            report,
            "has no schema of plank in this database",
            "name the same database as in --database-url, and let the replica catch up",
        );
    }
    if !facts.is_same {
        return wrong(
            report,
            "is a replica of another database",
            "correct PLANK_READ_DATABASE_URL",
        );
    }
    if !facts.is_same_timeline {
        return report.note(
            "replica",
            format!(
                "the replica at {place} has not written to disk yet that it follows the new primary"
            ),
            "after a failover plank does not use it until then, for it could have gone another way",
            "wait for its next restartpoint (checkpoint_timeout), or run checkpoint there",
        );
    }
    let behind = size(facts.behind_bytes.max(0.0) as i64);
    match facts.behind_bytes >= BEHIND_BYTES {
        true => report.note(
            "replica",
            format!("the replica at {place} is {behind} behind"),
            "reads wait up to 500 ms for it, and then the primary serves them",
            "look at pg_stat_replication of the primary, and at max_standby_streaming_delay of the replica",
        ),
        false => report.ok("replica", format!("at {place}, {behind} behind")),
    }
}
