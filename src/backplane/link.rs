//! The talk with NATS: a connection, the stream of a log, appends to it and messages from it. Each question has a deadline.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::context::{GetStreamErrorKind, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, Info, RetentionPolicy, StorageType, Stream,
};
use async_nats::jetstream::{self, Context, ErrorCode};
use async_nats::{Client, ConnectOptions, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::time::timeout;

use crate::config::{Backplane, Login};
use crate::feed::{EPOCH_BYTES, Epoch, SEAL_BYTES};
use crate::limits::{
    BACKPLANE_ACK_MAX, BACKPLANE_AGAIN_FIRST, BACKPLANE_AGAIN_LONGEST, BACKPLANE_CONNECT_MAX,
    BACKPLANE_HEADER_BYTES, BACKPLANE_HISTORY, BACKPLANE_PART_BYTES_MAX, BACKPLANE_PULL_MAX,
    BACKPLANE_WAITING_MAX, WINDOW_BYTES_MAX,
};

use super::codec::FRAME_BYTES;
use super::retry::Retry;

/// Without an answer to a ping for twice this long, the connection is made anew.
const PING_INTERVAL: Duration = Duration::from_secs(2);

/// A consumer of which nothing is heard is forgotten by NATS after this long.
const CONSUMER_KEPT: Duration = Duration::from_secs(30);

/// Of a stream that plank has made.
pub(super) const DESCRIPTION: &str = "changes of PostgreSQL, for the nodes of plank";

/// The name of each stream begins with it.
pub(super) const NAME_PREFIX: &str = "plank_";

/// How many servers keep the stream, where there are as many.
const REPLICAS: usize = 3;

/// What the stream takes as one message, with its headers.
const MESSAGE_BYTES_MAX: i32 = (BACKPLANE_PART_BYTES_MAX + BACKPLANE_HEADER_BYTES) as i32;

/// NATS is away, or says no. The text is for people and has no secret in it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LinkError(pub String);

pub(super) fn away(what: &str, error: &dyn std::error::Error) -> LinkError {
    let mut text = format!("NATS: {what}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    LinkError(text)
}

pub(super) fn silent(what: &str) -> LinkError {
    LinkError(format!("NATS does not answer ({what})"))
}

/// Why an append was not made, or not heard to be made.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The stream does not end where it was said to.
    #[error("the stream does not end where this reader has left it")]
    Refused,
    /// There is no room.
    #[error("{0}")]
    Full(String),
    /// It may have been made.
    #[error("{0}")]
    Away(String),
}

/// A connection to NATS.
#[derive(Clone, Debug)]
pub struct Link {
    client: Client,
    pub(super) context: Context,
}

impl Link {
    /// Connects.
    ///
    /// # Errors
    /// If no server answers, or it refuses.
    pub async fn connect(config: &Backplane, role: &str) -> Result<Self, LinkError> {
        let mut options = ConnectOptions::new()
            .name(format!("plank {role}"))
            .connection_timeout(BACKPLANE_CONNECT_MAX)
            .request_timeout(Some(BACKPLANE_CONNECT_MAX))
            .ping_interval(PING_INTERVAL)
            .subscription_capacity(BACKPLANE_WAITING_MAX)
            .reconnect_delay_callback(|failures| {
                Retry::new(BACKPLANE_AGAIN_FIRST, BACKPLANE_AGAIN_LONGEST).after(failures)
            })
            .event_callback(|event| async move { log::debug!("nats event=\"{event}\"") });
        if let Some(ca) = &config.ca {
            options = options.add_root_certificates(ca.clone()).require_tls(true);
        }
        options = match config.login.clone() {
            None => options,
            Some(Login::Password(user, password)) => options.user_and_password(user, password),
            Some(Login::Token(token)) => options.token(token),
        };
        if let Some(path) = &config.credentials {
            let read = options.credentials_file(path).await;
            options = read.map_err(|e| away("the credentials file", &e))?;
        }
        let servers = config.servers.iter().map(|server| server.parse());
        let servers: Vec<async_nats::ServerAddr> =
            servers
                .collect::<Result<_, std::io::Error>>()
                .map_err(|_| LinkError("--backplane is no URL of NATS".into()))?;
        let patience = BACKPLANE_CONNECT_MAX * servers.len().max(1) as u32;
        // Boxed: it is large.
        let connected = timeout(patience, Box::pin(options.connect(servers))).await;
        let client = connected
            .map_err(|_| silent("connect"))?
            .map_err(|e| away("connect", &e))?;
        let context = jetstream::context::ContextBuilder::new()
            .timeout(BACKPLANE_CONNECT_MAX)
            .ack_timeout(BACKPLANE_ACK_MAX)
            .build(client.clone());
        Ok(Self { client, context })
    }

    /// The stream of a log, if there is one.
    ///
    /// # Errors
    /// If NATS is away.
    pub async fn find(&self, epoch: &Epoch) -> Result<Option<LogStream>, LinkError> {
        let names = Names::of(epoch);
        let found = timeout(
            2 * BACKPLANE_CONNECT_MAX,
            self.context.get_stream(&names.stream),
        )
        .await;
        match found.map_err(|_| silent("stream"))? {
            Ok(stream) => Ok(Some(LogStream {
                link: self.clone(),
                epoch: *epoch,
                names: Arc::new(names),
                stream,
            })),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(e)
                    if e.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                {
                    Ok(None)
                }
                _ => Err(away("stream", &error)),
            },
        }
    }

    /// The stream of a log; it is made where there is none.
    ///
    /// # Errors
    /// If NATS is away, or does not let it be made.
    pub async fn make(&self, epoch: &Epoch, config: &Backplane) -> Result<LogStream, LinkError> {
        if let Some(stream) = self.find(epoch).await? {
            return Ok(stream);
        }
        let names = Names::of(epoch);
        let mut refused = None;
        for replicas in [REPLICAS, 1] {
            let wanted = Config {
                name: names.stream.clone(),
                description: Some(DESCRIPTION.into()),
                subjects: vec![names.log.clone()],
                max_age: config.age,
                max_bytes: config.bytes,
                // What is larger is of others: a follower holds some messages at a time.
                max_message_size: MESSAGE_BYTES_MAX,
                max_messages: -1,
                max_messages_per_subject: -1,
                max_consumers: -1,
                discard: DiscardPolicy::Old,
                retention: RetentionPolicy::Limits,
                storage: StorageType::File,
                num_replicas: replicas,
                allow_direct: true,
                duplicate_window: config.age.min(Duration::from_secs(10)),
                ..Config::default()
            };
            match timeout(
                2 * BACKPLANE_CONNECT_MAX,
                self.context.create_stream(wanted),
            )
            .await
            {
                Ok(Ok(_)) => {
                    log::info!("stream made name={} replicas={replicas}", names.stream);
                    break;
                }
                Ok(Err(error)) => refused = Some(away("stream", &error)),
                Err(_) => refused = Some(silent("stream")),
            }
        }
        // Another node may have been faster.
        match (self.find(epoch).await?, refused) {
            (Some(stream), _) => Ok(stream),
            (None, Some(refused)) => Err(refused),
            (None, None) => Err(LinkError(
                "NATS: the stream that was made is not there".into(),
            )),
        }
    }

    /// The version of the server.
    pub fn version(&self) -> String {
        self.client.server_info().version
    }
}

