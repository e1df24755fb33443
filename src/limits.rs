//! Every bound of the process, in one place, with the reason for its size.
//!
//! What a person may want to change is a setting (`config`); its default stands here. A bound that is reached shows in
//! a metric, in a close code or in a status: never in memory that grows.

use std::num::NonZeroU32;
use std::time::Duration;

/// Sockets that are served at once, over all workers, unless `--max-connections` says otherwise.
///
/// Below the 20,000 descriptors that many systems allow a process, with room for the database and for files.
pub const CONNECTIONS_MAX: usize = 19_000;

/// The same for one address, or for one network of IPv6 (/64), unless `--max-connections-per-ip` says otherwise. A whole
/// office may be behind one address. As many connections of it may be open that have not become clients that stay.
pub const CONNECTIONS_PER_IP_MAX: usize = 1_000;

/// Descriptors that are no client's: the database, addresses, event queues, files, and connections that have been
/// accepted and are about to be refused.
pub const DESCRIPTORS_RESERVED: usize = 200;

/// Between two lines of the log that say the same of different clients: a flood of them must not be one of the log.
pub const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Bytes of one inbound WebSocket message, fragments joined. Clients send subscriptions, nothing large.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Fragments of one inbound message, and one more for each [`FRAGMENT_BYTES_MIN`] bytes that it may have: an empty one
/// costs nothing but time.
pub const FRAGMENTS_MAX: usize = 1_024;
/// See [`FRAGMENTS_MAX`].
pub const FRAGMENT_BYTES_MIN: usize = 64;

/// Bytes of a request body on `/api`. One row of `items` fits many times over.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of a message below which it is not compressed: what is smaller than one change would hardly get smaller.
pub const DEFLATE_BYTES_MIN: usize = 256;

/// Bytes of a message above which it is not compressed: its worker does nothing else meanwhile, for some 5 ms.
pub const DEFLATE_BYTES_MAX: usize = 1024 * 1024;

/// Bytes that a worker keeps to compress and inflate into. What a larger message needs is given back behind it.
pub const DEFLATE_SCRATCH_BYTES_MAX: usize = 512 * 1024;

/// Subscriptions of one WebSocket.
pub const SUBSCRIPTIONS_MAX: usize = 100;

/// Topics of which a shard has lost subscribers since it last told the hub. It does so every second, and at once beyond
/// this: a client that subscribes and unsubscribes all the time, each time to something else, takes no more memory.
pub const LEFT_TOPICS_MAX: usize = 1_024;

/// Bytes of the `id` that a client gives to a subscription.
pub const SUBSCRIPTION_ID_BYTES_MAX: usize = 64;

/// Column names in one subscription; PostgreSQL allows 1,600 columns in a table.
pub const SUBSCRIPTION_COLUMNS_MAX: usize = 1_600;

/// Bytes of those names together.
pub const SUBSCRIPTION_COLUMNS_BYTES_MAX: usize = 8 * 1024;

/// Bytes of a filter, decoded.
pub const FILTER_BYTES_MAX: usize = 16 * 1024;

/// Conditions in a filter.
pub const FILTER_CONDITIONS_MAX: usize = 100;

/// Groups in groups.
pub const FILTER_DEPTH_MAX: usize = 10;

/// Values of one `in`.
pub const FILTER_VALUES_MAX: usize = 1_000;

/// Characters of the pattern of a `like`.
pub const FILTER_PATTERN_MAX: usize = 200;

/// Bytes of the name of a table: two quoted names of 63 bytes, each of which might be a quote.
pub const TABLE_NAME_BYTES_MAX: usize = 300;

/// Bytes read from a socket at a time, into a buffer that all the sessions of a worker share. After each read the
/// others get their turn.
pub const READ_BYTES: usize = 16 * 1024;

/// Bytes of replies (pong, error, subscribed) that may wait for a socket that accepts nothing. Beyond it nothing more
/// is read from that socket until it has taken them.
pub const CONTROL_BYTES_MAX: usize = 64 * 1024;

/// Bytes of frames that a worker keeps for the sockets that lag behind. One that falls behind it goes on from the log, or is
/// closed with 4001 where it can't.
pub const BACKLOG_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Sockets that a flush writes to before others on its thread have their turn: about 3 ms.
pub const FLUSH_SOCKETS_MAX: usize = 512;

