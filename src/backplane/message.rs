//! What the reader says on the stream: rows of the log, and where they lead from and to. Not frames: each node makes its own.

use std::time::Duration;

use crate::feed::{LogRow, Snapshot};

/// Why a reader begins anew, and not behind the last batch of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The stream is empty, or what is in it can't be read.
    Empty,
    /// What the stream has told is more than the server knows: it has forgotten transactions.
    Forgotten,
    /// A part of what comes behind the last batch has been pruned.
    Pruned,
}

/// A part of a batch. A beat is one without rows.
#[derive(Clone, Debug)]
pub struct Message {
    /// The reader's life: chosen at random for each.
    pub writer: u64,
    /// Which batch of that reader.
    pub batch: u64,
    /// What the log had shown before the batch, or why that is not known.
    pub from: Result<Snapshot, Origin>,
    /// What it has shown behind it.
    pub next: Snapshot,
    /// Which part of the batch, from 0.
    pub number: u32,
    /// Whether the batch ends with it.
    pub last: bool,
    /// For how long the reader had not stood at the end of the log.
    pub behind: Duration,
    /// The questions that the read has answered: a node, and its newest one.
    pub answers: Vec<(u64, u64)>,
    /// In the order of `seq`.
    pub rows: Vec<LogRow>,
}
