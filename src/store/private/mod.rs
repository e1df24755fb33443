//! A PostgreSQL that plank runs for itself when no database is configured.
//!
//! Owns the data directory, the server process and its socket. It never speaks SQL beyond `create database`, and
//! never opens a TCP port: only the user that plank runs as, and root, can connect.
//!
//! Every way this can end leaves something to start from. `initdb` is atomic, the server keeps fsync on, and a
//! server that outlived its plank (kill -9, a crash) is adopted by the next one.

mod account;
mod binaries;
mod cluster;
mod error;
mod initdb;
mod pid_file;
mod server;
mod server_log;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

pub use self::account::default_data_dir;
pub use self::binaries::{Binaries, BinarySearch, MAJOR_MIN};
pub use self::error::PrivateError;

use self::cluster::{Cluster, PGDATA};
use self::error::chain;
use self::pid_file::{Found, PidFile, look};
use self::server::Server;

/// How long to wait for another plank to let go of the data directory.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a server may take until it gives a first answer.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long it may take when it answers that it is still recovering (or has just been told to shut down).
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// How long one attempt to connect and create the database may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// The pause between two attempts.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(50);
/// How long to start anew when the orphans of a killed server are still on the data, or an adopted one goes away.
const ANEW_TIMEOUT: Duration = Duration::from_secs(30);

/// Names the socket's file; nothing listens on a TCP port.
const PORT: u16 = 5432;
const SUPERUSER: &str = "postgres";
const DATABASE: &str = "plank";

/// A PostgreSQL server that plank runs for itself, on a data directory that it holds the lock of.
///
/// End it with [`stop`](Self::stop). When it is merely dropped, the server is told to shut down but not waited for;
/// when plank is killed, it runs on and is adopted by the next [`start`](Self::start). Under systemd use
/// `KillMode=mixed`: the default sends SIGTERM to the server too, which closes it to new connections while plank drains.
#[derive(Debug)]
pub struct PrivatePostgres {
    /// Before `cluster`: on a drop the server has its signal when the lock is given back.
    server: Server,
    cluster: Cluster,
}

impl PrivatePostgres {
    /// Starts or adopts the server on `data_dir` (recommended: [`default_data_dir`]) and waits until it accepts
    /// connections and has a database `plank`. The first start runs `initdb`.
    ///
    /// As root the server runs as the owner of the data, `postgres` for new data. Binaries are searched as
    /// [`BinarySearch::from_env`] says.
    pub async fn start(data_dir: &Path) -> Result<Self, PrivateError> {
        Self::start_with(data_dir, &BinarySearch::from_env()).await
    }

    /// As [`start`](Self::start), with binaries from where `search` says.
    pub async fn start_with(data_dir: &Path, search: &BinarySearch) -> Result<Self, PrivateError> {
        let started = Instant::now();
        let cluster = loop {
            match Cluster::open(data_dir) {
                // A child that is just being started has the lock too, until it executes; and a plank that is
                // being replaced may need a moment to end.
                Err(PrivateError::InUse { .. }) if started.elapsed() < LOCK_TIMEOUT => {
                    sleep(ATTEMPT_INTERVAL).await;
                }
                opened => break opened?,
            }
        };
        let started = Instant::now();
        loop {
            let mut server = launch(&cluster, search).await?;
            match until_ready(&mut server).await {
                Ok(()) => {
                    let this = Self { server, cluster };
                    log::info!(
                        "private postgresql {} pid={} url={}",
                        if this.adopted() { "adopted" } else { "started" },
                        this.pid(),
                        this.url()
                    );
                    return Ok(this);
                }
                Err(e) if started.elapsed() < ANEW_TIMEOUT && deserves_another(&server, &e) => {
                    log::debug!("private postgresql starts anew reason={e}");
                    sleep(ATTEMPT_INTERVAL).await;
                }
                // It may well be recovering for good reason; it is not this plank's to end.
                Err(e) if server.is_adopted() => {
                    server.let_go();
                    return Err(e);
                }
                Err(e) => {
                    server.stop().await?;
                    return Err(e);
                }
            }
        }
    }

    /// How to connect: the socket's directory, the superuser and the database.
    pub fn config(&self) -> tokio_postgres::Config {
        config(&self.server, DATABASE)
    }

