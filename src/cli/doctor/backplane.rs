//! The stream of the backplane: whether NATS can be reached, whether the settings of the stream are good, and whether a reader writes to it.

use std::sync::Arc;

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use tokio::time::sleep;

use crate::backplane::link::LogStream;
use crate::backplane::{Link, LinkError};
use crate::config::{Backplane, Database};
use crate::limits::{BACKPLANE_AGE, BACKPLANE_BEAT, BACKPLANE_SILENCE_MAX};
use crate::metrics::Metrics;
use crate::store::{Pool, log};

use super::report::Report;

const NATS: &str = "backplane";
const STREAM: &str = "stream";
const READER: &str = "reader";

/// Looks at it, and adds what there is to say.
pub(super) async fn look(report: &mut Report, database: &Database, config: &Backplane) {
    let link = match Link::connect(config, "doctor").await {
        Ok(link) => link,
        Err(error) => {
            return report.wrong(
                NATS,
                error.to_string(),
                "each node reads the log by itself, which costs the database",
                "start NATS with JetStream, or correct --backplane, --backplane-credentials, --backplane-ca",
            );
        }
    };
    match may_double(&link.version()) {
        true => report.wrong(
            NATS,
            format!("NATS is version {}", link.version()),
            "2.9.15 to 2.9.20 may accept two appends where one has to be refused",
            "use another version",
        ),
        false => report.ok(NATS, format!("NATS {} answers", link.version())),
    }
    let pool = Pool::new(&database.requests, false, &Arc::new(Metrics::default()));
    let epoch = match pool {
        Ok(pool) => log::epoch(&pool).await,
        Err(error) => Err(error),
    };
    let Ok(epoch) = epoch else {
        return report.skip(STREAM, "which stream it is, the database has to say");
    };
    let stream = match link.find(&epoch).await {
        Ok(Some(stream)) => stream,
        Ok(None) => {
            return report.note(
                STREAM,
                "there is no stream for this log",
                "a node with --role auto or reader makes it when it begins to read",
                "start one, if none runs",
            );
        }
        Err(error) => {
            return report.wrong(
                STREAM,
                error.to_string(),
                "nodes can't find it",
                "see what NATS says",
            );
        }
    };
    match follow(report, &stream).await {
        Ok(()) => {}
        Err(error) => report.wrong(
            STREAM,
            error.to_string(),
            "nodes can't follow it",
            "see what NATS says",
        ),
    }
}

async fn follow(report: &mut Report, stream: &LogStream) -> Result<(), LinkError> {
    let info = stream.info().await?;
    let is_cluster = info
        .cluster
        .as_ref()
        .is_some_and(|c| !c.replicas.is_empty() || c.name.is_some());
    let troubles = troubles(&info.config, is_cluster);
    if troubles.is_empty() {
        report.ok(
            STREAM,
            format!(
                "{} has {} messages, {} bytes, {} replicas",
                stream.name(),
                info.state.messages,
                info.state.bytes,
                info.config.num_replicas
            ),
        );
    }
    for Trouble {
        is_wrong,
        what,
        why,
        todo,
    } in troubles
    {
        let what = format!("{} {what}", stream.name());
        match is_wrong {
            true => report.wrong(STREAM, what, why, todo),
            false => report.note(STREAM, what, why, todo),
        }
    }
    let before = stream.tail().await?.sequence;
    for _ in 0..=BACKPLANE_SILENCE_MAX.as_secs() {
        sleep(BACKPLANE_BEAT).await;
        if stream.tail().await?.sequence > before {
            report.ok(READER, "a reader writes to the stream");
            return Ok(());
        }
    }
    report.wrong(
        READER,
        "nothing has come on the stream for 6 s",
        "no node reads the log for the others: each reads it by itself",
        "start a node with --role auto or reader; its log says why it does not read",
    );
    Ok(())
}

struct Trouble {
    is_wrong: bool,
    what: String,
    why: &'static str,
    todo: &'static str,
}

