//! As much of HTTP as it takes to look through a proxy: one request on a connection of its own, and what comes back as it
//! comes. A client that reads ahead or joins pieces would hide what is being looked for.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use super::super::tail::{Address, Dialled, dial};

/// For one request, all together.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Bytes of a head.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// The head of an answer, and what came with it.
pub struct Answer {
    io: Dialled,
    /// The status.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// What has come of the body, as it was sent: a chunked one has lengths in it.
    pub body: Vec<u8>,
}

impl Answer {
    /// Asks, and waits for the head. `more` are further header lines, each with its end.
    pub async fn get(address: &Address, path: &str, more: &str) -> Result<Self, String> {
        let deadline = Instant::now() + ANSWER_MAX;
        match timeout_at(deadline, Self::ask(address, path, more)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} s", ANSWER_MAX.as_secs())),
        }
    }

    async fn ask(address: &Address, path: &str, more: &str) -> Result<Self, String> {
        let mut io = dial(address).await.map_err(|error| error.to_string())?;
        let uri = &address.request;
        let host = uri.authority().map_or("localhost", |a| a.as_str());
        let base = uri.path().strip_suffix("/ws").unwrap_or_default();
        let agent = concat!("plank/", env!("CARGO_PKG_VERSION"));
        let request = format!(
            "GET {base}{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\n{more}\r\n"
        );
        io.write_all(request.as_bytes()).await.map_err(text)?;
        let mut read = Vec::new();
        let end = loop {
            if let Some(end) = read.windows(4).position(|w| w == b"\r\n\r\n") {
                break end;
            }
            if read.len() > HEAD_BYTES_MAX {
                return Err("the head of the answer has no end".into());
            }
            if io.read_buf(&mut read).await.map_err(text)? == 0 {
                return Err("the connection was closed without an answer".into());
            }
        };
        let body = read.split_off(end + 4);
        let head = String::from_utf8_lossy(&read).into_owned();
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| {
            let rest = line.strip_prefix("HTTP/1.")?;
            rest.split(' ').nth(1)?.parse().ok()
        });
        let headers = lines.filter_map(|line| line.split_once(':'));
        Ok(Self {
            io,
            status: status.ok_or("the answer is no HTTP")?,
            headers: headers
                .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
                .collect(),
            body,
        })
    }

    /// A header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// Reads on until the body has `part`, or ends, or `patience` is over; whether it has it.
    pub async fn has(&mut self, part: &str, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let is_there = |body: &[u8]| body.windows(part.len()).any(|w| w == part.as_bytes());
        while !is_there(&self.body) && self.body.len() < 4 * HEAD_BYTES_MAX {
            match timeout_at(deadline, self.io.read_buf(&mut self.body)).await {
                Ok(Ok(1..)) => {}
                _ => break,
            }
        }
        is_there(&self.body)
    }

    /// Waits for the end of the connection, for at most `patience` and whatever comes meanwhile; after how long it came.
    pub async fn closes_within(&mut self, patience: Duration) -> Option<Duration> {
        let begun = Instant::now();
        let deadline = begun + patience;
        loop {
            self.body.clear();
            match timeout_at(deadline, self.io.read_buf(&mut self.body)).await {
                Ok(Ok(1..)) => {}
                Ok(Ok(0) | Err(_)) => return Some(begun.elapsed()),
                Err(_) => return None,
            }
        }
    }

    /// All of the body, of at most `bytes_max`, without the lengths of chunks.
    ///
    /// # Errors
    /// If it is longer, does not come within [`ANSWER_MAX`], or is cut.
    pub async fn whole(mut self, bytes_max: usize) -> Result<Vec<u8>, String> {
        let deadline = Instant::now() + ANSWER_MAX;
        loop {
            if self.body.len() > bytes_max {
                return Err(format!("the answer is longer than {bytes_max} bytes"));
            }
            match timeout_at(deadline, self.io.read_buf(&mut self.body)).await {
                Ok(Ok(1..)) => {}
                Ok(Ok(0)) => break,
                Ok(Err(error)) => return Err(text(error)),
                Err(_) => return Err(format!("no whole answer within {} s", ANSWER_MAX.as_secs())),
            }
        }
        let cut = || "the answer is cut off".to_owned();
        if self
            .header("transfer-encoding")
            .is_some_and(|v| v.eq_ignore_ascii_case("chunked"))
        {
            return unchunked(&self.body).ok_or_else(cut);
        }
        let length = self
            .header("content-length")
            .and_then(|length| length.parse().ok());
        match length.is_none_or(|length: usize| length == self.body.len()) {
            true => Ok(self.body),
            false => Err(cut()),
        }
    }

    /// The same with all of a short body.
    pub async fn text(mut self) -> String {
        self.has("\u{0}", Duration::from_secs(2)).await;
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The data of all chunks (RFC 9112, section 7.1); none if the last one is missing.
fn unchunked(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::with_capacity(body.len());
    loop {
        let end = body.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&body[..end]).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        let (data, rest) = body.get(end + 2..)?.split_at_checked(size)?;
        if size == 0 {
            return Some(whole);
        }
        whole.extend_from_slice(data);
        body = rest.strip_prefix(b"\r\n")?;
    }
}

fn text(error: std::io::Error) -> String {
    crate::store::connect::chain(&error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined_and_a_cut_is_noticed() {
        let body = b"4\r\nWiki\r\n6;x=y\r\npedia \r\n0\r\n\r\n";
        assert_eq!(unchunked(body).as_deref(), Some(&b"Wikipedia "[..]));
        for cut in 0..body.len() - 3 {
            assert_eq!(unchunked(&body[..cut]), None, "{cut}");
        }
        for wrong in [&b"zz\r\n"[..], b"4\r\nWikipedia", b"ffffffffffffffff\r\nx"] {
            assert_eq!(unchunked(wrong), None);
        }
    }
}