    /// The same as a URL for `psql "..."` (as the user that plank runs as, or root) or `PLANK_DATABASE_URL`.
    pub fn url(&self) -> String {
        let dir = self.server.socket_dir.to_string_lossy();
        let mut host = String::with_capacity(dir.len());
        for byte in dir.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => {
                    host.push(byte.into())
                }
                _ => host.push_str(&format!("%{byte:02X}")),
            }
        }
        let port = if self.server.port == PORT {
            String::new()
        } else {
            format!("&port={}", self.server.port)
        };
        format!("postgresql://{SUPERUSER}@/{DATABASE}?host={host}{port}")
    }

    /// The server's process id.
    pub fn pid(&self) -> i32 {
        self.server.pid
    }

    /// Whether it was running already.
    pub fn adopted(&self) -> bool {
        self.server.is_adopted()
    }

    /// The directory that it all is in, resolved.
    pub fn data_dir(&self) -> &Path {
        &self.cluster.data_dir
    }

    /// Resolves when the server process has ended by itself, with [`PrivateError::Ended`]; to go on, `stop` what is
    /// left and `start` again. Keeps the server's log within its bounds while it waits. Cancel safe.
    pub async fn exited(&mut self) -> PrivateError {
        self.server.watch().await
    }

    /// Shuts the server down: fast (SIGINT), after a deadline at once (SIGQUIT), at last by force. Nothing is left
    /// running. Clients still connected are cut off, so drain first.
    pub async fn stop(mut self) -> Result<(), PrivateError> {
        self.server.stop().await?;
        log::info!("private postgresql stopped pid={}", self.pid());
        Ok(())
    }
}

/// How to connect to the server on `data_dir` that another plank has started and looks after; none without one.
pub fn running(data_dir: &Path) -> Option<tokio_postgres::Config> {
    // A look leaves nothing behind.
    if !data_dir.join(PGDATA).exists() {
        return None;
    }
    match Cluster::open(data_dir) {
        Err(PrivateError::InUse { data_dir, .. }) => {
            let file = PidFile::read(&data_dir.join(PGDATA)).ok().flatten()?;
            let dir = file.socket_dir?;
            Some(config_at(&dir, file.port, DATABASE))
        }
        _ => None,
    }
}

/// Adopts the server that runs on this cluster, or starts one, after `initdb` where there is no cluster yet.
async fn launch(cluster: &Cluster, search: &BinarySearch) -> Result<Server, PrivateError> {
    let stale = match look(cluster).await? {
        Found::Running(file) => return Ok(Server::adopt(cluster, file)),
        Found::Nothing(stale) => stale,
    };
    let pgdata = cluster.pgdata();
    let version = cluster.version()?;
    let binaries = search
        .find(
            version.map(|major| (major, pgdata.as_path())),
            &cluster.account,
        )
        .await?;
    if version.is_none() {
        log::info!(
            "private postgresql created with=\"{binaries}\" data_dir={}",
            cluster.data_dir.display()
        );
        cluster.create(&binaries).await?;
    } else {
        cluster.admit()?;
    }
    Server::spawn(cluster, &binaries, stale.as_ref())
}

/// Waits until the server accepts connections and has the database.
async fn until_ready(server: &mut Server) -> Result<(), PrivateError> {
    let admin = config(server, "postgres");
    let started = Instant::now();
    let mut patience = START_TIMEOUT;
    loop {
        let answer = tokio::select! {
            biased;
            status = server.wait() => return Err(server.ended_error(status)),
            answer = timeout(ATTEMPT_TIMEOUT, ensure_database(&admin)) => answer,
        };
        let last = match answer {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(e)) => {
                match e.code() {
                    Some(&SqlState::CANNOT_CONNECT_NOW) => patience = RECOVERY_TIMEOUT,
                    // No server yet, no room, or one that goes down: its end will be seen.
                    None | Some(&(SqlState::TOO_MANY_CONNECTIONS | SqlState::ADMIN_SHUTDOWN)) => {}
                    Some(_) => {
                        return Err(PrivateError::Refused {
                            pid: server.pid,
                            source: e,
                        });
                    }
                }
                chain(&e)
            }
            Err(_) => "it does not answer".to_owned(),
        };
        if started.elapsed() > patience {
            let (pid, seconds) = (server.pid, patience.as_secs());
            let (log, tail): (PathBuf, String) = (server.log.path.clone(), server.log.tail());
            return Err(PrivateError::NotReady {
                pid,
                seconds,
                last,
                log,
                tail,
            });
        }
        sleep(ATTEMPT_INTERVAL).await;
    }
}

async fn ensure_database(admin: &tokio_postgres::Config) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = admin.connect(NoTls).await?;
    let connection = tokio::spawn(connection);
    let known = client
        .query_opt("select from pg_database where datname = $1", &[&DATABASE])
        .await?;
    if known.is_none() {
        client
            .batch_execute(&format!("create database {DATABASE}"))
            .await?;
    }
    drop(client);
    // Until the server has it too: a stop right after this should find no client.
    let _ = connection.await;
    Ok(())
}

fn config(server: &Server, database: &str) -> tokio_postgres::Config {
    config_at(&server.socket_dir, server.port, database)
}

fn config_at(socket_dir: &Path, port: u16, database: &str) -> tokio_postgres::Config {
    let mut config = tokio_postgres::Config::new();
    config
        .host_path(socket_dir)
        .port(port)
        .user(SUPERUSER)
        .dbname(database);
    config
}

/// An adopted server that ended while plank was greeting it; or a fresh one that found the processes of a killed
/// server still on the data: they end by themselves, shortly.
fn deserves_another(server: &Server, error: &PrivateError) -> bool {
    let orphans = matches!(error, PrivateError::Ended { tail, .. } if tail.contains("pre-existing shared memory block"));
    server.has_ended() && (server.is_adopted() || orphans)
}
