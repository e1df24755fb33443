//! Clients that stay, and how much they may ask.

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

/// Subscriptions of one WebSocket.
pub const SUBSCRIPTIONS_MAX: usize = 100;

/// Topics of which a shard has lost subscribers since it last told the hub. It does so every second, and at once beyond
/// this: a client that subscribes and unsubscribes all the time, each time to something else, takes no more memory.
pub const LEFT_TOPICS_MAX: usize = 1_024;

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

/// For the first attempt to prepare the database, before plank goes on and waits for it in the background.
pub const START_MAX: Duration = Duration::from_secs(10);

/// From the stop signal to the end of the process.
pub const DRAIN_MAX: Duration = Duration::from_secs(5);

/// How long the hub asks filters about changes before it looks at its mailbox.
pub const TURN_MAX: Duration = Duration::from_millis(5);

/// Bytes of messages that the hub writes for a batch before the shards have to have taken them.
pub const BATCH_TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Different topics of one principal, and of all: each has a message of its own for each batch.
pub const TOPICS_PER_PRINCIPAL_MAX: usize = 2_000;

/// See [`TOPICS_PER_PRINCIPAL_MAX`].
pub const TOPICS_MAX: usize = 200_000;

/// Bytes of changes, the newest of each key, that a subscription with `conflate` holds back while it catches up.
pub const CONFLATE_BYTES_MAX: usize = 1024 * 1024;

/// An actor that has not answered for this long is dead or stuck: `/livez` fails and the process ends.
pub const ACTOR_SILENCE_MAX: Duration = Duration::from_secs(30);

/// Clients that wait for a subscription to pass the cursor of their own write, and for how long.
pub const RECEIPTS_MAX: usize = 100_000;

/// See [`RECEIPTS_MAX`].
pub const RECEIPT_WAIT_MAX: Duration = Duration::from_secs(60);

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

/// What `/readyz` tolerates between a change's commit and its arrival at the hub.
pub const LAG_MAX: Duration = Duration::from_secs(10);
