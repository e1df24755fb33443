//! What the hub is told and asked.

use std::net::SocketAddr;
use std::sync::Arc;

use actix::prelude::*;

use crate::auth::Viewer;
use crate::feed::catalog::Oid;
use crate::feed::derived::Entry;
use crate::feed::window::Piece;
use crate::feed::{Catalog, Cursor, LogRow, Rest, Table, TopicId, View};
use crate::wire::message::{Refusal, ResetReason, Subscribe as Wanted};

use super::{ShardId, ShardLink, SubscriptionKey, TopicRequest};

// by the listener

/// The listener stands at a cursor and hears the doorbell.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Live {
    /// Where it reads on from.
    pub cursor: Cursor,
    /// The tables that are watched now. The log tells what changes from the cursor on, so a table that is missing here
    /// may still have changes to come.
    pub catalog: Catalog,
    /// Why what was delivered before does not lead to this cursor, if it does not.
    pub broken: Option<ResetReason>,
}

/// The database is out of reach. What is subscribed stays subscribed.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Lost;

/// A part of a batch: rows of the log in the order of `seq`.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Chunk {
    /// The rows.
    pub rows: Vec<LogRow>,
    /// The cursor after the batch.
    pub next: Arc<Cursor>,
    /// Whether the batch ends with it.
    pub last: bool,
    /// The read began after this many questions, see [`crate::actor::poll_request::PollRequest`].
    pub asked: u64,
}

// by the shards, their sessions and catch-ups

/// A worker has started.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Attach {
    /// Chosen by the worker, unique in the process.
    pub id: ShardId,
    /// Its shard.
    pub shard: ShardLink,
}

/// A session wants a subscription.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Subscribe {
    /// Where the session is.
    pub shard: ShardId,
    /// Which one, and which of its subscriptions.
    pub key: SubscriptionKey,
    /// What it wants.
    pub wanted: Arc<Wanted>,
    /// Whose it is.
    pub viewer: Viewer,
    /// It needs a topic of its own: another subscription of the same socket has the one that it would share, and what
    /// one of them catches up on is not for the other.
    pub alone: bool,
}

/// A subscription that catches up asks for what comes next. Answered between batches where it could join; while the
/// database is away that takes as long as it is.
#[derive(Debug, Message)]
#[rtype(result = "Next")]
pub struct Replay {
    /// Where the session is.
    pub shard: ShardId,
    /// Which one, and which of its subscriptions.
    pub key: SubscriptionKey,
    /// Its topic.
    pub topic: TopicId,
    /// How often the stream of the topic had broken when it began.
    pub breaks: u64,
    /// What it has.
    pub from: Arc<Cursor>,
    /// In the middle of which batch.
    pub rest: Option<Rest>,
    /// What it asked for.
    pub wanted: Arc<Wanted>,
    /// Whether it may join now; else it gets what there is, and asks again.
    pub may_join: bool,
}

/// What comes next for a subscription that catches up.
#[derive(Debug)]
pub enum Next {
    /// These rows.
    Rows(Piece, View),
    /// What the window does not have: the log of these tables. The hub stands at this cursor, and knows up to there what
    /// the view may show.
    Log(Vec<Oid>, View, Option<Arc<Cursor>>),
    /// Nothing: it has joined the topic. The rest, if any, has been sent with [`Joined`].
    Joined,
    /// It has to begin anew.
    Broken(ResetReason),
    /// The table is not watched any more.
    Gone,
}

/// Looks a table up, for requests over HTTP. One that is not known is looked for in the log first; while the database is
/// away the refusal is `busy`.
#[derive(Message)]
#[rtype(result = "Result<Found, Refusal>")]
pub struct Find {
    /// As a subscription would ask for it.
    pub wanted: Wanted,
    /// Who asks.
    pub viewer: Viewer,
}

/// Asks what the window has behind a cursor, for a request over HTTP. The answer comes with the number of the question that was
/// asked for it.
#[derive(Debug, Message)]
#[rtype(result = "(Recently, u64)")]
pub struct Recent {
    /// What it has.
    pub from: Arc<Cursor>,
    /// In the middle of which batch.
    pub rest: Option<Rest>,
    /// What it may see of which table.
    pub view: View,
    /// About how many bytes of rows it takes at a time.
    pub bytes_max: usize,
    /// The other end of its connection: tells one client that asks again from many.
    pub client: Option<SocketAddr>,
    /// The question of its first turn, see [`crate::actor::poll_request::PollRequest`]; 0 when none was asked yet.
    pub asked: u64,
}

/// What the window has.
#[derive(Debug)]
pub enum Recently {
    /// These rows, and whether nothing more had been committed when the request came.
    Rows(Piece, bool),
    /// Not that: the log has it. The hub stands at this cursor; none when it does not follow the table.
    Log(Option<Arc<Cursor>>),
    /// The cursor can't be served.
    Lost(ResetReason),
}