/// Bytes that are handed to a lagging socket in one call.
pub const DRAIN_BYTES: usize = 256 * 1024;

/// Transactions of one read whose times the listener keeps, to tell how busy the writers are.
pub const BELL_TRANSACTIONS_MAX: usize = 10_000;

/// Bytes of rows after which the listener hands what it has read to the hub: a batch of any size passes in such chunks.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// Bytes of the changes of one table that wait for the end of the statement that made them, so that those of each key can be
/// put into order. Beyond it the oldest go out.
pub const STATEMENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Keys of one table that the hub remembers of statements of which a part has gone out, at 40 bytes each. A statement that
/// comes back to a key beyond it resets the clients of the table.
pub const STATEMENT_KEYS_MAX: usize = 1024 * 1024;

/// The same for a client that catches up: there may be thousands of them.
pub const STATEMENT_KEYS_OF_REPLAY_MAX: usize = 64 * 1024;

/// Bytes that wait for a response of Server-Sent Events or of a long poll, as in the buffer of a socket. Beyond it the
/// client lags.
pub const PIPE_BYTES_MAX: usize = 64 * 1024;

/// Bytes that such a response takes at a time. actix-http buffers 32 KiB and one such piece.
pub const PIPE_READ_BYTES: usize = 16 * 1024;

/// Messages in the mailbox of the hub: room for all sessions to subscribe at once. Beyond it a client is told `busy`.
pub const HUB_MAILBOX_MAX: usize = 65_536;

/// Messages in the mailbox of a shard. The hub waits for each push to be taken, and answers each subscription once, so
/// it can't be reached; it only has to be above the number of subscriptions.
pub const SHARD_MAILBOX_MAX: usize = 1 << 22;

/// Subscriptions that wait for the listener to be live before they are refused.
pub const PENDING_SUBSCRIPTIONS_MAX: usize = 100_000;

/// Between two heartbeats of a session. Below the 60 s after which nginx and most firewalls forget a quiet connection.
pub const HEARTBEAT: Duration = Duration::from_secs(25);

/// Without a single byte from a client for this long it is dead (4002). Two heartbeats may get lost.
pub const SILENCE_MAX: Duration = Duration::from_secs(65);

/// A socket that has accepted no byte for this long, with bytes waiting, is closed (4000).
pub const STALL_MAX: Duration = Duration::from_secs(20);

/// What was sent has to be acknowledged within this time, and a peer whose window is closed has to open it, or the
/// kernel ends the connection. For responses over HTTP, where nobody answers a ping: a client that has vanished is
/// noticed as early as a silent WebSocket. Above [`STALL_MAX`], so that plank is the first to say why.
pub const UNACKNOWLEDGED_MAX: Duration = SILENCE_MAX.saturating_sub(HEARTBEAT);

/// After a close frame the peer has this long to close its side, so that it can read the frame.
pub const LINGER_MAX: Duration = Duration::from_secs(1);

/// Bytes that are read and thrown away meanwhile.
pub const LINGER_BYTES_MAX: usize = 256 * 1024;

/// For the head of a request to arrive.
pub const REQUEST_HEAD_MAX: Duration = Duration::from_secs(10);

/// How long an HTTP connection may rest between two requests, unless `--keep-alive` says otherwise. Longer than nginx and
/// most load balancers keep one (60 s): when both close at the same time, a request gets lost, and a proxy does not send a
/// POST again.
pub const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// The same while more than half of the connections are taken, of the process or of the client's address.
pub const KEEP_ALIVE_CROWDED: Duration = Duration::from_secs(5);

/// For the first attempt to prepare the database, before plank goes on and waits for it in the background.
pub const START_MAX: Duration = Duration::from_secs(10);

/// For the rest of a request, and for a response to be written, when a socket is being closed.
pub const DISCONNECT_MAX: Duration = Duration::from_secs(3);

/// From the stop signal to the end of the process.
pub const DRAIN_MAX: Duration = Duration::from_secs(5);

/// One connection attempt to PostgreSQL.
pub const CONNECT_MAX: Duration = Duration::from_secs(5);

/// One statement of a request, set as `statement_timeout` in the pool's sessions.
pub const STATEMENT_MAX: Duration = Duration::from_secs(10);

