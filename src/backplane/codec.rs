//! The bytes of a message. It is cut into parts that NATS takes, and each part is sealed with the key of the log: what plank
//! has not written is never taken for a change, and never held until more of it comes.
//!
//! A part: `plk2`, the log, the writer, the number of the message, the number of the part and of all parts, bytes of the body,
//! the seal of all that. Numbers are little endian, lengths LEB128.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::feed::{EPOCH_BYTES, Epoch, LogOp, LogRow, RowId, SEAL_BYTES, Snapshot};
use crate::limits::{BACKPLANE_ANSWERS_MAX, BACKPLANE_HELD_BYTES_MAX, BACKPLANE_MESSAGE_BYTES_MAX};
use crate::metrics::Metrics;
use crate::trace::TraceParent;

use super::message::{Message, Origin};

const MAGIC: &[u8; 4] = b"plk2";
/// Of the head of a part.
const HEAD_BYTES: usize = 4 + EPOCH_BYTES + 8 + 8 + 4 + 4;
/// Of a part, beside the bytes of the body.
pub const FRAME_BYTES: usize = HEAD_BYTES + SEAL_BYTES;

/// Not a message of this log, or cut off, or altered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message on the stream is not one of this log's readers, or is broken")]
pub struct Broken;

/// A message above [`BACKPLANE_MESSAGE_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too large for the stream")]
pub struct TooLarge;

/// The head of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Of which log.
    pub log: [u8; EPOCH_BYTES],
    /// See [`Message::writer`].
    pub writer: u64,
    /// Which message of that writer.
    pub count: u64,
    /// Which part of it, from 0.
    pub part: u32,
    /// How many it has.
    pub parts: u32,
}

impl Head {
    /// The head of a part that a reader of this log has written, and its bytes of the body.
    ///
    /// # Errors
    /// If it is not such a part, as its seal says.
    pub fn read<'a>(part: &'a [u8], epoch: &Epoch) -> Result<(Self, &'a [u8]), Broken> {
        let (sealed, seal) = part.split_last_chunk::<SEAL_BYTES>().ok_or(Broken)?;
        if !epoch.is_sealed(&[sealed], seal) {
            return Err(Broken);
        }
        let mut input = Input(sealed);
        if input.take(MAGIC.len())? != MAGIC {
            return Err(Broken);
        }
        let head = Self {
            log: input.array()?,
            writer: u64::from_le_bytes(input.array()?),
            count: u64::from_le_bytes(input.array()?),
            part: u32::from_le_bytes(input.array()?),
            parts: u32::from_le_bytes(input.array()?),
        };
        match head.part < head.parts && head.log == epoch.id() {
            true => Ok((head, input.0)),
            false => Err(Broken),
        }
    }

    /// Whether it can stand on a stream behind `before`: a reader writes no part twice. What others repeat can't.
    pub fn may_follow(&self, before: &Self) -> bool {
        self.writer != before.writer || (self.count, self.part) > (before.count, before.part)
    }

    fn write(&self, piece: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(FRAME_BYTES + piece.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.log);
        out.extend_from_slice(&self.writer.to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.part.to_le_bytes());
        out.extend_from_slice(&self.parts.to_le_bytes());
        out.extend_from_slice(piece);
        out
    }

    /// A whole part.
    fn seal(&self, piece: &[u8], epoch: &Epoch) -> Bytes {
        let mut part = self.write(piece);
        let seal = epoch.seal(&[&part]);
        // A node seals with the identity that it has read itself.
        part.extend_from_slice(&seal.unwrap_or_default());
        Bytes::from(part)
    }
}

/// The parts of a message, each of at most `part_bytes_max`, which is more than [`FRAME_BYTES`]. `count` is its number among those
/// of its writer.
///
/// # Errors
/// See [`TooLarge`].
pub fn encode(
    message: &Message,
    epoch: &Epoch,
    count: u64,
    part_bytes_max: usize,
) -> Result<Vec<Bytes>, TooLarge> {
    let bytes: usize = message.rows.iter().map(LogRow::bytes).sum();
    if bytes > BACKPLANE_MESSAGE_BYTES_MAX {
        return Err(TooLarge);
    }
    let mut body = Vec::with_capacity(bytes + 64 * (message.rows.len() + 1));
    put_message(&mut body, message);
    let size = part_bytes_max.saturating_sub(FRAME_BYTES).max(1);
    let parts = u32::try_from(body.len().div_ceil(size)).map_err(|_| TooLarge)?;
    let mut head = Head {
        log: epoch.id(),
        writer: message.writer,
        count,
        part: 0,
        parts,
    };
    let part = |piece: &[u8]| {
        let part = head.seal(piece, epoch);
        head.part += 1;
        part
    };
    Ok(body.chunks(size).map(part).collect())
}