#[derive(Debug)]
struct Names {
    stream: String,
    log: String,
    ask: String,
}

impl Names {
    fn of(epoch: &Epoch) -> Self {
        let hex: String = epoch
            .id()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        debug_assert_eq!(hex.len(), 2 * EPOCH_BYTES);
        Self {
            stream: format!("{NAME_PREFIX}{hex}"),
            log: format!("plank_log.{hex}"),
            ask: format!("plank_ask.{hex}"),
        }
    }
}

/// Where a stream ends, and which one it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The number of its last message; 0 if there was none yet.
    pub sequence: u64,
    /// When it was made, in nanoseconds of Unix time: one that was made anew counts anew.
    pub made: i128,
}

/// The stream of a log.
#[derive(Clone, Debug)]
pub struct LogStream {
    link: Link,
    epoch: Epoch,
    names: Arc<Names>,
    stream: Stream,
}

impl LogStream {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.names.stream
    }

    /// Its settings, and what is in it.
    ///
    /// # Errors
    /// If NATS is away.
    pub async fn info(&self) -> Result<Info, LinkError> {
        let info = timeout(BACKPLANE_CONNECT_MAX, self.stream.get_info()).await;
        let info = info.map_err(|_| silent("stream info"))?;
        info.map_err(|e| away("stream info", &e))
    }

    /// Where it ends.
    ///
    /// # Errors
    /// If NATS is away.
    pub async fn tail(&self) -> Result<Tail, LinkError> {
        let info = self.info().await?;
        Ok(Tail {
            sequence: info.state.last_sequence,
            made: info.created.unix_timestamp_nanos(),
        })
    }

    /// One message; none if it is not there any more.
    ///
    /// # Errors
    /// If NATS is away.
    pub async fn get(&self, sequence: u64) -> Result<Option<(Bytes, i128)>, LinkError> {
        let got = timeout(BACKPLANE_CONNECT_MAX, self.stream.get_raw_message(sequence)).await;
        match got.map_err(|_| silent("message"))? {
            Ok(message) => Ok(Some((message.payload, message.time.unix_timestamp_nanos()))),
            Err(error) => match error.kind() {
                jetstream::stream::RawMessageErrorKind::NoMessageFound => Ok(None),
                _ => Err(away("message", &error)),
            },
        }
    }

    /// From where on a node that starts reads the stream: [`BACKPLANE_HISTORY`] back, or a window.
    ///
    /// # Errors
    /// If NATS is away.
    pub async fn history(&self) -> Result<u64, LinkError> {
        let state = self.info().await?.state;
        let (first, last) = (state.first_sequence.max(1), state.last_sequence);
        let bytes_of_one = (state.bytes / state.messages.max(1)).max(1);
        let fit = WINDOW_BYTES_MAX as u64 / bytes_of_one;
        let since =
            state.last_timestamp.unix_timestamp_nanos() - BACKPLANE_HISTORY.as_nanos() as i128;
        // Everything from `high` on is new enough.
        let (mut low, mut high) = (first.max((last + 1).saturating_sub(fit)), last + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle).await? {
                Some((_, at)) if at >= since => high = middle,
                _ => low = middle + 1,
            }
        }
        Ok(high)
    }

    /// Appends behind the message `expected`; the number of the new one.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub async fn append(&self, payload: Bytes, expected: u64) -> Result<u64, AppendError> {
        let message = PublishMessage::build()
            .payload(payload)
            .expected_stream(&self.names.stream)
            .expected_last_sequence(expected);
        let append = async {
            let sent = self
                .link
                .context
                .send_publish(self.names.log.clone(), message);
            sent.await?.await
        };
        let appended = timeout(2 * BACKPLANE_ACK_MAX, append).await;
        let error = match appended {
            Ok(Ok(ack)) => return Ok(ack.sequence),
            Ok(Err(error)) => error,
            Err(_) => return Err(AppendError::Away(silent("append").0)),
        };
        if error.kind() == PublishErrorKind::WrongLastSequence {
            return Err(AppendError::Refused);
        }
        let said = std::error::Error::source(&error)
            .and_then(|source| source.downcast_ref::<jetstream::Error>())
            .map(jetstream::Error::error_code);
        let text = away("append", &error).0;
        // 10077: a stream that discards what is new, and is full.
        let is_full = [
            ErrorCode::INSUFFICIENT_RESOURCES,
            ErrorCode::STORAGE_RESOURCES_EXCEEDED,
            ErrorCode::ACCOUNT_RESOURCES_EXCEEDED,
            ErrorCode::MEMORY_RESOURCES_EXCEEDED,
            ErrorCode(10077),
        ];
        match said {
            Some(code) if is_full.contains(&code) => Err(AppendError::Full(text)),
            _ => Err(AppendError::Away(text)),
        }
    }

    /// Bytes of a message that NATS takes.
    pub fn part_bytes_max(&self) -> usize {
        let takes = self.link.client.max_payload();
        let rest = takes.saturating_sub(BACKPLANE_HEADER_BYTES.min(takes / 2));
        rest.clamp(FRAME_BYTES + 64, BACKPLANE_PART_BYTES_MAX)
    }

    /// The messages from a number on, as they come.
    ///
    /// # Errors
    /// If NATS is away.
    pub async fn follow(&self, start_sequence: u64) -> Result<Follow, LinkError> {
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence },
            ack_policy: AckPolicy::None,
            inactive_threshold: CONSUMER_KEPT,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let begin = async {
            let consumer = self.stream.create_consumer(config).await;
            let consumer = consumer.map_err(|e| away("consumer", &e))?;
            let messages = consumer.stream().max_messages_per_batch(BACKPLANE_PULL_MAX);
            let messages = messages.messages().await;
            messages.map_err(|e| away("consumer", &e))
        };
        let messages = timeout(3 * BACKPLANE_CONNECT_MAX, Box::pin(begin)).await;
        Ok(Follow {
            messages: Box::pin(messages.map_err(|_| silent("consumer"))??),
        })
    }

    /// Asks the reader to look at the log. Nothing is heard of it: the stream answers.
    ///
    /// # Errors
    /// If the connection has ended.
    pub async fn ask(&self, node: u64, question: u64) -> Result<(), LinkError> {
        let mut text = question_of(node, question).to_vec();
        let seal = self.epoch.seal(&[QUESTION, &text]);
        text.extend_from_slice(&seal.unwrap_or_default());
        let asking = self
            .link
            .client
            .publish(self.names.ask.clone(), text.into());
        let asked = timeout(BACKPLANE_CONNECT_MAX, asking).await;
        asked
            .map_err(|_| silent("ask"))?
            .map_err(|e| away("ask", &e))
    }

    /// What nodes ask the reader.
    ///
    /// # Errors
    /// If the connection has ended.
    pub async fn questions(&self) -> Result<Questions, LinkError> {
        let subscribing = self.link.client.subscribe(self.names.ask.clone());
        let subscribed = timeout(BACKPLANE_CONNECT_MAX, subscribing).await;
        let subscribed = subscribed.map_err(|_| silent("subscribe"))?;
        Ok(Questions {
            messages: subscribed.map_err(|e| away("subscribe", &e))?,
            epoch: self.epoch,
        })
    }
}