/// For the heartbeat row of the canary to be written. Beyond it the connection is given up.
pub const CANARY_MAX: Duration = Duration::from_secs(5);

/// For a request to get a connection from the pool.
pub const POOL_WAIT_MAX: Duration = Duration::from_secs(3);

/// A pooled connection that was not used for this long is asked for a sign of life before a request gets it. Under load
/// none is: each has just given one.
pub const PROBE_AFTER: Duration = Duration::from_millis(100);

/// For that sign of life. Beyond it the connection is replaced. With the time for a new one a request waits less than 3 s.
pub const PROBE_MAX: Duration = Duration::from_millis(1_500);

/// How long a request may have a connection before the server is asked whether it still works for it: a path that acknowledges
/// and delivers nothing costs a request 3 s at most.
pub const LEASE_LOOK_AFTER: Duration = Duration::from_millis(1_750);
/// Between two looks at how long requests have had their connections.
pub const LEASE_LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// For the server's answer to that. Without one the way to it is dead, and the connections are closed.
pub const LEASE_ANSWER_MAX: Duration = Duration::from_secs(3);

/// How often a write is tried again that has lost against other writers (serialization failure, deadlock), and the delay
/// before the first time. It is doubled each time, and between half and all of it.
pub const RACE_RETRIES: u32 = 3;
/// See [`RACE_RETRIES`].
pub const RACE_DELAY: Duration = Duration::from_millis(20);

/// For a write of a request, with all attempts. Within it the server has answered or the connection is given up; who asks
/// is told then whether the write may have been committed.
pub const WRITE_MAX: Duration = STATEMENT_MAX.saturating_add(Duration::from_secs(1));

/// Connections of the pool for requests.
pub const POOL_CONNECTIONS_MAX: usize = 16;

/// For another node's migrations to end.
pub const MIGRATION_LOCK_MAX: Duration = Duration::from_secs(60);

/// For all migrations to run.
pub const MIGRATION_MAX: Duration = Duration::from_secs(600);

/// Between two probes of an idle listener connection, and for the answer to one: a link that swallows packets is noticed
/// after the sum of both at the latest.
pub const PING_INTERVAL: Duration = Duration::from_secs(4);
/// See [`PING_INTERVAL`].
pub const PING_MAX: Duration = Duration::from_secs(3);

/// For the next row of a read of the log to arrive while the log is being followed: a link that swallows packets.
pub const READ_MAX: Duration = Duration::from_secs(6);

/// The same for the first read of a connection, when the server may have to sort a backlog of many million rows.
pub const CATCH_UP_READ_MAX: Duration = Duration::from_secs(300);

/// Between two reads of the log that no doorbell asked for. They find nothing unless a bell was missed, which is counted.
pub const SAFETY_READ_INTERVAL: Duration = Duration::from_secs(30);

/// Transactions in a second at which the listener stops sleeping and polls when several write at a time: below it a bell
/// holds nobody up.
pub const BELL_BUSY: usize = 50;
/// The same when one writes at a time, whom a bell does not hold up: the reads would take too much. Below half of it it
/// goes back to sleep.
pub const BELL_ALONE: usize = 1_000;
/// How long the transactions of a second were open, all together, at which several are taken to write at a time. One after
/// the other they come to a second, and to the time that it takes to hear of each.
pub const BELL_COMPANY: Duration = Duration::from_millis(1_600);
/// For how long they are taken to go on: while the listener polls, nobody waits for a bell, and it can't tell.
pub const BELL_COMPANY_KEPT: Duration = Duration::from_secs(60);
/// What one transaction counts for at most: that one was open for long says nothing of others.
pub const BELL_OPEN_MAX: Duration = Duration::from_millis(100);
/// Transactions in a second below which it goes back to sleep.
pub const BELL_QUIET: usize = 10;
/// Transactions in a second up to which a listener that polls does so eagerly. From then on several come with each read
/// anyway, and a read takes time from the writers.
pub const BELL_MANY: usize = 400;
/// Between two reads of a listener that polls. On average a change waits for half of it.
pub const POLL_AWAKE: Duration = Duration::from_millis(10);
/// The same while there are some transactions, but not many: a client may write the next one when it has seen this one.
pub const POLL_EAGER: Duration = Duration::from_millis(3);
/// Between two reads of a listener that is about to sleep, and waits for older transactions to end. New ones ring.
pub const POLL_DROWSY: Duration = Duration::from_millis(50);

