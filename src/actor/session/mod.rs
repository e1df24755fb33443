//! One client. The actor understands what the client says; the task around it moves the bytes.
//!
//! The actor's context is the `HttpContext` of actix-web-actors, which is a stream of the bytes that the actor writes.
//! Here it does not feed a response body of the HTTP/1 dispatcher, but the socket itself: the dispatcher, with its two
//! buffers of 8 KiB, is gone as soon as the handshake is over. Only replies go this way; changes are written by the shard.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context as Task, Poll, ready};

use actix::prelude::*;
use actix_web_actors::HttpContext;
use bytes::Bytes;
use futures_util::Stream;
use smallvec::SmallVec;
use tokio::time::{Sleep, sleep};

use crate::auth::Viewer;
use crate::limits::{LINGER_BYTES_MAX, LINGER_MAX};
use crate::wire::close::CloseCode;
use crate::wire::decode::Decoder;
use crate::wire::event::Event;
use crate::wire::frame;
use crate::wire::message::{self, ClientMessage, Refusal, Subscribe, Token};

use crate::actor::admission::permit::Permit;
use crate::actor::admission::rates::Messages;
use crate::actor::clients::connection::{Conn, Wrote};
use crate::actor::clients::login::Login;
use crate::actor::clients::state::ShardState;
use crate::actor::transport::socket::Socket;

mod reader;

use reader::{Gate, Inbound, Reader, SCRATCH};

/// The actor.
#[derive(Debug)]
struct Session {
    slot: usize,
    conn: Rc<Conn>,
    shard: Rc<ShardState>,
    /// The code of the close frame that has been written.
    closed: Rc<Cell<Option<CloseCode>>>,
    /// What its request asked for, until it has said who it is.
    first: Vec<Result<Subscribe, Refusal>>,
    /// Where it counts.
    place: Rc<Permit>,
    /// How often it may say something, if that is counted.
    messages: Option<Messages>,
}

impl Session {
    fn subscribe(&self, wanted: Subscribe, ctx: &mut HttpContext<Self>) {
        if let Err(refusal) = self.shard.subscribe(self.slot, &self.conn, wanted) {
            ctx.write(message::error(&refusal));
        }
    }

    /// True if it goes on.
    fn say(&mut self, text: &str, ctx: &mut HttpContext<Self>) -> bool {
        let message = ClientMessage::parse(text);
        if self.conn.is_anonymous() && !matches!(message, Ok(ClientMessage::Auth(_))) {
            let why = "the first message has to be auth";
            let code = CloseCode::UNAUTHENTICATED;
            self.close(frame::close(code, why), code, ctx);
            return false;
        }
        match message {
            Ok(ClientMessage::Auth(token)) => return self.log_in(&token, ctx),
            Ok(ClientMessage::Ping(None, _)) => ctx.write(message::pong(None)),
            Ok(ClientMessage::Ping(Some(id), cursor))
                if self
                    .shard
                    .ping_query(self.slot, &self.conn, &id, cursor.as_ref()) => {}
            Ok(ClientMessage::Ping(Some(id), Some(cursor))) => {
                if self.shard.await_receipt(self.slot, &self.conn, &id, cursor) {
                    ctx.write(message::pong(Some(&id)));
                }
            }
            Ok(ClientMessage::Ping(Some(id), None)) => {
                if self.shard.ping(self.slot, &self.conn, &id) {
                    ctx.write(message::pong(Some(&id)));
                }
            }
            Ok(ClientMessage::Subscribe(wanted)) => self.subscribe(wanted, ctx),
            Ok(ClientMessage::Unsubscribe(id)) => {
                let reply = self.shard.unsubscribe(self.slot, &self.conn, &id);
                ctx.write(reply.unwrap_or_else(|refusal| message::error(&refusal)));
            }
            Err(refusal) => ctx.write(message::error(&refusal)),
        }
        true
    }

