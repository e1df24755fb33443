//! A plank as `plank::app` builds it, on a database of its own.

use std::net::SocketAddr;
use std::sync::Arc;

use plank::actor::hub::Hub;
use plank::app;
use plank::config::{Config, Database, ListenAddress, Rates, Retention};
use plank::health::Health;
use plank::limits::{
    BODY_BYTES_MAX, CONNECTIONS_MAX, CONNECTIONS_PER_IP_MAX, CONNECTIONS_PER_PRINCIPAL_MAX,
    KEEP_ALIVE, LIVE_QUERY_ROWS_MAX, MESSAGE_BYTES_MAX, RETENTION, RETENTION_ROWS_MAX,
};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::cluster::{Cluster, connect};
use super::proxy::PgProxy;
use super::{WsClient, until, within};

/// See the module's documentation.
pub struct TestApp {
    /// Where it listens.
    pub address: SocketAddr,
    /// A connection to its database.
    pub sql: Client,
    /// The name of its database.
    pub database: String,
    /// Who is alive.
    pub health: Arc<Health>,
    /// The hub, to take it away.
    pub hub: actix::Addr<Hub>,
    /// For HTTP.
    pub http: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    run: JoinHandle<Result<(), app::AppError>>,
}

/// The settings of a test's plank.
pub fn config(database: tokio_postgres::Config) -> Config {
    Config {
        database: Some(Database {
            requests: database.clone().into(),
            listen: database.into(),
        }),
        read_database: None,
        backplane: None,
        data_dir: None,
        listen: vec![ListenAddress::Tcp("127.0.0.1:0".parse().unwrap())],
        workers: 2,
        auth: None,
        allowed_origins: vec!["https://allowed.example".into()],
        // As the raw clients of the tests say it.
        allowed_hosts: vec!["plank.test".into(), "x".into()],
        connections_max: CONNECTIONS_MAX,
        connections_per_ip_max: CONNECTIONS_PER_IP_MAX,
        connections_per_principal_max: CONNECTIONS_PER_PRINCIPAL_MAX,
        rates: Rates::default(),
        trusted_proxies: vec![],
        limit_loopback: false,
        message_bytes_max: MESSAGE_BYTES_MAX,
        compression: true,
        stringify_wide_numbers: false,
        body_bytes_max: BODY_BYTES_MAX,
        keep_alive: KEEP_ALIVE,
        retention: Retention {
            keep: RETENTION,
            rows_max: RETENTION_ROWS_MAX,
        },
        live_query_rows_max: LIVE_QUERY_ROWS_MAX,
        doorbell: true,
        canary: None,
        demo: true,
        otlp_endpoint: None,
    }
}

