//! A WebSocket to the server, over TCP, TLS or a Unix socket, that knows how much it has read.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::header;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::limits::{TAIL_CONNECT_MAX, TAIL_MESSAGE_BYTES_MAX};
use crate::store::connect::chain;

use super::address::{Address, Target};
use super::credential::Credential;

/// What helps where people have to log in.
pub const UNAUTHENTICATED: &str = "it does not know who asks, or takes the token for no good one; set PLANK_TOKEN, or give --token-file (plank token makes one)";

/// A connection of any kind.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// One that has been made, with TLS where the address asks for it.
pub type Dialled = Box<dyn Io>;

/// Counts the bytes that come: a long message on a slow line is no silence.
pub struct Counted {
    io: Dialled,
    read: Arc<AtomicU64>,
}

/// An open WebSocket.
pub struct Socket {
    /// Messages.
    pub messages: WebSocketStream<Counted>,
    /// Bytes that have come so far.
    pub read: Arc<AtomicU64>,
}

/// Why there is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// It may work later.
    #[error("{0}")]
    Away(String),
    /// It will not work until something is changed.
    #[error("{0}")]
    Fatal(String),
}

/// Connects within [`TAIL_CONNECT_MAX`].
///
/// # Errors
/// Says whether it makes sense to try again.
pub async fn connect(address: &Address, credential: &Credential) -> Result<Socket, ConnectError> {
    match timeout(TAIL_CONNECT_MAX, open(address, credential)).await {
        Ok(opened) => opened,
        Err(_) => Err(ConnectError::Away(format!(
            "no answer within {} s",
            TAIL_CONNECT_MAX.as_secs()
        ))),
    }
}

/// TCP or a Unix socket, and TLS.
///
/// # Errors
/// Says whether it makes sense to try again.
pub async fn dial(address: &Address) -> Result<Dialled, ConnectError> {
    let away = |e: std::io::Error| ConnectError::Away(chain(&e));
    let io: Dialled = match &address.target {
        Target::Tcp(host, port) => {
            let stream = TcpStream::connect((host.as_str(), *port))
                .await
                .map_err(away)?;
            stream.set_nodelay(true).map_err(away)?;
            Box::new(stream)
        }
        Target::Unix(path) => Box::new(UnixStream::connect(path).await.map_err(away)?),
    };
    Ok(match &address.target {
        Target::Tcp(host, _) if address.is_tls() => Box::new(secure(io, host).await?),
        _ => io,
    })
}

async fn open(address: &Address, credential: &Credential) -> Result<Socket, ConnectError> {
    let io = dial(address).await?;
    let read = Arc::<AtomicU64>::default();
    let counted = Counted {
        io,
        read: read.clone(),
    };
    let config = WebSocketConfig::default()
        .max_message_size(Some(TAIL_MESSAGE_BYTES_MAX))
        .max_frame_size(Some(TAIL_MESSAGE_BYTES_MAX));
    let request = address.request.clone().into_client_request();
    let mut request = request.map_err(|error| refused(&error))?;
    if let Some(token) = credential.header()? {
        request.headers_mut().insert(header::AUTHORIZATION, token);
    }
    let handshake = client_async_with_config(request, counted, Some(config));
    match handshake.await {
        Ok((messages, _)) => Ok(Socket { messages, read }),
        Err(error) => Err(refused(&error)),
    }
}

/// TLS, with the root certificates of this machine.
async fn secure(io: Dialled, host: &str) -> Result<impl Io + use<>, ConnectError> {
    let fatal = |why: String| ConnectError::Fatal(format!("TLS: {why}"));
    let mut roots = RootCertStore::empty();
    // What can't be read is left out: one good certificate may be all that is needed.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let why = "there are no root certificates; install ca-certificates, or set SSL_CERT_FILE";
        return Err(fatal(why.into()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| fatal(e.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|e| fatal(e.to_string()))?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, io).await;
    connected.map_err(
        |e| match e.get_ref().is_some_and(|e| e.is::<rustls::Error>()) {
            true => fatal(chain(&e)),
            false => ConnectError::Away(chain(&e)),
        },
    )
}

fn refused(error: &Error) -> ConnectError {
    match error {
        Error::Http(response) => {
            let status = response.status();
            // Too many sockets, a proxy without its plank.
            if status.is_server_error() || matches!(status.as_u16(), 408 | 429) {
                return ConnectError::Away(format!("it answered {status}"));
            }
            if status.as_u16() == 401 {
                return ConnectError::Fatal(UNAUTHENTICATED.into());
            }
            ConnectError::Fatal(format!("it answered {status}; is that address a plank?"))
        }
        Error::Url(_) | Error::HttpFormat(_) => ConnectError::Fatal(chain(error)),
        // Also an end in the middle of the handshake.
        _ => ConnectError::Away(chain(error)),
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(context, buffer);
        let came = buffer.filled().len() - before;
        self.read.fetch_add(came as u64, Ordering::Relaxed);
        polled
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