/// Puts the parts of messages together. One per follower. It holds parts of one message at a time, at most
/// [`BACKPLANE_HELD_BYTES_MAX`] bytes.
#[derive(Debug)]
pub struct Assembler {
    epoch: Epoch,
    metrics: Arc<Metrics>,
    /// The head of the last part, while more are to come.
    head: Option<Head>,
    bytes: Vec<u8>,
    /// How many of them the metric has.
    counted: i64,
    /// A first part has been seen. What comes before is the end of a message that began earlier.
    has_begun: bool,
}

impl Assembler {
    /// For parts of a log.
    pub fn new(epoch: &Epoch, metrics: &Arc<Metrics>) -> Self {
        Self {
            epoch: *epoch,
            metrics: metrics.clone(),
            head: None,
            bytes: Vec::new(),
            counted: 0,
            has_begun: false,
        }
    }

    /// Takes the next part; the message, when it is whole.
    ///
    /// # Errors
    /// If it is not one of the log's readers.
    pub fn take(&mut self, part: &[u8]) -> Result<Option<Message>, Broken> {
        let taken = self.take_part(part);
        if self.head.is_none() {
            // What a large one took is given back, also where a reader has ended in the middle of it.
            self.bytes = Vec::new();
        }
        self.count_held();
        taken
    }

    /// A node may have two of these: each counts its own part of the sum.
    fn count_held(&mut self) {
        let held = i64::try_from(self.bytes.len()).unwrap_or(i64::MAX);
        let more = held - std::mem::replace(&mut self.counted, held);
        self.metrics.backplane_held_bytes.inc_by(more);
    }

    fn take_part(&mut self, part: &[u8]) -> Result<Option<Message>, Broken> {
        let before = self.head.take();
        let (head, bytes) = Head::read(part, &self.epoch)?;
        if head.part == 0 {
            // A reader that has ended in the middle of one leaves it as it is.
            self.has_begun = true;
            self.bytes = Vec::new();
        } else {
            let continues = |before: Head| {
                let part = before.part + 1;
                Head { part, ..before } == head
            };
            match before {
                Some(before) if continues(before) => {}
                None if !self.has_begun => return Ok(None),
                _ => return Err(Broken),
            }
        }
        if self.bytes.len() + bytes.len() > BACKPLANE_HELD_BYTES_MAX {
            self.metrics.limit("backplane_held");
            return Err(Broken);
        }
        self.bytes.extend_from_slice(bytes);
        if head.part + 1 < head.parts {
            self.head = Some(head);
            return Ok(None);
        }
        take_message(&self.bytes, head.writer).map(Some)
    }
}

impl Drop for Assembler {
    fn drop(&mut self) {
        self.bytes = Vec::new();
        self.count_held();
    }
}

fn put_message(out: &mut Vec<u8>, message: &Message) {
    let from = match &message.from {
        Ok(_) => 0,
        Err(Origin::Empty) => 1,
        Err(Origin::Forgotten) => 2,
        Err(Origin::Pruned) => 3,
    };
    out.extend_from_slice(&[from, message.last.into()]);
    put_number(out, message.batch);
    put_number(out, message.number.into());
    let behind = u64::try_from(message.behind.as_millis()).unwrap_or(u64::MAX);
    put_number(out, behind);
    if let Ok(from) = &message.from {
        put_text(out, &from.to_string());
    }
    put_text(out, &message.next.to_string());
    put_number(out, message.answers.len() as u64);
    for (node, question) in &message.answers {
        out.extend_from_slice(&node.to_le_bytes());
        put_number(out, *question);
    }
    put_number(out, message.rows.len() as u64);
    for row in &message.rows {
        put_row(out, row);
    }
}

fn take_message(body: &[u8], writer: u64) -> Result<Message, Broken> {
    let mut input = Input(body);
    let [from, last] = input.array()?;
    let batch = input.number()?;
    let number = u32::try_from(input.number()?).map_err(|_| Broken)?;
    let behind = Duration::from_millis(input.number()?);
    let from = match from {
        0 => Ok(input.snapshot()?),
        1 => Err(Origin::Empty),
        2 => Err(Origin::Forgotten),
        3 => Err(Origin::Pruned),
        _ => return Err(Broken),
    };
    let next = input.snapshot()?;
    let count = input.count(9)?;
    if count > BACKPLANE_ANSWERS_MAX {
        return Err(Broken);
    }
    let mut answers = Vec::with_capacity(count);
    for _ in 0..count {
        answers.push((u64::from_le_bytes(input.array()?), input.number()?));
    }
    let count = input.count(ROW_BYTES_MIN)?;
    let mut rows = Vec::with_capacity(count);
    for _ in 0..count {
        rows.push(take_row(&mut input)?);
    }
    let message = Message {
        writer,
        batch,
        from,
        next,
        number,
        last: take_flag(last)?,
        behind,
        answers,
        rows,
    };
    match input.0.is_empty() {
        true => Ok(message),
        false => Err(Broken),
    }
}

