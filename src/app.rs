//! What starts in which order, and how it ends.
//!
//! Up: the addresses are bound first, so that a mistake there shows at once; then the database, the hub, the listener,
//! and the workers. Down: no new connections, a close frame for every WebSocket, the requests that are under way, the
//! pool, the private PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use actix_server::ServerHandle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{interval, sleep, timeout};

use crate::actor::admission::permit::{Bounds, Permits};
use crate::actor::admission::rates::Rates;
use crate::actor::hub::Hub;
use crate::actor::listener::{self, Listener};
use crate::actor::message::{Drain, Stop};
use crate::actor::poll_request::PollRequest;
use crate::actor::refresh_request::RefreshRequest;
use crate::actor::refresher;
use crate::auth::{Keys, Tokens};
use crate::config::{self, Config, Database, ListenAddress, Retention};
use crate::descriptors;
use crate::feed::Catalog;
use crate::health::Health;
use crate::http;
use crate::http::State;
use crate::http::host::Hosts;
use crate::http::peer::Rules;
use crate::http::server::{self, Bound};
use crate::limits::{
    ACTOR_SILENCE_MAX, DRAIN_MAX, FOLLOW_INTERVAL, OTLP_LAST_MAX, PRUNE_INTERVAL_MIN, START_MAX,
};
use crate::metrics::Metrics;
use crate::store::private::{self, PrivatePostgres};
use crate::store::{
    ConnectError, History, Pool, StoreError, connect, demo, live_query, migrate, rest, retention,
};
use crate::trace::Spans;

mod canary;
mod https;
mod jwks;
mod otlp;
mod own_postgres;
mod revoked;

pub use jwks::read as read_jwks;
use own_postgres::OwnPostgres;

/// Why plank could not start, or had to end. The text is for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct AppError(pub String);

/// A plank that runs.
pub struct App {
    addresses: Vec<ListenAddress>,
    server: ServerHandle,
    /// Resolves when all workers have ended.
    workers: JoinHandle<std::io::Result<()>>,
    hub: Addr<Hub>,
    /// A supervisor ends with the last address of its actor.
    listener: Addr<Listener>,
    pool: Pool,
    history: History,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    fatal: watch::Receiver<Option<String>>,
    housekeeping: JoinHandle<()>,
    /// Ends when the hub has ended and the last spans have been sent; none without a collector.
    exporting: Option<JoinHandle<()>>,
    own_postgres: Option<OwnPostgres>,
}

/// The database to use: the configured one, or a private PostgreSQL that is started for it.
///
/// # Errors
/// If that can't be started.
pub async fn database(config: &Config) -> Result<(Database, Option<PrivatePostgres>), AppError> {
    if let Some(database) = &config.database {
        return Ok((database.clone(), None));
    }
    let data_dir = config.data_dir.clone().or_else(private::default_data_dir);
    let data_dir = data_dir.ok_or_else(|| {
        AppError("no place for the private PostgreSQL: neither HOME nor XDG_DATA_HOME is set; give --data-dir".into())
    })?;
    let postgres = PrivatePostgres::start(&data_dir)
        .await
        .map_err(|e| AppError(e.to_string()))?;
    let database = Database {
        requests: postgres.config().into(),
        listen: postgres.config().into(),
    };
    Ok((database, Some(postgres)))
}

/// The same for any other subcommand: it makes no private PostgreSQL, but uses the one of a plank that runs.
///
/// # Errors
/// If there is none, and no database is configured.
pub fn database_beside(config: &Config) -> Result<Database, AppError> {
    if let Some(database) = &config.database {
        return Ok(database.clone());
    }
    let data_dir = config.data_dir.clone().or_else(private::default_data_dir);
    let running = data_dir.as_ref().and_then(|dir| private::running(dir));
    let running = running.ok_or_else(|| {
        let place = data_dir.map_or_else(
            || "neither HOME nor XDG_DATA_HOME is set".to_owned(),
            |dir| format!("no plank runs one in {}", dir.display()),
        );
        AppError(format!(
            "which database? There is no private PostgreSQL ({place}); give --database-url, set PLANK_DATABASE_URL, or start \
             `plank serve` first"
        ))
    })?;
    Ok(Database {
        requests: running.clone().into(),
        listen: running.into(),
    })
}