/// Bytes of recent changes that are kept in memory for clients that come back.
pub const WINDOW_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long the hub asks filters about changes before it looks at its mailbox.
pub const TURN_MAX: Duration = Duration::from_millis(5);

/// Bytes of messages that the hub writes for a batch before the shards have to have taken them.
pub const BATCH_TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Different topics of one principal, and of all: each has a message of its own for each batch.
pub const TOPICS_PER_PRINCIPAL_MAX: usize = 2_000;
/// See [`TOPICS_PER_PRINCIPAL_MAX`].
pub const TOPICS_MAX: usize = 200_000;

/// What a pattern costs in a filter, against any other condition: it walks through the whole value.
pub const PATTERN_COST: usize = 50;

/// What the filters of the topics of one principal may cost, and those of all: so many conditions, or as many patterns as
/// [`PATTERN_COST`] says.
pub const FILTER_COST_PER_PRINCIPAL_MAX: usize = 50_000;
/// See [`FILTER_COST_PER_PRINCIPAL_MAX`].
pub const FILTER_COST_MAX: usize = 500_000;

/// Bytes of changes that are handed at a time to a client that catches up. It takes one such piece, and only then the
/// next is made.
pub const PIECE_BYTES: usize = 64 * 1024;

/// Bytes of changes, the newest of each key, that a subscription with `conflate` holds back while it catches up.
pub const CONFLATE_BYTES_MAX: usize = 1024 * 1024;

/// A listener leaves a mark in the log after this many changes, and so a client that has missed much is led along in steps of
/// about as many.
pub const MARK_APART: i64 = 5_000;
/// Or after this many bytes of rows.
pub const MARK_BYTES: usize = 16 * 1024 * 1024;

/// Clients that read the log at a time because the window does not reach back far enough for them. The others wait.
pub const REPLAYS_MAX: usize = 4;

/// Bytes of a read of the log that many clients share: as far as from one mark to the next. A larger one is read for each.
pub const SHARED_READ_BYTES_MAX: usize = 20 * 1024 * 1024;
/// And of all that are in memory. Beyond it the oldest are forgotten, and while clients still have those, nothing more is shared.
pub const SHARED_READS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// For how long they are kept for those that come back a little later.
pub const SHARED_READ_KEPT: Duration = Duration::from_secs(120);
/// And how many: each client that asks looks through them.
pub const SHARED_READS_KEPT_MAX: usize = 256;
/// Such reads of one place, each of other tables, before the next one is of all tables.
pub const SHARED_READS_MAX: usize = 2;

/// Requests for changes that came within [`LOOKS_MEMORY`] while others waited for a look at the log, up to which each may cause a look
/// of its own. Beyond it they are a crowd: for each such request there are [`LOOKS_APART`] between two looks.
pub const LOOKS_FREE: f64 = 4.0;
/// See [`LOOKS_FREE`].
pub const LOOKS_MEMORY: Duration = Duration::from_secs(10);
/// See [`LOOKS_FREE`].
pub const LOOKS_APART: Duration = Duration::from_millis(20);
/// The longest time between two looks while a crowd waits.
pub const LOOKS_APART_MAX: Duration = Duration::from_secs(1);

/// Clients that load a snapshot at a time. The others wait.
pub const SNAPSHOTS_MAX: usize = 4;

/// Pages of tables that are read at a time, for requests. The others wait, but not behind whole tables.
pub const PAGES_MAX: usize = 4;

/// Bytes of rows of a table that are fetched at once, by the size of those before; PostgreSQL keeps them until they are sent.
pub const READ_PART_BYTES: usize = 256 * 1024;

/// Rows of a table that are fetched at once.
pub const READ_PART_ROWS_MAX: i32 = 4096;

/// For the next row of a page to arrive: a client waits for the answer.
pub const PAGE_READ_MAX: Duration = Duration::from_secs(30);

/// For a place among those. Beyond it the server is overloaded: a socket is closed with 1013, a request gets 503.
pub const HISTORY_WAIT_MAX: Duration = Duration::from_secs(60);

