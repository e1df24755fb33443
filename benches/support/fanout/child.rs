//! This program once more, in another role. It is spoken to in lines.

use std::process::Stdio;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{self, ChildStdin, ChildStdout, Command};

use super::super::proc::Proc;
use super::super::{Outcome, SOON, within};
use super::Role;

/// Killed on a drop.
#[derive(Debug)]
pub struct Child {
    child: process::Child,
    pid: i32,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

/// What a child answers.
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer<T> {
    /// What was asked for.
    Done(T),
    /// Why there is none.
    Failed(String),
}

impl Child {
    /// Starts it.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn start(role: &Role) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--role", &serde_json::to_string(role)?])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().and_then(|id| id.try_into().ok());
        let stdin = child.stdin.take().ok_or("no standard input")?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        Ok(Self {
            pid: pid.ok_or("a child ended at once")?,
            child,
            stdin,
            lines: BufReader::new(stdout).lines(),
        })
    }

    /// The process.
    pub fn proc(&self) -> Proc {
        Proc(self.pid)
    }

    /// The next line that it prints.
    ///
    /// # Errors
    /// If it ends, or `what` is not there in time.
    pub async fn line(&mut self, patience: Duration, what: &str) -> Outcome<String> {
        match within(patience, what, self.lines.next_line()).await? {
            Some(line) => Ok(line),
            None => Err(format!("{what} ended: {:?}", self.child.try_wait()).into()),
        }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// If there is none in time, or it says so.
    pub async fn ask<T: DeserializeOwned>(
        &mut self,
        ask: &impl Serialize,
        patience: Duration,
    ) -> Outcome<T> {
        let line = serde_json::to_string(ask)? + "\n";
        within(SOON, "a question", self.stdin.write_all(line.as_bytes())).await?;
        let line = self.line(patience, "an answer").await?;
        match serde_json::from_str(&line)? {
            Answer::Done(answer) => Ok(answer),
            Answer::Failed(why) => Err(why.into()),
        }
    }
}