/// Connects once, checks the server and brings the schema up to date: the mistakes that waiting does not mend show now.
///
/// # Errors
/// See [`ConnectError`].
pub async fn prepare(database: &Database) -> Result<Vec<String>, ConnectError> {
    prepare_for(database, false).await
}

/// The same; `is_demo`: with the table of the demo.
///
/// # Errors
/// See [`ConnectError`].
pub async fn prepare_for(database: &Database, is_demo: bool) -> Result<Vec<String>, ConnectError> {
    let server = connect::harden(database.listen.clone(), "plank migrate");
    let (mut client, connection) = connect::connect(&server).await?;
    let config = &server.config;
    let driver = actix_rt::spawn(connection);
    let result = async {
        connect::settle(&client, config).await?;
        connect::check(&client, config).await?;
        let applied = migrate::run(&mut client, &server).await?;
        if is_demo {
            demo::install(&client, config).await?;
        }
        Ok(applied)
    };
    let result = result.await;
    drop(client);
    // Until the server has seen the end of the session.
    let _ = timeout(Duration::from_secs(1), driver).await;
    result
}

/// Starts everything. Needs a running actix `System`.
///
/// # Errors
/// What only the operator can mend. A database that is away is waited for, and is no error.
pub async fn build(config: Config) -> Result<App, AppError> {
    // Boxed: a large future, in everybody who starts one.
    Box::pin(build_on(config, Vec::new())).await
}

