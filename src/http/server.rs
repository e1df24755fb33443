//! Binds the addresses, and puts together what runs on each worker thread: the App for HTTP, the shard for WebSockets.

use std::cell::{Cell, RefCell};
use std::fs::Permissions;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix::Addr;
use actix_http::error::DispatchError;
use actix_http::{Extensions, HttpService, KeepAlive, Protocol, Request};
use actix_rt::net::{TcpStream, UnixStream as UnixSocket};
use actix_server::{Server, ServerBuilder};
use actix_service::{Service, apply_fn_factory, fn_service, map_config};
use actix_web::dev::{AppConfig, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::{App, Error, middleware, web};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use crate::actor::admission::permit::Open;
use crate::actor::clients::state::ShardState;
use crate::actor::hub::Hub;
use crate::actor::message::ShardId;
use crate::actor::shard::Shard;
use crate::config::ListenAddress;
use crate::descriptors;
use crate::limits::{DISCONNECT_MAX, DRAIN_MAX, REQUEST_HEAD_MAX, UNACKNOWLEDGED_MAX};
use crate::systemd::Passed;

use super::heard::Heard;
use super::{State, observe, routes, too_many, ws};

/// Connections that the kernel keeps until they are accepted; more than `net.core.somaxconn` has no effect.
const BACKLOG: i32 = 4_096;

/// HTTP connections of one worker that are not WebSockets: those are counted by `--max-connections`.
const HTTP_CONNECTIONS_MAX: usize = 10_000;

/// An address that has been bound.
#[derive(Debug)]
pub enum Bound {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

/// Binds an address.
///
/// # Errors
/// The text says which address, and what to do.
pub fn bind(address: &ListenAddress) -> Result<Bound, String> {
    let explain = |e: io::Error| match e.kind() {
        io::ErrorKind::AddrInUse if is_other_file(address) => {
            format!(
                "{address} is there already, and is no socket; plank does not touch it: move it away, or choose another path with --listen"
            )
        }
        io::ErrorKind::AddrInUse => {
            format!(
                "{address} is in use by another program; stop that one, or choose another address with --listen"
            )
        }
        io::ErrorKind::PermissionDenied => format!(
            "{address} may not be used by this user; choose a port above 1023, or another path"
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("{address} is no address of this machine; choose another one with --listen")
        }
        _ => format!("{address} can't be listened on: {e}"),
    };
    match address {
        ListenAddress::Tcp(tcp) => bind_tcp(SockAddr::from(*tcp), Domain::for_address(*tcp))
            .map(Bound::Tcp)
            .map_err(explain),
        ListenAddress::Unix(path) => bind_unix(path).map(Bound::Unix).map_err(explain),
    }
}

fn bind_tcp(address: SockAddr, domain: Domain) -> io::Result<TcpListener> {
    let socket = Socket::new(domain, Type::STREAM, None)?;
    // A restart must not wait for the old connections to time out.
    socket.set_reuse_address(true)?;
    // Handed down to each connection.
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
    socket.bind(&address)?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Whether there is something else than a socket where the socket should be.
fn is_other_file(address: &ListenAddress) -> bool {
    match address {
        ListenAddress::Tcp(_) => false,
        ListenAddress::Unix(path) => path
            .symlink_metadata()
            .is_ok_and(|m| !m.file_type().is_socket()),
    }
}

/// A socket file that nobody answers on is of a plank that was killed.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let is_socket = path
        .symlink_metadata()
        .is_ok_and(|m| m.file_type().is_socket());
    if is_socket && UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    // As open as a port on loopback: who may come near it is up to the directory, and not to a service's umask.
    std::fs::set_permissions(path, Permissions::from_mode(0o666))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Takes over a socket that systemd has opened; it listens already.
///
/// # Errors
/// The text says what to do.
pub fn adopt(passed: Passed) -> Result<(ListenAddress, Bound), String> {
    let unusable = |e: io::Error| format!("a socket that systemd passed can't be used: {e}");
    match passed {
        Passed::Tcp(listener) => {
            let socket = SockRef::from(&listener);
            socket
                .set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))
                .map_err(unusable)?;
            listener.set_nonblocking(true).map_err(unusable)?;
            let address = listener.local_addr().map_err(unusable)?;
            Ok((ListenAddress::Tcp(address), Bound::Tcp(listener)))
        }
        Passed::Unix(listener) => {
            listener.set_nonblocking(true).map_err(unusable)?;
            let address = listener.local_addr().map_err(unusable)?;
            let path = address.as_pathname().unwrap_or(Path::new("@"));
            Ok((ListenAddress::Unix(path.into()), Bound::Unix(listener)))
        }
    }
}

impl Bound {
    /// The address, with the port that was chosen where 0 was asked for.
    pub fn address(&self, asked: &ListenAddress) -> ListenAddress {
        match self {
            Self::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|_| asked.clone(), ListenAddress::Tcp),
            Self::Unix(_) => asked.clone(),
        }
    }
}