/// What of the settings does not fit.
fn troubles(config: &Config, is_cluster: bool) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    let mut add = |is_wrong, is_so: bool, what: String, why, todo| {
        if is_so {
            troubles.push(Trouble {
                is_wrong,
                what,
                why,
                todo,
            });
        }
    };
    add(
        true,
        config.discard != DiscardPolicy::Old,
        "discards new messages when it is full".into(),
        "the reader can't append then, and each node reads the log by itself",
        "nats stream edit --discard=old",
    );
    add(
        true,
        config.retention != RetentionPolicy::Limits,
        "keeps messages only until they were read".into(),
        "a node that starts, or was away, finds nothing",
        "delete the stream: the reader makes it anew, and no client is reset",
    );
    add(
        true,
        config.subjects.len() != 1,
        format!("has {} subjects", config.subjects.len()),
        "what comes on others is between the batches, and each refuses an append of the reader",
        "nats stream edit --subjects with the first of them only",
    );
    add(
        false,
        !config.max_age.is_zero() && config.max_age < BACKPLANE_AGE / 3,
        format!("keeps messages for {} s only", config.max_age.as_secs()),
        "clients that come to a node which has just started are served from the log",
        "nats stream edit --max-age=15m",
    );
    add(
        false,
        config.storage != StorageType::File,
        "is kept in memory".into(),
        "it is empty after a restart of NATS: each node reads the log meanwhile",
        "delete the stream: the reader makes it anew, in files",
    );
    add(
        false,
        is_cluster && config.num_replicas < 3,
        format!("has {} replicas in a cluster", config.num_replicas),
        "each node reads the log while the server that has it is away",
        "nats stream edit --replicas=3",
    );
    troubles
}

/// Whether a server of this version may accept two appends that both expect the same message to be the last one.
fn may_double(version: &str) -> bool {
    let mut numbers = version.split(['.', '-']).map(str::parse::<u32>);
    let first: [Option<u32>; 3] = std::array::from_fn(|_| numbers.next().and_then(Result::ok));
    matches!(first, [Some(2), Some(9), Some(15..=20)])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn good() -> Config {
        Config {
            subjects: vec!["plank_log.x".into()],
            max_age: Duration::from_secs(900),
            num_replicas: 3,
            ..Config::default()
        }
    }

    #[test]
    fn settings_of_a_stream_that_do_not_fit_are_told() {
        let cases: [(&str, &str, Config); 7] = [
            ("good", "", good()),
            (
                "discard",
                "wrong",
                Config {
                    discard: DiscardPolicy::New,
                    ..good()
                },
            ),
            (
                "retention",
                "wrong",
                Config {
                    retention: RetentionPolicy::WorkQueue,
                    ..good()
                },
            ),
            (
                "subjects",
                "wrong",
                Config {
                    subjects: vec!["a".into(), "b".into()],
                    ..good()
                },
            ),
            (
                "age",
                "note",
                Config {
                    max_age: Duration::from_secs(60),
                    ..good()
                },
            ),
            (
                "memory",
                "note",
                Config {
                    storage: StorageType::Memory,
                    ..good()
                },
            ),
            (
                "replicas",
                "note",
                Config {
                    num_replicas: 1,
                    ..good()
                },
            ),
        ];
        for (name, expected, config) in cases {
            let said: Vec<_> = troubles(&config, true)
                .iter()
                .map(|trouble| if trouble.is_wrong { "wrong" } else { "note" })
                .collect();
            assert_eq!(said.join(","), expected, "{name}");
        }
        let alone = Config {
            num_replicas: 1,
            ..good()
        };
        assert!(
            troubles(&alone, false).is_empty(),
            "one server has one replica"
        );
    }

    #[test]
    fn versions_that_may_accept_two_appends_are_known() {
        for (version, expected) in [
            ("2.9.10", false),
            ("2.9.15", true),
            ("2.9.20", true),
            ("2.9.21", false),
            ("2.10.15", false),
            ("2.9.17-beta.1", true),
            ("", false),
        ] {
            assert_eq!(may_double(version), expected, "{version}");
        }
    }
}
