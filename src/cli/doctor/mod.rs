//! `plank doctor`: says what is wrong, why it matters and what to do. It changes nothing, but that `--verify` refreshes a live query.
//!
//! - [`database`]: the judgement of what the database says; no I/O.
//! - [`replica`]: the server that reads go to.
//! - [`backplane`]: the stream that many nodes follow.
//! - [`front`], [`proxy`]: a running plank through whatever stands in front of it.
//! - [`report`]: how it is said.

use std::io::Write as _;
use std::time::Duration;

use clap::Args;

use crate::app::AppError;
use crate::config::{BackplaneArgs, Config, Database, DatabaseArgs, Server};
use crate::descriptors;
use crate::limits::{CONNECTIONS_MAX, DESCRIPTORS_RESERVED};
use crate::store::connect;
use crate::store::inspect::Inspector;
use crate::store::private;

mod backplane;
mod database;
mod front;
pub(super) mod http;
mod policies;
mod proxy;
mod queries;
mod replica;
mod report;
mod rights;

use report::Report;

/// How long `--verify` waits for its turn.
const VERIFY_MAX: Duration = Duration::from_secs(60);

/// The settings of `plank doctor`.
#[derive(Args, Debug)]
#[command(
    after_help = "It changes nothing, and may be run beside a plank that serves. Give it the user and the settings of the \
    service, so that it looks at the same database:\n  \
      systemd-run --pipe --wait -p EnvironmentFile=/etc/plank/plank.env -p DynamicUser=yes -p User=plank plank doctor\n\n\
    The exit status is 1 if anything is wrong. What is only worth knowing is called a note, and leaves it at 0.\n\n\
    Examples:\n  \
      plank doctor\n  \
      plank doctor --url https://plank.example\n  \
      plank doctor --json | jq '.findings[] | select(.state == \"wrong\")'"
)]
pub struct DoctorArgs {
    #[command(flatten)]
    database: DatabaseArgs,

    #[command(flatten)]
    backplane: BackplaneArgs,

    /// A running plank as its clients reach it, https://HOST: whether a proxy in front lets WebSockets and streams through
    #[arg(long, env = "PLANK_URL", value_name = "URL")]
    url: Option<String>,

    /// A live query: refresh it, and compare its result with what its query gives now
    #[arg(long, value_name = "NAME")]
    verify: Option<String>,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Transactions that have been open for longer are reported, in seconds
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    transaction_max: u64,

    /// How many clients the server is meant to have, for the limit of file descriptors
    #[arg(long, env = "PLANK_MAX_CONNECTIONS", default_value_t = CONNECTIONS_MAX, value_name = "N")]
    max_connections: usize,
}

/// Looks at everything, and prints it.
pub fn run(args: DoctorArgs) -> Result<(), AppError> {
    super::start_logger("error");
    let config = Config::for_database(&args.database).map_err(|e| AppError(e.to_string()))?;
    let stream = args
        .backplane
        .resolve()
        .map_err(|e| AppError(e.to_string()))?;
    let address = args.url.as_deref().filter(|url| !url.trim().is_empty());
    let address = address.map(super::tail::Address::parse).transpose()?;
    let report = actix_rt::System::new().block_on(async {
        let mut report = Report::default();
        match database_of(&config) {
            Some(database) => {
                let read = config.read_database.as_ref();
                look_at_database(&mut report, &database, read, &args).await;
                look_at_queries(&mut report, &database, &args).await;
                if let Some(stream) = &stream {
                    backplane::look(&mut report, &database, stream).await;
                }
            }
            None => report.wrong(
                "connection",
                "no database is configured, and no private PostgreSQL of plank runs",
                "there is nothing to look at",
                "set PLANK_DATABASE_URL as the service has it, or start plank",
            ),
        }
        let limit = match &address {
            Some(address) => front::look(&mut report, address).await,
            None => {
                report.skip("front", "say --url https://HOST to look through the proxy");
                None
            }
        };
        files(&mut report, limit, args.max_connections);
        report
    });
    let wrongs = report.wrongs();
    let text = match args.json {
        true => report.json() + "\n",
        false => report.text(),
    };
    // Who has closed standard output still gets the exit status.
    let _ = std::io::stdout().write_all(text.as_bytes());
    match wrongs {
        0 => Ok(()),
        1 => Err(AppError("one thing is wrong".into())),
        n => Err(AppError(format!("{n} things are wrong"))),
    }
}

/// The configured one, or the private one of a plank that runs. Nothing is started for the sake of a look.
fn database_of(config: &Config) -> Option<Database> {
    config.database.clone().or_else(|| {
        let data_dir = config.data_dir.clone().or_else(private::default_data_dir)?;
        // To ask who holds the lock makes the directory for it.
        data_dir.join("pgdata").is_dir().then_some(())?;
        let running = private::running(&data_dir)?;
        Some(Database {
            requests: running.clone().into(),
            listen: running.into(),
        })
    })
}