/// Reads of one kind that may wait for a place.
pub const HISTORY_WAITING_MAX: usize = 32_768;

/// The same for one principal or address: half of them, so that others may wait as well.
pub const HISTORY_WAITING_OF_ONE_MAX: usize = HISTORY_WAITING_MAX / 2;

/// Questions to the log that take a moment, at once. They wait behind no read.
pub const LOOKS_MAX: usize = 2;

/// How long a client may hold such a place for a replay before others get their turn. It goes on behind them.
pub const REPLAY_HOLD_MAX: Duration = Duration::from_secs(10);

/// How long a client that catches up may take for one piece before its place is given to others.
pub const REPLAY_PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long a client that loads a snapshot may take for one piece while others wait for its place. A slower one is closed
/// with 4000.
pub const SNAPSHOT_PAUSE_MAX: Duration = Duration::from_secs(5);

/// And for all pieces of a snapshot together.
pub const SNAPSHOT_WAIT_MAX: Duration = Duration::from_secs(60);

/// Between two reads that the hub asks for, on behalf of cursors that are ahead of it.
pub const NUDGE_INTERVAL_MIN: Duration = Duration::from_millis(5);

/// How long a snapshot may take. It can't be interrupted, for its rows have to be of one moment.
pub const SNAPSHOT_MAX: Duration = Duration::from_secs(600);

/// First delay before a catch-up tries the database again, doubled up to [`RECONNECT_LONGEST`].
pub const CATCH_UP_RETRY: Duration = Duration::from_millis(200);

/// Changes in one answer of `/api/changes`, at most and by default.
pub const CHANGES_MAX: usize = 10_000;
/// See [`CHANGES_MAX`].
pub const CHANGES_DEFAULT: usize = 1_000;

/// Seconds that a long poll may wait.
pub const LONG_POLL_WAIT_MAX_S: usize = 60;

/// For the rest of a batch whose beginning a long poll has passed on. Longer ones end the connection, and the client asks
/// again.
pub const LONG_POLL_PAUSE_MAX: Duration = Duration::from_secs(60);

/// Milliseconds after which an EventSource comes back, and up to how much later: each one at a time of its own.
pub const SSE_RETRY_MS: u64 = 2_000;
/// See [`SSE_RETRY_MS`].
pub const SSE_RETRY_SPREAD_MS: u64 = 1_000;

/// Bytes of log rows that an answer of `/api/changes` gathers to find a place to end at. Longer ones are streamed to the
/// end of their batch.
pub const CHANGES_BYTES_MAX: usize = 4 * 1024 * 1024;

/// First and longest delay between two attempts of the listener to connect; doubled each time, and between half and all of it.
pub const RECONNECT_FIRST: Duration = Duration::from_millis(100);
/// See [`RECONNECT_FIRST`].
pub const RECONNECT_LONGEST: Duration = Duration::from_secs(5);
/// The longest such delay while the database refuses plank, as with a wrong password.
pub const RECONNECT_REFUSED_LONGEST: Duration = Duration::from_secs(15);

/// How long changes are kept unless `--retention` says otherwise.
pub const RETENTION: Duration = Duration::from_secs(24 * 3_600);

/// How many changes are kept unless `--retention-rows` says otherwise.
pub const RETENTION_ROWS_MAX: i64 = 10_000_000;

/// Between two looks at whether the log has to be pruned: a small part of the retention, within these.
pub const PRUNE_INTERVAL_MIN: Duration = Duration::from_millis(250);
/// See [`PRUNE_INTERVAL_MIN`].
pub const PRUNE_INTERVAL_MAX: Duration = Duration::from_secs(30);

/// Between two looks at whether a watched table was altered, or its partitions.
pub const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);

/// How long `plank watch` and `plank unwatch` wait for those that use the table. Writers that come meanwhile wait behind
/// them, so it is not long.
pub const WATCH_LOCK_MAX: Duration = Duration::from_secs(5);

/// For all of `plank watch` or `plank unwatch`, with the locks of all partitions.
pub const WATCH_MAX: Duration = Duration::from_secs(60);

/// For `plank tail` to reach a server: its name, the connection, TLS and the handshake.
pub const TAIL_CONNECT_MAX: Duration = Duration::from_secs(10);

