//! PostgreSQL clusters: one that all tests share, with a template database that has been migrated once, and others for
//! tests that restart theirs.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, getuid};
use plank::config::Database;
use plank::store::private::{BinarySearch, PrivatePostgres};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, Config, NoTls};

use super::within;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A cluster in a directory of its own, which goes with the process, however that ends.
pub struct Cluster {
    runtime: Option<Runtime>,
    postgres: Option<PrivatePostgres>,
    dir: PathBuf,
    /// A shell that waits for the end of this process, or of this value, and clears up.
    reaper: Child,
}

impl Cluster {
    /// Starts one. fsync is on, as everywhere.
    pub fn start() -> Self {
        Self::start_from(|_| BinarySearch::from_env())
    }

    /// One that listens on an address of this machine as well, port 5432, and there takes TLS and passwords only.
    /// `programs` is where those of PostgreSQL are.
    pub fn start_with_tls(programs: &Path, address: &str, certificate: &str, key: &str) -> Self {
        Self::start_from(|dir| {
            let owner = User::from_name("postgres")
                .unwrap()
                .filter(|_| getuid().is_root());
            let keep = |name: &str, text: &str, mode: u32| {
                let path = dir.join(name);
                fs::write(&path, text).unwrap();
                fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
                if let Some(user) = &owner {
                    let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
                    std::os::unix::fs::chown(&path, Some(uid), Some(gid)).unwrap();
                }
                path.display().to_string()
            };
            let certificate = keep("server.pem", certificate, 0o644);
            let key = keep("server.key", key, 0o600);
            let hba = "local all all trust\nhostssl all all 127.0.0.0/8 scram-sha-256\n";
            let hba = keep("pg_hba.conf", hba, 0o644);
            let dir = dir.join("bin");
            fs::create_dir(&dir).unwrap();
            fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
            for name in ["postgres", "initdb"] {
                let more = match name {
                    "postgres" => format!(
                        "-c listen_addresses={address} -c ssl=on -c ssl_cert_file={certificate} -c ssl_key_file={key} \
                         -c hba_file={hba}"
                    ),
                    _ => String::new(),
                };
                let program = programs.join(name);
                let script = format!(
                    "#!/bin/sh\ncase $1 in --version) more=;; *) more='{more}';; esac\nexec {} \"$@\" $more\n",
                    program.display()
                );
                let path = dir.join(name);
                fs::write(&path, script).unwrap();
                fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
            }
            BinarySearch {
                explicit: Some(dir),
                ..BinarySearch::default()
            }
        })
    }