    fn log_in(&mut self, token: &Token, ctx: &mut HttpContext<Self>) -> bool {
        match self.shard.log_in(self.slot, &self.conn, token) {
            Login::Begun(said, principal) => {
                if self.place.belong_to(&principal).is_err() {
                    let code = CloseCode::RATE;
                    let why = "too many clients are connected with your token; close some";
                    self.close(frame::close(code, why), code, ctx);
                    return false;
                }
                ctx.write(welcome());
                ctx.write(said);
                for first in std::mem::take(&mut self.first) {
                    match first {
                        Ok(wanted) => self.subscribe(wanted, ctx),
                        Err(refusal) => ctx.write(message::error(&refusal)),
                    }
                }
            }
            Login::GoesOn(said) => ctx.write(said),
            Login::KeyPending => {
                let code = CloseCode::TRY_LATER;
                let why = "the key of this token is being looked for; come back in a moment";
                self.close(frame::close(code, why), code, ctx);
                return false;
            }
            Login::Rejected(why) => {
                let code = CloseCode::UNAUTHENTICATED;
                let why = format!("the token is not taken: {why}");
                self.close(frame::close(code, &why), code, ctx);
                return false;
            }
        }
        true
    }

    fn close(&self, frame: Bytes, code: CloseCode, ctx: &mut HttpContext<Self>) {
        ctx.write(frame);
        self.closed.set(Some(code));
        ctx.stop();
    }
}

impl Actor for Session {
    type Context = HttpContext<Self>;
}

/// The end of the stream is the end of the socket: the default `finished` stops the actor.
impl StreamHandler<Inbound> for Session {
    fn handle(&mut self, inbound: Inbound, ctx: &mut Self::Context) {
        for event in inbound.events {
            if self
                .messages
                .as_ref()
                .is_some_and(|messages| !messages.may())
            {
                self.shard.metrics.limit("messages");
                let code = CloseCode::RATE;
                let why = "too many messages; come back with your cursor, and send fewer";
                return self.close(frame::close(code, why), code, ctx);
            }
            match event {
                Event::Text(text) => {
                    if !self.say(&text, ctx) {
                        return;
                    }
                }
                Event::Ping(payload) => ctx.write(frame::pong(&payload)),
                Event::Pong(_) => {}
                Event::Close(reason) => {
                    let code = reason.as_ref().map_or(CloseCode::NORMAL, |r| r.code);
                    return self.close(frame::close_reply(reason.as_ref()), code, ctx);
                }
                // Compressed ones have been inflated.
                Event::Binary(_) | Event::Compressed { .. } => {
                    let code = CloseCode::UNSUPPORTED;
                    return self.close(frame::close(code, "plank.v1 is JSON text"), code, ctx);
                }
            }
        }
        if let Some(violation) = inbound.violation {
            let code = violation.close_code();
            self.close(frame::close(code, &violation.to_string()), code, ctx);
        }
    }
}

fn welcome() -> Bytes {
    message::welcome(&uuid::Uuid::new_v4().to_string())
}

/// Where the task of a session is.
enum Phase {
    /// The actor lives.
    Open(Pin<Box<dyn Stream<Item = Result<Bytes, actix_web::Error>>>>),
    /// A close frame is on its way.
    Closing,
    /// It has been written. A socket that is dropped with unread bytes resets the connection, and the close frame would
    /// be lost, so the peer gets time to close its side (RFC 6455, section 7.1.1).
    Lingering(Pin<Box<Sleep>>, usize),
}

/// The task of one session.
struct Io {
    gate: Rc<Gate>,
    slot: usize,
    conn: Rc<Conn>,
    shard: Rc<ShardState>,
    closed: Rc<Cell<Option<CloseCode>>>,
    phase: Phase,
    /// Free again after the client has been let go.
    _place: Rc<Permit>,
}