/// The same on sockets that are bound already, if there are any, instead of the addresses of the configuration.
///
/// # Errors
/// See [`build`].
pub async fn build_on(
    config: Config,
    mut bound: Vec<(ListenAddress, Bound)>,
) -> Result<App, AppError> {
    let jwks_url = config.auth.as_ref().and_then(|auth| auth.jwks_url.clone());
    let auth = config.auth.clone().map(auth).transpose()?;
    let is_bound = !bound.is_empty();
    for address in config.listen.iter().filter(|_| !is_bound) {
        bound.push((address.clone(), server::bind(address).map_err(AppError)?));
    }
    let addresses: Vec<ListenAddress> = bound
        .iter()
        .map(|(asked, bound)| bound.address(asked))
        .collect();
    let (database, postgres) = database(&config).await?;
    // A migration that another node runs, or a long one of our own, does not keep the health routes waiting: the
    // listener tries again, and waits as long as it takes.
    let prepared = timeout(START_MAX, prepare_for(&database, config.demo)).await;
    match prepared.unwrap_or_else(|_| {
        Err(ConnectError::Away(
            "it takes long to prepare the database".into(),
        ))
    }) {
        Ok(_) => {}
        Err(ConnectError::Fatal(why) | ConnectError::Data(why) | ConnectError::Broken(why)) => {
            if let Some(postgres) = postgres {
                let _ = postgres.stop().await;
            }
            return Err(AppError(why));
        }
        Err(ConnectError::Away(why)) => {
            log::warn!("database away at start, plank waits for it reason=\"{why}\"")
        }
    }

    let (metrics, health) = (Arc::new(Metrics::default()), Arc::new(Health::default()));
    let (give_up, fatal) = watch::channel(None);
    let own_postgres = postgres.map(OwnPostgres::watch);
    // Without the doorbell nothing tells that there is no pooler.
    let is_direct = config.doorbell && database.requests.config == database.listen.config;
    let pool =
        Pool::new(&database.requests, is_direct, &metrics).map_err(|e| AppError(e.to_string()))?;
    let history = History::new(&database.listen, &metrics)
        .and_then(|history| history.with_replica(config.read_database.as_ref(), &metrics))
        .map_err(AppError)?;
    let pool = pool.with_replica_of(&history, &metrics);
    let pool = pool.map_err(|e| AppError(e.to_string()))?;
    let poll_request = Arc::<PollRequest>::default();
    let refresh_request = Arc::<RefreshRequest>::default();
    let refreshing = refresher::run(
        database.listen.clone(),
        refresh_request.clone(),
        metrics.clone(),
        health.clone(),
    );
    let told = refresh_request.clone();
    let catalog = Catalog::stringifying(config.stringify_wide_numbers);
    let (spans, exporting) = match config.otlp_endpoint {
        Some(endpoint) => {
            let (spans, waiting) = Spans::channel();
            let export = otlp::export(endpoint, waiting, metrics.clone());
            (spans, Some(actix_rt::spawn(export)))
        }
        None => (Spans::default(), None),
    };
    let hub = Hub::new(
        catalog,
        metrics.clone(),
        health.clone(),
        poll_request.clone(),
        history.clone(),
        spans,
    )
    .start();
    let (for_hub, for_metrics, for_health) = (hub.clone(), metrics.clone(), health.clone());
    let settings = listener::Settings {
        database: database.listen,
        doorbell: config.doorbell,
        history: history.clone(),
        demo: config.demo,
        backplane: config.backplane.clone().map(Arc::new),
        pool: pool.clone(),
    };
    metrics
        .backplane_on
        .set(settings.backplane.is_some().into());
    let publishing = listener::publish::run(settings.clone(), metrics.clone(), health.clone());
    let listener = Supervisor::start(move |_| {
        Listener::new(
            settings,
            for_hub,
            poll_request,
            told,
            for_metrics,
            for_health,
            give_up,
        )
    });

    let keeping = keep_house(
        pool.clone(),
        (config.retention, config.live_query_rows_max),
        metrics.clone(),
        health.clone(),
    );
    let following = follow_tables(pool.clone(), health.clone());
    let beating = canary::beat(pool.clone(), config.canary, metrics.clone());
    let tokens = auth.as_ref().map(|auth| auth.tokens.clone());
    let keys = jwks::follow(tokens.clone(), jwks_url);
    let revoking = revoked::follow(pool.clone(), tokens, health.clone());
    let housekeeping = actix_rt::spawn(async {
        tokio::join!(
            keeping, following, beating, keys, revoking, refreshing, publishing
        )
        .0
    });

    let bounds = Bounds {
        connections_max: config.connections_max,
        per_address_max: config.connections_per_ip_max,
        per_principal_max: config.connections_per_principal_max,
        sockets_max: descriptors::clients_max(),
        keep_alive: config.keep_alive,
    };
    let state = State {
        pool: pool.clone(),
        history: history.clone(),
        hub: hub.clone(),
        refresh_request,
        health: health.clone(),
        metrics: metrics.clone(),
        auth,
        hosts: Hosts::new(config.auth.is_some(), &addresses, config.allowed_hosts),
        allowed_origins: config.allowed_origins.into(),
        places: Permits::new(bounds, health.clone(), metrics.clone()),
        peers: Rules {
            trusted: config.trusted_proxies.into(),
            limit_loopback: config.limit_loopback,
        },
        rates: Arc::new(Rates::new(config.rates, metrics.clone())),
        message_bytes_max: config.message_bytes_max,
        compression: config.compression,
        stringifies: config.stringify_wide_numbers,
        demo: config.demo,
        body_bytes_max: config.body_bytes_max,
        documents: Arc::default(),
    };
    let sockets = bound.into_iter().map(|(_, bound)| bound).collect();
    let server = server::serve(sockets, config.workers, &state, &hub)
        .map_err(|e| AppError(format!("can't listen: {e}")))?;
    let (server, workers) = (server.handle(), actix_rt::spawn(server));
    Ok(App {
        addresses,
        server,
        workers,
        hub,
        listener,
        pool,
        history,
        health,
        metrics,
        fatal,
        housekeeping,
        exporting,
        own_postgres,
    })
}

/// Reads the keys: a mistake there shows before anything starts.
fn auth(config: config::Auth) -> Result<http::Auth, AppError> {
    let has_secret = config.secret_file.is_some();
    let place = config.jwks_url.map(|url| url.shown());
    let keys = Keys::load(config.secret_file, config.jwks_file, place);
    let keys = keys.map_err(|e| AppError(e.to_string()))?;
    Ok(http::Auth {
        tokens: Arc::new(Tokens::new(keys, config.audience, config.issuer)),
        metrics_role: config.metrics_role.into(),
        metrics_on_loopback: config.metrics_on_loopback,
        login_url: config.login_url.map(|url| url.as_str().into()),
        has_secret,
    })
}