/// For `plank tail` to send a message.
pub const TAIL_SEND_MAX: Duration = Duration::from_secs(10);

/// First and longest delay before `plank tail` comes back; doubled each time, and anything between none and all of it.
pub const TAIL_RETRY_FIRST: Duration = Duration::from_millis(250);
/// See [`TAIL_RETRY_FIRST`].
pub const TAIL_RETRY_LONGEST: Duration = Duration::from_secs(10);

/// A connection of `plank tail` that has lasted this long was a good one: the delays begin anew.
pub const TAIL_STEADY: Duration = Duration::from_secs(5);

/// Bytes of an unfinished batch that `plank tail` holds back, so that nothing of it is printed twice when the connection
/// is cut. A larger batch is printed as it comes.
pub const TAIL_BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of one message that `plank tail` takes. A message has at least one whole change, and PostgreSQL's longest value
/// is 1 GiB.
pub const TAIL_MESSAGE_BYTES_MAX: usize = 1_280 * 1024 * 1024;

/// The longest time between two heartbeats that `plank tail` believes a server.
pub const TAIL_HEARTBEAT_MAX: Duration = Duration::from_secs(3_600);

/// An actor that has not answered for this long is dead or stuck: `/livez` fails and the process ends.
pub const ACTOR_SILENCE_MAX: Duration = Duration::from_secs(30);

/// Rows in one answer of `/api/tables/{table}/rows`, at most and by default. As NDJSON there may be any number.
pub const ROWS_MAX: usize = 10_000;
/// See [`ROWS_MAX`].
pub const ROWS_DEFAULT: usize = 1_000;

/// Clients that wait for a subscription to pass the cursor of their own write, and for how long.
pub const RECEIPTS_MAX: usize = 100_000;
/// See [`RECEIPTS_MAX`].
pub const RECEIPT_WAIT_MAX: Duration = Duration::from_secs(60);

/// Rows of one answer of `/rest`: as many as a request can ask for, and as many as it gets that does not say.
pub const REST_ROWS_MAX: usize = 1_000;
/// Bytes of the rows of one answer of `/rest`.
pub const REST_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Rows that `Prefer: count=estimated` counts one by one.
pub const REST_COUNT_MAX: u64 = 10_000;
/// Rows of one write of `/rest`, and operations of one batch.
pub const REST_WRITES_MAX: usize = 1_000;
/// How long the answer to an `Idempotency-Key` is kept.
pub const IDEMPOTENCY_KEPT: Duration = Duration::from_secs(24 * 3_600);
/// Bytes of an `Idempotency-Key`.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// Columns that a client names in `order`.
pub const ORDER_COLUMNS_MAX: usize = 16;

/// Bytes of the values that say where a page ends. They come back in a query string, which most programs and proxies
/// don't let grow beyond 8 KiB.
pub const PLACE_BYTES_MAX: usize = 4 * 1024;

/// Rows of a page of `/api/items`, at most and by default.
pub const PAGE_ROWS_MAX: u32 = 200;
/// See [`PAGE_ROWS_MAX`].
pub const PAGE_ROWS_DEFAULT: u32 = 50;

/// Bytes of a token. Headers of 8 KiB are what most servers and proxies take.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Bytes of a token that fits into a cookie together with its name (RFC 6265, 6.1).
pub const COOKIE_TOKEN_BYTES_MAX: usize = 3_800;

/// By how much the clock of the issuer of tokens may differ.
pub const TOKEN_LEEWAY: Duration = Duration::from_secs(5);

/// Bytes of a secret, at least: what HS256 makes is as long (RFC 7518, 3.2).
pub const SECRET_BYTES_MIN: usize = 32;

/// Bytes of a file with keys.
pub const KEYS_BYTES_MAX: u64 = 1024 * 1024;

/// How often it is looked whether a file with keys has changed, at most.
pub const KEYS_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Between two reads of the keys at `--jwt-jwks-url`. A key that is taken back there works for this long.
pub const JWKS_INTERVAL: Duration = Duration::from_secs(300);

/// Between two reads that tokens with an unknown `kid` cause: anybody can make one up.
pub const JWKS_ASK_INTERVAL_MIN: Duration = Duration::from_secs(60);

