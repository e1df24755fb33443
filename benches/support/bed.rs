//! What is measured: a private PostgreSQL in a temporary directory, and a plank that serves it.

use std::path::PathBuf;
use std::time::Duration;

use plank::store::private::PrivatePostgres;
use tokio_postgres::{Client, Config, NoTls};

use super::fsync::{self, Fsync};
use super::proc::Proc;
use super::program::Plank;
use super::temp_dir::TempDir;
use super::{Outcome, SOON, within};

/// For initdb, the start of the server, and its stop.
const POSTGRES_MAX: Duration = Duration::from_secs(90);

/// plank's database.
pub const DATABASE: &str = "plank";

/// How a bed is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setup {
    /// How long a commit waits for the disk.
    pub fsync: Fsync,
    /// Settings of plank that are not the default.
    pub plank_args: &'static [&'static str],
}

/// Both, with their files. On a drop plank is killed, the server is told to end, and the files are removed.
#[derive(Debug)]
pub struct Bed {
    /// The one that is there from the start.
    pub plank: Plank,
    setup: Setup,
    postgres: PrivatePostgres,
    /// The last field: on a drop it goes when nobody needs it any more.
    dir: TempDir,
}

impl Bed {
    /// Starts both as they are by default.
    ///
    /// # Errors
    /// If that is not possible; with the log of plank if it did not start.
    pub async fn start() -> Outcome<Self> {
        Self::start_with(Setup::default()).await
    }

    /// Starts both.
    ///
    /// # Errors
    /// If that is not possible; with the log of plank if it did not start.
    pub async fn start_with(setup: Setup) -> Outcome<Self> {
        let dir = TempDir::new()?;
        let data = dir.data();
        let start = PrivatePostgres::start(&data);
        let mut postgres = within(POSTGRES_MAX, "a private PostgreSQL", start).await?;
        if let Fsync::Slow = setup.fsync {
            // Only a server that runs says for certain where its programs are.
            let programs = bin_dir(&connect(&postgres.config()).await?).await?;
            within(POSTGRES_MAX, "the end of PostgreSQL", postgres.stop()).await?;
            let slow = fsync::slow_programs(dir.path(), &programs).await?;
            let start = PrivatePostgres::start_with(&data, &slow);
            postgres = within(POSTGRES_MAX, "a slow PostgreSQL", start).await?;
            fsync::check_slow(&connect(&postgres.config()).await?).await?;
        }
        let log = dir.path().join("plank.log");
        let plank = Plank::start(&postgres.url(), setup.plank_args, &log).await?;
        Ok(Self {
            plank,
            setup,
            postgres,
            dir,
        })
    }

    /// One more plank on the same database.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn another_plank(&self) -> Outcome<Plank> {
        let log = self.dir.path().join("another-plank.log");
        Plank::start(&self.postgres.url(), self.setup.plank_args, &log).await
    }

    /// Another connection to the database, over its Unix socket.
    ///
    /// # Errors
    /// If there is none.
    pub async fn connect(&self) -> Outcome<Client> {
        connect(&self.postgres.config()).await
    }

    /// A connection to another database of the cluster.
    ///
    /// # Errors
    /// If there is none.
    pub async fn connect_to(&self, database: &str) -> Outcome<Client> {
        connect(&self.database(database)).await
    }

    /// How to connect, for those who poll the connection themselves.
    pub fn database(&self, name: &str) -> Config {
        let mut config = self.postgres.config();
        config.dbname(name);
        config
    }

    /// plank's database, for those who poll the connection themselves.
    pub fn own_database(&self) -> Config {
        self.database(DATABASE)
    }

    /// The same as a URL, for other programs.
    pub fn url(&self, database: &str) -> String {
        let own = format!("/{DATABASE}?");
        self.postgres.url().replace(&own, &format!("/{database}?"))
    }

    /// The first process of its PostgreSQL.
    pub fn postgres_proc(&self) -> Proc {
        Proc(self.postgres.pid())
    }

    /// Where the programs of this PostgreSQL are.
    ///
    /// # Errors
    /// If it can't be asked.
    pub async fn bin_dir(&self) -> Outcome<PathBuf> {
        bin_dir(&self.connect().await?).await
    }

    /// For files that go with the bed.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What the report says about the database.
    ///
    /// # Errors
    /// If it can't be asked, or its disk can't be written.
    pub async fn database_facts(&self) -> Outcome<Vec<(&'static str, String)>> {
        let client = self.connect().await?;
        let sql = "select current_setting('server_version'), current_setting('fsync'), \
            current_setting('synchronous_commit')";
        let row = within(SOON, "the version", client.query_one(sql, &[])).await?;
        let (version, fsync, commit): (&str, &str, &str) = (row.get(0), row.get(1), row.get(2));
        let flush_ms = fsync::median(self.dir.path())?.as_secs_f64() * 1e3;
        let database = format!(
            "{version}, fsync {fsync} ({flush_ms:.2} ms at the end of the run), synchronous_commit {commit}, Unix socket"
        );
        Ok(vec![("PostgreSQL", database)])
    }

    /// Ends both in order.
    ///
    /// # Errors
    /// If one of them does not end.
    pub async fn stop(self) -> Outcome<()> {
        let stopped = self.plank.stop().await;
        within(POSTGRES_MAX, "the end of PostgreSQL", self.postgres.stop()).await?;
        stopped
    }
}

async fn connect(config: &Config) -> Outcome<Client> {
    let (client, connection) = within(SOON, "a connection", config.connect(NoTls)).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn bin_dir(client: &Client) -> Outcome<PathBuf> {
    let sql = "select setting from pg_config where name = 'BINDIR'";
    let row = within(SOON, "the programs", client.query_one(sql, &[])).await?;
    Ok(row.get::<_, String>(0).into())
}
