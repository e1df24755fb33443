//! Authentication of a session: what `auth` does, and when a session ends because it did not authenticate in time, or its token expired.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::auth::principal::{unix_now, unix_now_s};
use crate::auth::{Principal, Rejected, Viewer};
use crate::limits::AUTH_MAX;
use crate::wire::close::CloseCode;
use crate::wire::message::{self, Refusal, Token};

use super::connection::Conn;
use super::state::ShardState;

/// How often a shard looks whose time is up: sessions end within a second of their token.
pub(in crate::actor) const END_INTERVAL: Duration = Duration::from_millis(250);

/// From a look at a token to the session that it is for: a handshake that waits for the database, and is answered.
const JOIN_MAX: Duration = Duration::from_secs(20);

/// What has become of an `auth`.
pub(in crate::actor) enum Login {
    /// The session is this one's from now on; the bytes say so.
    Begun(Bytes, Arc<Principal>),
    /// The same one goes on, with a fresh token or with what is said here.
    GoesOn(Bytes),
    /// The session ends.
    Rejected(Rejected),
    /// The key of the token may come in a moment; the session ends, and its client comes back.
    KeyPending,
}

impl ShardState {
    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// When a session has to end, on the shard's clock in milliseconds; none for never.
    pub(in crate::actor) fn end_of(&self, viewer: Option<&Viewer>) -> Option<u64> {
        let rest = match viewer {
            Some(Viewer::Everybody) => return None,
            Some(Viewer::One(principal)) => {
                Duration::from_secs(principal.exp).saturating_sub(unix_now())
            }
            None => AUTH_MAX,
        };
        let rest_ms = u64::try_from(rest.as_millis()).unwrap_or(u64::MAX);
        Some(self.now_ms().saturating_add(rest_ms))
    }

    /// Notes when to let a client go.
    pub(in crate::actor) fn end_at(&self, slot: usize, conn: &Conn, end: Option<u64>) {
        let mut ends = self.ends.borrow_mut();
        if let Some(before) = conn.ends_at_ms().replace(end) {
            ends.remove(&(before, slot));
        }
        ends.extend(end.map(|end| (end, slot)));
    }

    /// Closes the sessions of those whose tokens have been taken back since the last look.
    fn end_those_that_are_revoked(&self) {
        let Some(tokens) = &self.tokens else { return };
        let version = tokens.revoked().version();
        let now = self.now_ms();
        if self.revoked_seen.replace(version) != version {
            let while_some_join = now.saturating_add(JOIN_MAX.as_millis() as u64);
            self.revoked_until.set(while_some_join);
        } else if now > self.revoked_until.get() {
            return;
        }
        let is_revoked = |conn: &Conn| {
            let viewer = conn.viewer();
            let principal = viewer.as_ref().and_then(Viewer::principal);
            principal.is_some_and(|principal| tokens.revoked().has(principal))
        };
        let conns = self.conns.borrow();
        let slots = conns.iter().filter(|(_, conn)| is_revoked(conn));
        let slots: Vec<_> = slots.map(|(slot, conn)| (slot, conn.clone())).collect();
        drop(conns);
        for (slot, conn) in slots {
            self.end_at(slot, &conn, None);
            let why = "the token has been revoked; come back with a new one";
            self.close(&conn, CloseCode::TOKEN_EXPIRED, why);
        }
    }

    /// Closes the sessions whose time is up.
    pub(in crate::actor) fn end_those_that_are_over(&self) {
        self.end_those_that_are_revoked();
        let now = self.now_ms();
        loop {
            let slot = match self.ends.borrow().first() {
                Some((end, slot)) if *end <= now => *slot,
                _ => return,
            };
            let conn = self.conns.borrow()[slot].clone();
            self.end_at(slot, &conn, None);
            if conn.is_anonymous() {
                self.metrics.limit("auth_time");
                let why = "nobody has said who this is; send auth first";
                self.close(&conn, CloseCode::UNAUTHENTICATED, why);
            } else {
                let why = "the token has expired; come back with a new one";
                self.close(&conn, CloseCode::TOKEN_EXPIRED, why);
            }
        }
    }

    /// A client says who it is.
    pub(in crate::actor) fn log_in(&self, slot: usize, conn: &Conn, token: &Token) -> Login {
        let Some(tokens) = &self.tokens else {
            let message = "authentication is off: this server runs with --auth off";
            return Login::GoesOn(message::error(&refusal("auth_off", message)));
        };
        let fresh = match tokens.check(&token.0) {
            Ok(principal) => principal,
            Err(Rejected::UnknownKey) if tokens.ask_for_key_of(&token.0) => {
                return Login::KeyPending;
            }
            Err(rejected) => return Login::Rejected(rejected),
        };
        let known = conn.viewer();
        if let Some(known) = known.as_ref().and_then(Viewer::principal)
            && !known.is_same(&fresh)
        {
            let message = "this session belongs to another principal, or its rights have changed; open a new one with this token";
            return Login::GoesOn(message::error(&refusal("other_principal", message)));
        }
        let expires_in_s = fresh.exp.saturating_sub(unix_now_s());
        let said = message::authenticated(&fresh.sub, fresh.exp, expires_in_s);
        let viewer = Viewer::One(fresh.clone());
        self.end_at(slot, conn, self.end_of(Some(&viewer)));
        conn.set_viewer(viewer);
        match known {
            None => Login::Begun(said, fresh),
            Some(_) => Login::GoesOn(said),
        }
    }
}

fn refusal(code: &'static str, message: &str) -> Refusal {
    Refusal {
        id: None,
        code,
        message: message.into(),
        field: Some("token".into()),
    }
}