/// First delay before the URL is asked again when it does not answer, doubled up to [`JWKS_ASK_INTERVAL_MIN`].
pub const JWKS_RETRY_FIRST: Duration = Duration::from_secs(1);

/// For an answer of the URL.
pub const JWKS_ANSWER_MAX: Duration = Duration::from_secs(5);

/// How long a request waits for a key that may have come to the URL just now.
pub const JWKS_ASK_MAX: Duration = JWKS_ANSWER_MAX.saturating_add(Duration::from_secs(1));

/// Unix time from which on a claim is taken for milliseconds: in seconds it is the year 5138.
pub const CLAIM_SECONDS_MAX: f64 = 1e11;

/// Between two looks at whose tokens have been taken back. A session looks as often again, and both are below a second.
pub const REVOKED_INTERVAL: Duration = Duration::from_millis(400);

/// How long a client of a WebSocket may take to say who it is, if its request did not.
pub const AUTH_MAX: Duration = Duration::from_secs(5);

/// Requests of one address or principal in a second, by default.
pub const REQUESTS_PER_SECOND: u32 = 100;
/// Handshakes of WebSockets of one address in a second, by default. Five seconds' worth may come at once: as many as one
/// address may have open, so that all of an office is back at once when plank has been restarted (400 clients in 0.7 s, docs/decisions).
pub const HANDSHAKES_PER_SECOND: u32 = 200;
/// The longest time that a handshake which is refused is told to wait, which the client believes.
pub const LINE_WAIT_MAX: Duration = Duration::from_secs(60);
/// Refused handshakes that are remembered, over all addresses, until their clients ask: 16 bytes each.
pub const LINE_PLACES_MAX: usize = 100_000;
/// Messages and pings on one WebSocket in a second, by default.
pub const MESSAGES_PER_SECOND: u32 = 50;
/// How many seconds' worth may come at once.
pub const RATE_BURST_S: NonZeroU32 = NonZeroU32::new(5).unwrap();
/// Addresses, or principals, that are remembered for their rates.
pub const RATE_KEYS_MAX: usize = 100_000;

/// WebSockets, streams and long polls of one principal, by default.
pub const CONNECTIONS_PER_PRINCIPAL_MAX: usize = 100;

/// How long a ticket works.
pub const TICKET_TTL: Duration = Duration::from_secs(30);

/// What `/readyz` tolerates between a change's commit and its arrival at the hub.
pub const LAG_MAX: Duration = Duration::from_secs(10);

const _: () = assert!(
    PING_INTERVAL.as_secs() + PING_MAX.as_secs() < 10,
    "a black-holed link is noticed within 10 s"
);
const _: () = assert!(READ_MAX.as_secs() < 10, "also in the middle of a read");
const _: () = assert!(
    SILENCE_MAX.as_secs() > 2 * HEARTBEAT.as_secs(),
    "two heartbeats may get lost"
);
const _: () = assert!(
    (HANDSHAKES_PER_SECOND * RATE_BURST_S.get()) as usize >= CONNECTIONS_PER_IP_MAX,
    "all clients of an address come back at once after a restart"
);
const _: () = assert!(DRAIN_BYTES < BACKLOG_BYTES_MAX);
const _: () = assert!(STALL_MAX.as_secs() < UNACKNOWLEDGED_MAX.as_secs());
const _: () = assert!(PIPE_READ_BYTES < PIPE_BYTES_MAX);
const _: () = assert!(BELL_QUIET < BELL_BUSY, "or it would never be still");
const _: () = assert!(BELL_BUSY < BELL_MANY && BELL_MANY <= BELL_ALONE / 2);
const _: () = assert!(POLL_EAGER.as_millis() < POLL_AWAKE.as_millis());
const _: () = assert!(
    POLL_DROWSY.as_millis() < 1_000,
    "SQL calls are followed within a second"
);
const _: () = assert!(PIECE_BYTES < WINDOW_BYTES_MAX);
const _: () = assert!(MESSAGE_BYTES_MAX >= READ_BYTES);
const _: () = assert!(
    CHUNK_BYTES < DEFLATE_SCRATCH_BYTES_MAX && DEFLATE_SCRATCH_BYTES_MAX <= DEFLATE_BYTES_MAX,
    "what a batch is cut into is compressed without an allocation"
);
