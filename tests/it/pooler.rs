//! What stands between plank and its database and must not: a pooler that lends sessions out, a standby.

use tokio::process::{Child, Command};
use tokio_postgres::config::Host;

use crate::support::cluster::connect;
use crate::support::program::Dir;
use crate::support::tool::{free_port, listening};
use crate::support::{Cluster, TestApp, until};

/// A pgbouncer in transaction mode; ends with this value.
pub struct Pooler {
    _process: Child,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    _dir: Dir,
}

impl Pooler {
    /// None when it is not installed, which is a failure in CI.
    pub async fn start(target: &tokio_postgres::Config) -> Option<Self> {
        let [Host::Unix(socket)] = target.get_hosts() else {
            panic!("a Unix socket")
        };
        let port = free_port();
        let dir = Dir::new(&format!("pooler-{port}"));
        let config = format!(
            "[databases]\n* = host={} port=5432 user=postgres\n[pgbouncer]\npool_mode = transaction\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\nlogfile = {dir}/log\nignore_startup_parameters = extra_float_digits\n",
            socket.display(),
            dir = dir.path(),
        );
        let file = format!("{}/pgbouncer.ini", dir.path());
        std::fs::write(&file, config).unwrap();
        // It refuses to run as root, and so does PostgreSQL.
        let is_root = nix::unistd::getuid().is_root();
        if is_root {
            std::os::unix::fs::chown(dir.path(), user("postgres"), None).unwrap();
        }
        let mut command = Command::new("pgbouncer");
        if is_root {
            command.args(["-u", "postgres"]);
        }
        command.arg(&file);
        let process = listening(command, port, "a pooler in the way").await?;
        Some(Self {
            _process: process,
            port,
            _dir: dir,
        })
    }

    fn config(&self, database: &str) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config
            .host("127.0.0.1")
            .port(self.port)
            .user("postgres")
            .dbname(database);
        config
    }
}

fn user(name: &str) -> Option<u32> {
    nix::unistd::User::from_name(name)
        .unwrap()
        .map(|user| user.uid.as_raw())
}

#[actix_web::test]
async fn a_pooler_in_transaction_mode_is_found_and_said_plainly() {
    let database = Cluster::shared().database().await;
    let target = Cluster::shared().config(&database);
    let Some(pooler) = Pooler::start(&target).await else {
        return;
    };
    let through = pooler.config(&database);
    let app = TestApp::build(
        through.clone(),
        connect(&target).await,
        database.clone(),
        |_| {},
    )
    .await;
    // As the log says it; /readyz tells nothing of the inside.
    until("it is said", async || {
        app.health.trouble().contains("pgbouncer")
    })
    .await;
    let trouble = app.health.trouble();
    assert!(trouble.contains("PLANK_LISTEN_DATABASE_URL"), "{trouble}");
    assert_eq!(app.request("GET", "/readyz", None).await.0, 503);
    app.stop().await.unwrap();

    // With the listener on PostgreSQL itself it works.
    let direct = target.clone().into();
    let app = TestApp::build(through, connect(&target).await, database, |config| {
        config.database.as_mut().unwrap().listen = direct;
    })
    .await;
    app.ready().await;
    let mut client = app.subscribed("items").await;
    app.execute("insert into items (name) values ('behind a pooler')")
        .await;
    assert_eq!(client.change().await["row"]["name"], "behind a pooler");
}