/// Serves a WebSocket whose handshake is over, or a pipe. `deflates` says that permessage-deflate was negotiated, `early`
/// is what had been read behind the request, `first` the subscriptions that the request asked for. Without a `viewer` the
/// client has to say whose it is before anything else. What is returned does not keep the client.
pub fn serve(
    socket: impl Into<Socket>,
    deflates: bool,
    early: Bytes,
    mut first: Vec<Result<Subscribe, Refusal>>,
    viewer: Option<Viewer>,
    shard: Rc<ShardState>,
    place: Permit,
) -> Weak<Conn> {
    let (slot, conn) = shard.attach(socket.into(), deflates, viewer);
    conn.set_address(place.address());
    // At once: before the actor's first turn the shard may send a heartbeat, whose cursor would not hold for a
    // subscription that it does not know.
    if !conn.is_anonymous() {
        shard.reply(&conn, welcome());
        for first in std::mem::take(&mut first) {
            if let Err(refusal) = first.and_then(|wanted| shard.subscribe(slot, &conn, wanted)) {
                shard.reply(&conn, message::error(&refusal));
            }
        }
    }
    let place = Rc::new(place);
    let client = Rc::downgrade(&conn);
    let closed = Rc::default();
    let gate = Rc::<Gate>::default();
    let reader = Reader {
        gate: gate.clone(),
        conn: conn.clone(),
        shard: shard.clone(),
        decoder: Decoder::new(shard.message_bytes_max).with_deflate(deflates),
        unread: early,
    };
    let session = Session {
        slot,
        conn: conn.clone(),
        shard: shard.clone(),
        closed: Rc::clone(&closed),
        first,
        messages: place.is_counted().then(|| shard.rates.of_session()),
        place: place.clone(),
    };
    let replies = HttpContext::with_factory(move |ctx: &mut HttpContext<Session>| {
        ctx.add_stream(reader);
        session
    });
    actix_rt::spawn(Io {
        gate,
        slot,
        conn,
        shard,
        closed,
        phase: Phase::Open(Box::pin(replies)),
        _place: place,
    });
    client
}

impl Io {
    /// Lets the actor run for one read, and sends its replies in one write. True while it lives.
    fn poll_actor(&mut self, cx: &mut Task<'_>) -> bool {
        let Phase::Open(actor) = &mut self.phase else {
            return false;
        };
        let mut replies: SmallVec<[Bytes; 4]> = SmallVec::new();
        self.gate.may_read.set(true);
        let ended = loop {
            match actor.as_mut().poll_next(cx) {
                Poll::Pending => break false,
                Poll::Ready(Some(Ok(bytes))) => replies.push(bytes),
                Poll::Ready(Some(Err(_)) | None) => break true,
            }
        };
        match replies.len() {
            0 => {}
            1 => self.shard.reply(&self.conn, replies.remove(0)),
            _ => self.shard.reply(&self.conn, replies.concat().into()),
        }
        if ended {
            self.conn.finish(self.closed.get());
        }
        if self.conn.is_over() {
            self.phase = Phase::Closing;
        }
        !self.conn.is_over()
    }

    /// Writes on if the socket is full. Ready when nothing is left to write.
    fn poll_drain(&self, cx: &mut Task<'_>) -> Poll<()> {
        while self.conn.is_blocked() {
            if ready!(self.conn.socket().poll_write_ready(cx)).is_err() {
                self.conn.give_up();
            } else if self.shard.drain(&self.conn) != Wrote::Blocked {
                break;
            }
        }
        Poll::Ready(())
    }

    /// Reads and throws away until the peer closes its side. Ready when it has, or has had its chance.
    fn poll_linger(&mut self, cx: &mut Task<'_>) -> Poll<()> {
        let Phase::Lingering(deadline, left) = &mut self.phase else {
            return Poll::Ready(());
        };
        if deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        loop {
            if ready!(self.conn.socket().poll_read_ready(cx)).is_err() {
                return Poll::Ready(());
            }
            match SCRATCH.with_borrow_mut(|scratch| self.conn.socket().try_read(scratch)) {
                Ok(n) if n > 0 && n <= *left => *left -= n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                _ => return Poll::Ready(()),
            }
        }
    }
}

impl Future for Io {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Task<'_>) -> Poll<()> {
        self.conn.set_waker(cx.waker());
        loop {
            let lives = self.poll_actor(cx);
            let drained = self.poll_drain(cx);
            if self.conn.is_dead() {
                return Poll::Ready(());
            }
            if lives && !self.conn.replies_full() && self.gate.is_waiting.take() {
                continue;
            }
            if lives || drained.is_pending() {
                return Poll::Pending;
            }
            if let Phase::Lingering(..) = self.phase {
                return self.poll_linger(cx);
            }
            if self.conn.socket().shutdown_write().is_err() {
                return Poll::Ready(());
            }
            self.phase = Phase::Lingering(Box::pin(sleep(LINGER_MAX)), LINGER_BYTES_MAX);
        }
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        self.shard.detach(self.slot);
    }
}