thread_local! {
    /// The shard of this worker thread: one, however many addresses are served. A thread belongs to one server.
    static SHARD: RefCell<Option<Rc<ShardState>>> = const { RefCell::new(None) };
}

fn shard_of_this_thread(state: &State, hub: &Addr<Hub>) -> Rc<ShardState> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    SHARD.with_borrow_mut(|shard| {
        let start = || {
            let id = ShardId(NEXT.fetch_add(1, Ordering::Relaxed));
            let (metrics, history) = (Arc::clone(&state.metrics), state.history.clone());
            let hub = hub.clone();
            let tokens = state.auth.as_ref().map(|auth| auth.tokens.clone());
            let bytes_max = state.message_bytes_max;
            let rates = state.rates.clone();
            let refresh = state.refresh_request.clone();
            let hub = (hub, refresh);
            Shard::start_on_this_thread(id, hub, metrics, history, bytes_max, tokens, rates)
        };
        shard.get_or_insert_with(start).clone()
    })
}

/// Serves all addresses until the returned server is stopped.
///
/// # Errors
/// If the sockets can't be registered.
pub fn serve(
    bound: Vec<Bound>,
    workers: usize,
    state: &State,
    hub: &Addr<Hub>,
) -> io::Result<Server> {
    let mut builder = Server::build()
        .workers(workers)
        .backlog(BACKLOG as u32)
        .max_concurrent_connections(
            HTTP_CONNECTIONS_MAX
                .min(descriptors::clients_max() / workers)
                .max(1),
        )
        .shutdown_timeout(DRAIN_MAX.as_secs())
        .disable_signals();
    for (i, bound) in bound.into_iter().enumerate() {
        builder = match bound {
            Bound::Tcp(listener) => serve_tcp(builder, i, listener, state.clone(), hub.clone())?,
            Bound::Unix(listener) => serve_unix(builder, i, listener, state.clone(), hub.clone())?,
        };
    }
    Ok(builder.run())
}

/// `HttpServer` has no way to take a socket out of HTTP/1; `HttpService` has.
macro_rules! http_service {
    ($state:expr, $hub:expr, $stop:expr) => {{
        let stop = $stop.clone();
        let (state, shard) = ($state.clone(), shard_of_this_thread(&$state, &$hub));
        let upgrade = move |(request, framed): (Request, _)| {
            let (state, shard) = (state.clone(), shard.clone());
            async move {
                ws::accept(state, shard, request, framed).await;
                Ok::<_, Error>(())
            }
        };
        HttpService::build()
            // A connection on which nothing is asked ends with the server: it would hold the stop up, and what comes on
            // it later would be begun and cut.
            .graceful_shutdown_signal(move || {
                let stop = stop.clone();
                async move { stop.notified().await }
            })
            // [`Open::is_late`] ends one that rests for too long: actix-http would not look first whether a request has come.
            .keep_alive(KeepAlive::Os)
            .client_request_timeout(REQUEST_HEAD_MAX)
            .client_disconnect_timeout(DISCONNECT_MAX)
            .upgrade(fn_service(upgrade))
            // A client that closes its side has gone, as it has for nginx and hyper: or its session would stay until a
            // second heartbeat fails, and its long poll for as long as it may wait.
            .h1_allow_half_closed(false)
            .on_connect_ext(remember)
            .finish(map_config(app($state.clone(), shard_of_this_thread(&$state, &$hub)), |()| {
                AppConfig::default()
            }))
    }};
}