async fn look_at_database(
    report: &mut Report,
    database: &Database,
    read: Option<&Server>,
    args: &DoctorArgs,
) {
    let mut inspector = match Inspector::open(&database.listen).await {
        Ok(inspector) => inspector,
        Err(error) => {
            return report.wrong(
                "connection",
                error.to_string(),
                "without the database plank serves nothing, and clients hear nothing",
                "see above; the same URL has to work with psql on this machine, as the user of the service",
            );
        }
    };
    report.ok("connection", format!("PostgreSQL at {}", inspector.place()));
    if let Err(why) = look(report, &mut inspector, args).await {
        report.wrong(
            "connection",
            format!("the database did not answer a question: {why}"),
            "what comes behind it was not looked at",
            "try again; if it stays, run the question in psql as the same user",
        );
    }
    if connect::place(&database.requests.config) != connect::place(&database.listen.config)
        || database.requests.config.get_dbname() != database.listen.config.get_dbname()
    {
        same(report, &inspector, database).await;
    }
    if let Some(read) = read {
        replica::look(report, &inspector, read).await;
    }
}

async fn look(
    report: &mut Report,
    inspector: &mut Inspector,
    args: &DoctorArgs,
) -> Result<(), String> {
    let server = inspector.server().await?;
    let schema = inspector.schema().await?;
    if !database::server(report, &server, schema.as_ref()) {
        return Ok(());
    }
    database::clock(report, server.clock_ahead_s, server.clock_error_s);
    database::settings(report, &server, &inspector.settings().await?);
    database::link(report, &inspector.link().await?);
    match inspector.echo().await? {
        Some(took) => report.ok(
            "doorbell",
            format!("LISTEN hears a NOTIFY after {}", report::time(took.as_secs_f64())),
        ),
        None => report.wrong(
            "doorbell",
            format!("LISTEN hears nothing through {}", inspector.place()),
            "a pooler in transaction or statement mode (PgBouncer, Odyssey, RDS Proxy) lends the session to others, who get its bells: plank refuses it",
            "point --listen-database-url (PLANK_LISTEN_DATABASE_URL) at PostgreSQL itself; requests may go on through the pooler",
        ),
    }
    let age = Duration::from_secs(args.transaction_max);
    let open = inspector.open_transactions(age).await?;
    database::transactions(report, &open, age.as_secs_f64(), server.sees_others);
    let is_usable = schema.is_some_and(|s| s.is_usable && !s.applied.is_empty());
    if !is_usable || report.is_wrong("schema") {
        report.skip("log", "there is no schema to look at");
        report.skip("tables", "there is no schema to look at");
        return Ok(());
    }
    database::log(report, &inspector.log().await?);
    database::tables(report, &inspector.tables().await?);
    match inspector.rights().await {
        Ok(facts) => rights::look(report, &facts, &server.database),
        Err(why) => report.skip("owners", format!("they can't be read: {why}")),
    }
    // A plank that is older, or whose migrations are still to run, has none of them.
    match inspector.policies().await {
        Ok(tables) => policies::look(report, &tables),
        Err(why) => report.skip("policies", format!("they can't be read: {why}")),
    }
    Ok(())
}

/// Live queries, where there is a schema that may have some.
async fn look_at_queries(report: &mut Report, database: &Database, args: &DoctorArgs) {
    if !report.was_made("tables") {
        return report.skip("queries", "there is no schema to look at");
    }
    queries::look(report, &database.listen).await;
    if let Some(name) = &args.verify {
        queries::verify(report, &database.listen, name, VERIFY_MAX).await;
    }
}

/// Whether both URLs lead to one database.
async fn same(report: &mut Report, direct: &Inspector, database: &Database) {
    let requests = match Inspector::open(&database.requests).await {
        Ok(requests) => requests,
        Err(error) => {
            return report.wrong(
                "requests",
                error.to_string(),
                "requests go through --database-url: they are answered with 503",
                "correct PLANK_DATABASE_URL, or start what listens there",
            );
        }
    };
    match (direct.identity().await, requests.identity().await) {
        (Ok(one), Ok(other)) if one != other => report.wrong(
            "requests",
            format!(
                "--database-url ({}) and --listen-database-url ({}) are different databases",
                requests.place(),
                direct.place()
            ),
            "what is written through the one is never heard of on the other",
            "correct one of them",
        ),
        (Ok(_), Ok(_)) => report.ok(
            "requests",
            format!("through {}: the same database", requests.place()),
        ),
        _ => report.skip("requests", "the server does not tell which one it is"),
    }
}

/// `server_limit` is what the running plank has, if it told.
fn files(report: &mut Report, server_limit: Option<usize>, clients: usize) {
    descriptors::raise();
    let (limit, whose) = match server_limit {
        Some(limit) => (limit, "the running plank"),
        None => (descriptors::limit(), "a plank that is started from here"),
    };
    let wanted = clients.saturating_add(DESCRIPTORS_RESERVED);
    match limit >= wanted {
        true => report.ok("files", format!("{whose} may have {limit} descriptors")),
        false => report.wrong(
            "files",
            format!("{whose} may have {limit} descriptors, enough for {} of {clients} clients", limit.saturating_sub(DESCRIPTORS_RESERVED)),
            "each client takes one: beyond the limit plank refuses clients",
            format!("raise the hard limit to {wanted} (LimitNOFILE= of the unit; ulimit -Hn in a shell), or lower --max-connections"),
        ),
    }
}