impl TestApp {
    /// On a new database of the shared cluster.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// The same with other settings.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let database = Cluster::shared().database().await;
        let target = Cluster::shared().config(&database);
        let app = Self::build(target.clone(), connect(&target).await, database, change).await;
        app.ready().await;
        app
    }

    /// The same behind a proxy, which stands between it and its database; the test's own connection goes past it.
    pub async fn behind_a_proxy(change: impl FnOnce(&mut Config)) -> (PgProxy, Self) {
        let database = Cluster::shared().database().await;
        let target = Cluster::shared().config(&database);
        let proxy = PgProxy::start(&target).await;
        let through = proxy.config("postgres", &database);
        let app = Self::build(through, connect(&target).await, database, change).await;
        app.ready().await;
        (proxy, app)
    }

    /// On a database of the shared cluster that is there already.
    pub async fn on(database: &str) -> Self {
        let target = Cluster::shared().config(database);
        let sql = connect(&target).await;
        let app = Self::build(target, sql, database.into(), |_| {}).await;
        app.ready().await;
        app
    }

    /// Another node on the database of this one.
    pub async fn another_node(&self) -> Self {
        self.another_node_with(|_| {}).await
    }

    /// The same with other settings.
    pub async fn another_node_with(&self, change: impl FnOnce(&mut Config)) -> Self {
        let target = Cluster::shared().config(&self.database);
        let sql = connect(&target).await;
        let node = Self::build(target, sql, self.database.clone(), change).await;
        node.ready().await;
        node
    }

    /// On the database `plank` of a cluster of the test's own. Does not wait until it is ready.
    pub async fn start_on(cluster: &Cluster) -> Self {
        let target = cluster.config("plank");
        Self::build(
            target.clone(),
            connect(&target).await,
            "plank".into(),
            |_| {},
        )
        .await
    }

    /// On a database that is reached in another way than by the test itself. Does not wait until it is ready.
    pub async fn build(
        target: tokio_postgres::Config,
        sql: Client,
        database: String,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        // Shown for a test that fails.
        let _ = env_logger::Builder::new()
            .parse_filters("plank=debug")
            .is_test(true)
            .try_init();
        let mut config = config(target);
        change(&mut config);
        let app = within("a start", app::build(config)).await.unwrap();
        let ListenAddress::Tcp(address) = app.addresses()[0] else {
            panic!("TCP was asked for")
        };
        let (health, hub) = (app.health().clone(), app.hub().clone());
        let (stop, stopped) = oneshot::channel();
        let run = actix_rt::spawn(app.run(async {
            let _ = stopped.await;
        }));
        let http = reqwest::Client::builder()
            .timeout(super::DEADLINE)
            .build()
            .unwrap();
        Self {
            address,
            sql,
            database,
            health,
            hub,
            http,
            stop: Some(stop),
            run,
        }
    }

    /// Waits until changes are being followed.
    pub async fn ready(&self) {
        until("ready", async || self.health.is_live()).await;
    }

    /// An address.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A WebSocket; `target` is its path and query.
    pub async fn ws(&self, target: &str) -> WsClient {
        WsClient::connect(self.address, target).await
    }

    /// A WebSocket that is subscribed to a table, after `subscribed`.
    pub async fn subscribed(&self, table: &str) -> WsClient {
        let mut client = self.ws("/ws").await;
        client.expect("welcome").await;
        client.subscribe("a", table).await;
        client
    }

    /// A request; the status and the body as JSON.
    pub async fn request(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.http.request(method.parse().unwrap(), self.url(path));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// SQL that has to work.
    pub async fn execute(&self, sql: &str) {
        within(sql, self.sql.batch_execute(sql))
            .await
            .unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    }

    /// Cuts the listener's connection in the server; how many there were.
    pub async fn cut_listener(&self) -> i64 {
        let sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
            where application_name = 'plank listener' and datname = current_database()";
        self.sql.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// The value of a metric, as its line has it.
    pub async fn metric(&self, line: &str) -> f64 {
        // On a connection of its own: one that is kept may just be closed by the server, for nothing came on it for 5 s.
        let http = reqwest::Client::builder()
            .pool_max_idle_per_host(0)
            .timeout(super::DEADLINE)
            .build()
            .unwrap();
        let text = http
            .get(self.url("/metrics"))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let value = text
            .lines()
            .find_map(|l| l.strip_prefix(line)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or(0.0)
    }

    /// Waits until it ends by itself.
    pub async fn ended(mut self) -> Result<(), app::AppError> {
        within("the end", &mut self.run).await.unwrap()
    }

    /// Tells it to stop, and waits until it has.
    pub async fn stop(mut self) -> Result<(), app::AppError> {
        self.stop_it().await
    }

    /// The same; the connection to its database is still there.
    pub async fn stop_keeping_sql(mut self) -> Client {
        self.stop_it().await.unwrap();
        self.sql
    }

    async fn stop_it(&mut self) -> Result<(), app::AppError> {
        let _ = self.stop.take().unwrap().send(());
        within("a stop", &mut self.run).await.unwrap()
    }
}