/// A client wants to know when a subscription has passed a cursor.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct AwaitReceipt {
    /// Where it is.
    pub shard: ShardId,
    /// Which.
    pub key: SubscriptionKey,
    /// The cursor; none for everything that is committed by now.
    pub cursor: Option<Cursor>,
    /// The topic, if it is a window or counts.
    pub derived: Option<TopicId>,
}

/// A subscription asks what its window shows, or its counts. Answered when they have been read.
#[derive(Message)]
#[rtype(result = "ShownNow")]
pub struct ShowDerived {
    /// Its topic.
    pub topic: TopicId,
    /// See [`Replay::breaks`].
    pub breaks: u64,
}

/// What a window shows, or counts.
#[derive(Debug)]
pub enum ShownNow {
    /// These rows, at the cursor that follows.
    Rows(Arc<[Arc<Entry>]>, Arc<str>, Arc<Cursor>),
    /// It has to begin anew.
    Broken(ResetReason),
    /// The table is not watched any more.
    Gone,
    /// They can't be had.
    Refused(Refusal),
}

/// A subscription has been shown rows, and joins its topic. Answered with [`Next::Joined`], [`Next::Broken`] or [`Next::Gone`].
#[derive(Debug, Message)]
#[rtype(result = "Next")]
pub struct JoinDerived {
    /// Where the session is.
    pub shard: ShardId,
    /// Which one, and which of its subscriptions.
    pub key: SubscriptionKey,
    /// Its topic.
    pub topic: TopicId,
    /// See [`Replay::breaks`].
    pub breaks: u64,
    /// What it was shown.
    pub has: Arc<[Arc<Entry>]>,
    /// What it asked for.
    pub wanted: Arc<Wanted>,
}

/// Everything up to the cursor of an [`AwaitReceipt`] has been pushed.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Receipt {
    /// Whose.
    pub key: SubscriptionKey,
    /// Why it can't be told, if it can't.
    pub refusal: Option<(&'static str, &'static str)>,
}

/// Looks a watched table up by its name, whether or not the caller may see it. The outer `None` before the listener was live for the first time.
#[derive(Message)]
#[rtype(result = "Option<Option<Arc<Table>>>")]
pub struct FindTable {
    /// As PostgreSQL quotes it.
    pub name: String,
}

/// Lists the tables that a principal may name, for requests over HTTP. None before the listener was live for the first time.
#[derive(Message)]
#[rtype(result = "Option<Listed>")]
pub struct ListTables {
    /// Who asks.
    pub viewer: Viewer,
}

/// Tables, sorted by name.
#[derive(Debug)]
pub struct Listed {
    /// Of the catalog: it rises with each change of any table.
    pub version: u64,
    /// Those that the principal may name.
    pub tables: Vec<Arc<Table>>,
}

/// Asks which topics send the most, for operators.
#[derive(Message)]
#[rtype(result = "Heaviest")]
pub struct FindHeaviest;

/// The heaviest topics, the heaviest first.
#[derive(Debug)]
pub struct Heaviest {
    /// How many topics there are.
    pub total: usize,
    /// At most [`crate::limits::ACTIVITY_TOPICS_MAX`].
    pub topics: Vec<TopicLoad>,
}

/// What a topic is, and what it has sent.
#[derive(Debug)]
pub struct TopicLoad {
    /// Which.
    pub topic: TopicId,
    /// As PostgreSQL quotes it.
    pub table: String,
    /// `rows`, `window`, `counts`
    pub kind: &'static str,
    /// What the clients asked for, cut to [`crate::limits::ACTIVITY_FILTER_CHARS_MAX`].
    pub filter: Option<String>,
    /// Whose policies it goes by.
    pub role: Option<Arc<str>>,
    /// How many share it.
    pub subscriptions: usize,
    /// Changes since it began.
    pub changes: u64,
    /// Bytes of its messages, each times the subscriptions that it went to, before compression.
    pub bytes: u64,
}

/// A table, and where the hub stands.
#[derive(Debug)]
pub struct Found {
    /// Its identifier, and those of its partitions.
    pub rels: Vec<Oid>,
    /// How its rows are shown.
    pub view: View,
    /// The transaction that let the principal see them: a cursor that did not see it belongs to one that saw others.
    pub since: u64,
    /// None before the listener was live for the first time.
    pub cursor: Option<Arc<Cursor>>,
}

/// Says what a topic is: a subscription of it goes on from the log. None when its table is not watched any more.
#[derive(Message)]
#[rtype(result = "Option<(View, TopicRequest)>")]
pub struct Describe {
    /// Which.
    pub topic: TopicId,
}

/// This many subscriptions of a topic have ended on a shard.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Left {
    /// The shard.
    pub shard: ShardId,
    /// How many, of which topic.
    pub topics: Vec<(TopicId, usize)>,
}
