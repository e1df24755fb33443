//! Stands between plank and PostgreSQL: passes everything on, until it is told to swallow it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};
use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// See the module's documentation.
pub struct PgProxy {
    address: SocketAddr,
    /// Where the server is.
    path: Arc<Mutex<PathBuf>>,
    black_hole: Arc<AtomicBool>,
    /// The same for each connection.
    links: Arc<Mutex<Vec<Arc<AtomicBool>>>>,
    /// Bytes that have come from the server.
    answered: Arc<AtomicUsize>,
}

impl PgProxy {
    /// Stands before the server of `target`, which listens on a Unix socket.
    pub async fn start(target: &Config) -> Self {
        let path = Arc::new(Mutex::new(socket_of(target)));
        let server_path = path.clone();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (black_hole, answered) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let (swallow, count) = (black_hole.clone(), answered.clone());
        let links = Arc::<Mutex<Vec<Arc<AtomicBool>>>>::default();
        let all = links.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // While it swallows, even a new connection gets no answer.
                let path = server_path.lock().unwrap().clone();
                let Ok(server) = UnixStream::connect(path).await else {
                    continue;
                };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let own = Arc::new(AtomicBool::new(false));
                all.lock().unwrap().push(own.clone());
                let swallow = [swallow.clone(), own];
                tokio::spawn(pass(
                    from_client,
                    to_server,
                    swallow.clone(),
                    Arc::default(),
                ));
                tokio::spawn(pass(from_server, to_client, swallow, count.clone()));
            }
        });
        Self {
            address,
            path,
            black_hole,
            links,
            answered,
        }
    }

    /// How to connect through it.
    pub fn config(&self, user: &str, database: &str) -> Config {
        let mut config = Config::new();
        config
            .host(self.address.ip().to_string())
            .port(self.address.port())
            .user(user)
            .dbname(database);
        config
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// New connections go to another server.
    pub fn redirect(&self, target: &Config) {
        *self.path.lock().unwrap() = socket_of(target);
    }

    /// From now on bytes vanish, and connections stay open.
    pub fn swallow(&self, swallow: bool) {
        self.black_hole.store(swallow, Ordering::Relaxed);
    }

    /// The same for the connections that there are; new ones work.
    pub fn swallow_what_is_open(&self) {
        for link in self.links.lock().unwrap().drain(..) {
            link.store(true, Ordering::Relaxed);
        }
    }

    /// Bytes that have come from the server so far.
    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }
}

pub(super) fn socket_of(target: &Config) -> PathBuf {
    let [Host::Unix(dir)] = target.get_hosts() else {
        panic!("a Unix socket")
    };
    dir.join(".s.PGSQL.5432")
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    swallow: [Arc<AtomicBool>; 2],
    count: Arc<AtomicUsize>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        count.fetch_add(n, Ordering::Relaxed);
        let is_swallowed = swallow.iter().any(|s| s.load(Ordering::Relaxed));
        if !is_swallowed && to.write_all(&buffer[..n]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