/// Written before a question when it is sealed. An answer to one that was never asked would say that a cursor is of no place.
const QUESTION: &[u8] = b"question";

const QUESTION_BYTES: usize = 16;

fn question_of(node: u64, question: u64) -> [u8; QUESTION_BYTES] {
    let mut text = [0; QUESTION_BYTES];
    text[..8].copy_from_slice(&node.to_le_bytes());
    text[8..].copy_from_slice(&question.to_le_bytes());
    text
}

/// The node that asks, and its question, if a node of this log has written it.
fn read_question(payload: &[u8], epoch: &Epoch) -> Option<(u64, u64)> {
    let (text, seal) = payload.split_first_chunk::<QUESTION_BYTES>()?;
    let seal: &[u8; SEAL_BYTES] = seal.try_into().ok()?;
    let (node, question) = text.split_first_chunk::<8>()?;
    let question = question.try_into().ok()?;
    epoch
        .is_sealed(&[QUESTION, text], seal)
        .then_some((u64::from_le_bytes(*node), u64::from_le_bytes(question)))
}

/// See [`LogStream::questions`].
pub struct Questions {
    messages: Subscriber,
    epoch: Epoch,
}

impl Questions {
    /// The node that asks, and its question. None when the connection has ended.
    pub async fn next(&mut self) -> Option<(u64, u64)> {
        loop {
            let message = self.messages.next().await?;
            // Others may send what they want.
            if let Some(question) = read_question(&message.payload, &self.epoch) {
                return Some(question);
            }
        }
    }
}