/// Prunes the log now and then, while the database is there.
async fn keep_house(
    pool: Pool,
    (retention, query_rows_max): (Retention, i64),
    metrics: Arc<Metrics>,
    health: Arc<Health>,
) {
    let (mut is_configured, mut was_closed) = (false, false);
    loop {
        if !health.keeps_house() {
            // A restored database has the settings of its backup.
            is_configured = false;
            sleep(PRUNE_INTERVAL_MIN).await;
            continue;
        }
        let work = async {
            if !is_configured {
                retention::configure(&pool, retention).await?;
                live_query::configure(&pool, query_rows_max).await?;
            }
            let is_closed = retention::reopen(&pool).await?;
            rest::keys::prune(&pool).await?;
            Ok::<_, StoreError>((is_closed, retention::prune(&pool).await?))
        };
        match work.await {
            Ok((is_closed, size)) => {
                is_configured = true;
                metrics.log_rows.set(size.rows);
                metrics.log_bytes.set(size.bytes);
                if is_closed && !was_closed {
                    log::warn!("log was full while no plank was there, clients have to begin anew");
                }
                was_closed = is_closed;
                if is_closed {
                    sleep(PRUNE_INTERVAL_MIN).await;
                    continue;
                }
            }
            Err(error) => log::warn!("log not pruned reason=\"{error}\""),
        }
        sleep(retention::interval(retention)).await;
    }
}

/// Follows what becomes of the watched tables themselves.
async fn follow_tables(pool: Pool, health: Arc<Health>) {
    loop {
        sleep(FOLLOW_INTERVAL).await;
        if !health.keeps_house() {
            continue;
        }
        let work = async { retention::follow_tables(&pool).await };
        if let Err(error) = work.await {
            log::warn!("tables not followed reason=\"{error}\"");
        }
    }
}

impl App {
    /// Where it listens, with the ports that were chosen.
    pub fn addresses(&self) -> &[ListenAddress] {
        &self.addresses
    }

    /// Who is alive.
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// The hub, for a program that embeds plank and checks that it lives.
    pub fn hub(&self) -> &Addr<Hub> {
        &self.hub
    }

    /// What is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Runs until `shutdown`, then drains within [`DRAIN_MAX`].
    ///
    /// # Errors
    /// Why it had to end before: the database will never let it in, or an actor is dead.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), AppError> {
        let result = tokio::select! {
            () = shutdown => Ok(()),
            why = self.given_up() => Err(AppError(why)),
        };
        log::info!("plank stops sessions={}", self.health.sessions());
        self.drain().await;
        result
    }

    /// Resolves when there is no sense in going on.
    async fn given_up(&mut self) -> String {
        let mut look = interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                changed = self.fatal.changed() => {
                    if let Some(why) = self.fatal.borrow_and_update().clone() {
                        return why;
                    }
                    if changed.is_err() {
                        return "the listener is gone".into();
                    }
                }
                _ = look.tick() => {
                    if let Some(part) = self.health.silent(ACTOR_SILENCE_MAX) {
                        return format!("the {} does not answer any more; see the log above", part.as_str());
                    }
                    if !self.hub.connected() || !self.listener.connected() {
                        return "the hub or the listener is gone; see the log above".into();
                    }
                }
            }
        }
    }

    async fn drain(self) {
        self.listener.do_send(Drain);
        // No new connections. The workers go on: stopping them now would cut the sockets before their close frames.
        self.server.pause().await;
        let leave = async {
            let drained = async {
                let mut look = interval(Duration::from_millis(10));
                while self.health.sessions() > 0 {
                    look.tick().await;
                }
            };
            if timeout(DRAIN_MAX, drained).await.is_err() {
                log::warn!(
                    "clients did not leave in time, cut off sessions={}",
                    self.health.sessions()
                );
            }
            let stopped = async {
                self.server.stop(true).await;
                self.workers.await
            };
            if timeout(DRAIN_MAX, stopped).await.is_err() {
                log::warn!("requests did not end in time, cut off");
            }
        };
        // A session that joins in the last moment is told as well: the hub knows all shards, and asks again.
        let tell = async {
            let mut again = interval(Duration::from_millis(100));
            loop {
                again.tick().await;
                self.hub.do_send(Drain);
            }
        };
        tokio::select! {
            () = leave => {}
            () = tell => {}
        }
        self.hub.do_send(Stop);
        self.housekeeping.abort();
        if let Some(exporting) = self.exporting
            && timeout(OTLP_LAST_MAX, exporting).await.is_err()
        {
            log::warn!("the last spans were not taken in time");
        }
        self.pool.close();
        self.history.close();
        if let Some(postgres) = self.own_postgres {
            postgres.stop().await;
        }
    }
}