thread_local! {
    /// The connection that is being handed to actix-http: it asks for what belongs to it in the same call.
    static ACCEPTED: Cell<Option<Rc<Open>>> = const { Cell::new(None) };
}

/// Gives a connection what its requests find in it.
fn remember<T>(_: &T, data: &mut Extensions) {
    if let Some(open) = ACCEPTED.take() {
        data.insert(open);
    }
}

/// Serves a connection, if there is room for it. The answer that one gets for which there is none is no more than a try:
/// nobody waits for a client of which there are too many.
fn serve_one<T: AsFd, S>(
    state: &State,
    peer: Option<SocketAddr>,
    io: T,
    http: &S,
) -> impl Future<Output = Result<(), DispatchError>> + use<T, S>
where
    S: Service<(Heard<T>, Protocol, Option<SocketAddr>), Response = (), Error = DispatchError>,
{
    let serving = match state.places.open(state.peers.connection(peer)) {
        Ok(open) => {
            let open = Rc::new(open);
            ACCEPTED.set(Some(open.clone()));
            let io = Heard::new(io, open.clone());
            Some((http.call((io, Protocol::Http1, peer)), open))
        }
        Err(full) => {
            let answer = too_many(full).raw_response();
            let _ = SockRef::from(&io).send(answer.as_bytes());
            None
        }
    };
    async {
        let Some((serving, open)) = serving else {
            return Ok(());
        };
        tokio::select! {
            // First: what has just come is read before it is asked whether nothing came.
            biased;
            served = serving => served,
            () = open.is_late() => Ok(()),
        }
    }
}

fn serve_tcp(
    builder: ServerBuilder,
    i: usize,
    listener: TcpListener,
    state: State,
    hub: Addr<Hub>,
) -> io::Result<ServerBuilder> {
    let stop = builder.graceful_shutdown_signal();
    builder.listen(format!("tcp-{i}"), listener, move || {
        let of_all = state.clone();
        apply_fn_factory(
            http_service!(state, hub, stop),
            move |io: TcpStream, http: &_| {
                let peer = io.peer_addr().ok();
                // A change leaves at once, and not with the next one.
                let _ = io.set_nodelay(true);
                serve_one(&of_all, peer, io, http)
            },
        )
    })
}

fn serve_unix(
    builder: ServerBuilder,
    i: usize,
    listener: UnixListener,
    state: State,
    hub: Addr<Hub>,
) -> io::Result<ServerBuilder> {
    let stop = builder.graceful_shutdown_signal();
    builder.listen_uds(format!("unix-{i}"), listener, move || {
        let of_all = state.clone();
        let service = http_service!(state, hub, stop);
        apply_fn_factory(service, move |io: UnixSocket, http: &_| {
            serve_one(&of_all, None, io, http)
        })
    })
}

/// The routes, with what is around all of them, on the worker thread of this shard.
pub fn app(
    state: State,
    shard: Rc<ShardState>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl actix_web::body::MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    let app = App::new()
        .app_data(web::Data::new(state))
        .app_data(shard)
        .wrap(middleware::from_fn(observe::observe));
    routes::routes()
        .into_iter()
        .fold(app, |app, place| app.service(place.into_resource()))
        .default_service(web::to(routes::nowhere))
}