/// A message of the stream.
#[derive(Debug)]
pub struct Received {
    /// A part.
    pub payload: Bytes,
    /// Its number.
    pub sequence: u64,
    /// How many were behind it when it was sent.
    pub pending: u64,
}

/// See [`LogStream::follow`].
pub struct Follow {
    messages: std::pin::Pin<Box<pull::Stream>>,
}

impl Follow {
    /// The next message.
    ///
    /// # Errors
    /// If the stream is gone, or NATS does not know this follower any more.
    pub async fn next(&mut self) -> Result<Received, LinkError> {
        let message = self.messages.next().await;
        let message = message.ok_or_else(|| LinkError("NATS: the messages have ended".into()))?;
        let message = message.map_err(|e| away("messages", &e))?;
        let info = message.info();
        let info = info.map_err(|e| LinkError(format!("NATS: a message without a number: {e}")))?;
        Ok(Received {
            sequence: info.stream_sequence,
            pending: info.pending,
            payload: message.payload.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_of_others_is_not_heard() {
        let epoch = Epoch::of("a log");
        let text = question_of(7, 42);
        let sealed = |epoch: &Epoch| [&text[..], &epoch.seal(&[QUESTION, &text]).unwrap()].concat();
        assert_eq!(read_question(&sealed(&epoch), &epoch), Some((7, 42)));
        let mut altered = sealed(&epoch);
        altered[8] ^= 1;
        for wrong in [
            sealed(&Epoch::of("another")),
            altered,
            text.to_vec(),
            vec![],
            vec![0; 33],
        ] {
            assert_eq!(read_question(&wrong, &epoch), None, "{wrong:?}");
        }
    }
}