    /// A file beside its data, for as long as it is there.
    pub fn keep(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// A standby as it is now, which will follow nobody: it lags behind from here on. The cluster itself is restarted.
    pub async fn lagging_standby(&mut self) -> Self {
        self.stop().await;
        let from = self.dir.join("data");
        let standby = Self::start_from(|dir| {
            let copied = Command::new("cp").arg("-a").arg(&from).arg(dir).status();
            assert!(copied.unwrap().success());
            let pgdata = dir.join("data/pgdata");
            let signal = pgdata.join("standby.signal");
            fs::write(&signal, "").unwrap();
            // As root the server is another user's.
            let owner = fs::metadata(&pgdata).unwrap();
            std::os::unix::fs::chown(&signal, Some(owner.uid()), Some(owner.gid())).unwrap();
            BinarySearch::from_env()
        });
        self.start_again().await;
        standby
    }

    /// A standby that follows this one over its socket.
    pub async fn streaming_standby(&self) -> Self {
        let own = self.dir.join("data");
        let hba = own.join("pgdata/pg_hba.conf");
        let text = fs::read_to_string(&hba).unwrap();
        let line = "local replication postgres peer map=plank\n";
        if !text.contains(line) {
            fs::write(&hba, format!("{text}{line}")).unwrap();
        }
        let admin = connect(&self.config("postgres")).await;
        admin
            .batch_execute("select pg_reload_conf()")
            .await
            .unwrap();
        let url = self.url("postgres");
        let replicates = async || {
            let tried = Command::new("psql")
                .args(["-qAtc", "IDENTIFY_SYSTEM"])
                .arg(format!("{url}&replication=true"))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            tried.unwrap().success()
        };
        super::until("a standby may connect", replicates).await;
        Self::start_from(|dir| {
            let data = dir.join("data");
            fs::create_dir(&data).unwrap();
            let mode = fs::metadata(&own).unwrap().permissions();
            fs::set_permissions(&data, mode).unwrap();
            let pgdata = data.join("pgdata");
            let copied = Command::new("pg_basebackup")
                .args(["-R", "-X", "stream", "-c", "fast", "--no-sync", "-d"])
                .arg(&url)
                .arg("-D")
                .arg(&pgdata)
                .status();
            assert!(copied.unwrap().success());
            // As root the server is another user's.
            let owner = fs::metadata(own.join("pgdata")).unwrap();
            let owned = Command::new("chown")
                .arg("-R")
                .arg(format!("{}:{}", owner.uid(), owner.gid()))
                .arg(&pgdata)
                .status();
            assert!(owned.unwrap().success());
            BinarySearch::from_env()
        })
    }

    /// Starts one in a directory that `fill` may have put something into.
    fn start_from(fill: impl FnOnce(&Path) -> BinarySearch) -> Self {
        let dir = PathBuf::from(format!(
            "/tmp/plank-it-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        ));
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        let search = fill(&dir);
        let script = r#"read -r _; pid=$(head -n 1 "$0/data/pgdata/postmaster.pid" 2>/dev/null) && kill -QUIT "$pid"; sleep 0.2; rm -rf "$0""#;
        let reaper = Command::new("sh")
            .args(["-c", script])
            .arg(&dir)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        // Its own runtime, since a test's ends with the test.
        let runtime = Runtime::new().unwrap();
        let data = dir.join("data");
        let postgres = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    runtime
                        .block_on(PrivatePostgres::start_with(&data, &search))
                        .expect("the tests need PostgreSQL")
                })
                .join()
                .unwrap()
        });
        Self {
            runtime: Some(runtime),
            postgres: Some(postgres),
            dir,
            reaper,
        }
    }

    /// The one that all tests share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| {
            let cluster = Self::start();
            cluster.block_on(async {
                let admin = connect(&cluster.config("postgres")).await;
                admin
                    .batch_execute("alter system set max_connections = 500")
                    .await
                    .unwrap();
            });
            cluster.restarted().with_template()
        })
    }

    fn block_on<T: Send>(&self, future: impl Future<Output = T> + Send) -> T {
        let runtime = self.runtime.as_ref().unwrap();
        std::thread::scope(|scope| scope.spawn(|| runtime.block_on(future)).join().unwrap())
    }

    fn restarted(mut self) -> Self {
        let (postgres, data) = (self.postgres.take().unwrap(), self.dir.join("data"));
        self.postgres = Some(self.block_on(async move {
            postgres.stop().await.unwrap();
            PrivatePostgres::start(&data).await.unwrap()
        }));
        self
    }

    fn with_template(self) -> Self {
        let template = self.config("plank");
        let database = Database {
            requests: template.clone().into(),
            listen: template.into(),
        };
        let migrate = || {
            actix_rt::System::new()
                .block_on(async { plank::app::prepare_for(&database, true).await.map(|_| ()) })
        };
        std::thread::scope(|scope| scope.spawn(migrate).join().unwrap()).unwrap();
        self
    }

    /// Installs plank in its database `plank`.
    pub async fn prepare(&self) {
        let config = self.config("plank");
        let database = Database {
            requests: config.clone().into(),
            listen: config.into(),
        };
        within("a migration", plank::app::prepare_for(&database, true))
            .await
            .unwrap();
    }

    /// How to connect to a database of it.
    pub fn config(&self, database: &str) -> Config {
        let mut config = self.postgres.as_ref().unwrap().config();
        config.dbname(database);
        config
    }

    /// The same for psql.
    pub fn url(&self, database: &str) -> String {
        self.postgres
            .as_ref()
            .unwrap()
            .url()
            .replace("/plank?", &format!("/{database}?"))
    }

    /// A new database, migrated.
    pub async fn database(&self) -> String {
        self.create("template plank").await
    }

    /// A new database with nothing in it.
    pub async fn empty_database(&self) -> String {
        self.create("").await
    }

    async fn create(&self, with: &str) -> String {
        let name = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let admin = connect(&self.config("postgres")).await;
        admin
            .batch_execute(&format!("create database {name} {with}"))
            .await
            .unwrap();
        name
    }

    /// Restarts the server: every connection is cut.
    pub async fn restart(&mut self) {
        let (postgres, data) = (self.postgres.take().unwrap(), self.dir.join("data"));
        let restart = async move {
            postgres.stop().await.unwrap();
            PrivatePostgres::start(&data).await.unwrap()
        };
        let restarted = within("a restart", self.runtime.as_ref().unwrap().spawn(restart)).await;
        self.postgres = Some(restarted.unwrap());
    }

    /// Kills the server as a crash does, and starts it again: it recovers from its log.
    pub async fn crash(&mut self) {
        let (mut postgres, data) = (self.postgres.take().unwrap(), self.dir.join("data"));
        kill(Pid::from_raw(postgres.pid()), Signal::SIGQUIT).unwrap();
        let again = async move {
            let _ = postgres.exited().await;
            // Lets go of the data directory.
            drop(postgres);
            PrivatePostgres::start(&data).await.unwrap()
        };
        let started = within("a start", self.runtime.as_ref().unwrap().spawn(again)).await;
        self.postgres = Some(started.unwrap());
    }

    /// Stops the server.
    pub async fn stop(&mut self) {
        let postgres = self.postgres.take().unwrap();
        within(
            "a stop",
            self.runtime.as_ref().unwrap().spawn(postgres.stop()),
        )
        .await
        .unwrap()
        .unwrap();
    }

    /// Starts it again.
    pub async fn start_again(&mut self) {
        let data = self.dir.join("data");
        let start = async move { PrivatePostgres::start(&data).await.unwrap() };
        self.postgres = Some(
            within("a start", self.runtime.as_ref().unwrap().spawn(start))
                .await
                .unwrap(),
        );
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // A runtime must not end within another one.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        let _ = self
            .reaper
            .stdin
            .take()
            .map(|mut pipe| pipe.write_all(b"\n"));
        let _ = self.reaper.wait();
    }
}

/// A client of its own connection, which is driven in the background.
pub async fn connect(config: &Config) -> Client {
    let (client, connection) = within("a connection", config.connect(NoTls)).await.unwrap();
    tokio::spawn(connection);
    client
}

/// An address of this machine that no other test has, nor one of another run.
pub fn own_address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let run = 64 + std::process::id() % 64;
    format!("127.{run}.{}.2", NEXT.fetch_add(1, Ordering::Relaxed))
}