fn take_flag(byte: u8) -> Result<bool, Broken> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Broken),
    }
}

/// No row takes fewer bytes.
const ROW_BYTES_MIN: usize = 31;

const CONTINUES: u8 = 1;
const BEGAN: u8 = 2;
const ROW: u8 = 4;
const OLD: u8 = 8;
const ROW_ID: u8 = 16;
const OLD_ID: u8 = 32;
const TRACE: u8 = 64;
const FLAGS: u8 = 127;

fn put_row(out: &mut Vec<u8>, row: &LogRow) {
    let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
    out.push(
        flag(row.continues, CONTINUES)
            | flag(row.began.is_some(), BEGAN)
            | flag(row.row.is_some(), ROW)
            | flag(row.old.is_some(), OLD)
            | flag(row.row_id.is_some(), ROW_ID)
            | flag(row.old_id.is_some(), OLD_ID)
            | flag(row.trace.is_some(), TRACE),
    );
    out.push(letter(row.op));
    put_number(out, row.xid);
    for number in [row.statement, row.seq, row.at_us] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&row.rel.to_le_bytes());
    if let Some(began) = row.began {
        out.extend_from_slice(&began.to_le_bytes());
    }
    for text in [&row.row, &row.old].into_iter().flatten() {
        put_text(out, text);
    }
    for id in [row.row_id, row.old_id].into_iter().flatten() {
        out.extend_from_slice(&id.leaf.to_le_bytes());
        out.extend_from_slice(&id.page.to_le_bytes());
        out.extend_from_slice(&id.line.to_le_bytes());
    }
    if let Some(trace) = row.trace {
        put_text(out, &trace.to_string());
    }
}

fn take_row(input: &mut Input<'_>) -> Result<LogRow, Broken> {
    let [flags, op] = input.array()?;
    if flags & !FLAGS != 0 || !op.is_ascii_uppercase() {
        return Err(Broken);
    }
    let has = |bit: u8| flags & bit != 0;
    let row = LogRow {
        xid: input.number()?,
        statement: i64::from_le_bytes(input.array()?),
        seq: i64::from_le_bytes(input.array()?),
        at_us: i64::from_le_bytes(input.array()?),
        rel: u32::from_le_bytes(input.array()?),
        continues: has(CONTINUES),
        op: LogOp::from_letter(op).ok_or(Broken)?,
        began: has(BEGAN)
            .then(|| input.array().map(i64::from_le_bytes))
            .transpose()?,
        row: has(ROW).then(|| input.text()).transpose()?.map(Arc::from),
        old: has(OLD).then(|| input.text()).transpose()?.map(Arc::from),
        row_id: has(ROW_ID).then(|| take_id(input)).transpose()?,
        old_id: has(OLD_ID).then(|| take_id(input)).transpose()?,
        trace: has(TRACE).then(|| take_trace(input)).transpose()?,
    };
    Ok(row)
}

fn take_trace(input: &mut Input<'_>) -> Result<TraceParent, Broken> {
    TraceParent::parse(input.text()?).ok_or(Broken)
}

fn take_id(input: &mut Input<'_>) -> Result<RowId, Broken> {
    Ok(RowId {
        leaf: u32::from_le_bytes(input.array()?),
        page: u32::from_le_bytes(input.array()?),
        line: u16::from_le_bytes(input.array()?),
    })
}

/// As in the log; a packed row has been taken apart by then.
fn letter(op: LogOp) -> u8 {
    match op {
        LogOp::Insert => b'I',
        LogOp::Update => b'U',
        LogOp::Delete => b'D',
        LogOp::Truncate => b'T',
        LogOp::Watch => b'W',
        LogOp::Unwatch => b'X',
        LogOp::Renewed => b'N',
        LogOp::Reset => b'R',
    }
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number as u8 & 0x7f) | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// What has not been read yet.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Broken)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Broken)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn number(&mut self) -> Result<u64, Broken> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Broken);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Broken)
    }

    /// A number of things of at least `bytes_min` each that are still to come: memory is taken for no more than there are.
    fn count(&mut self, bytes_min: usize) -> Result<usize, Broken> {
        let count = usize::try_from(self.number()?).map_err(|_| Broken)?;
        match count <= self.0.len() / bytes_min {
            true => Ok(count),
            false => Err(Broken),
        }
    }

    fn text(&mut self) -> Result<&'a str, Broken> {
        let length = self.count(1)?;
        std::str::from_utf8(self.take(length)?).map_err(|_| Broken)
    }

    fn snapshot(&mut self) -> Result<Snapshot, Broken> {
        Snapshot::parse(self.text()?).ok_or(Broken)
    }
}

#[cfg(test)]
mod tests;
