//! One client of a crowd: its socket, and the number of the next row that it has to get. All members share one buffer and
//! one account.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use memchr::memmem::Finder;
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::super::Outcome;

/// In the name of each row, with its number behind it. No head of a frame looks like that.
pub const MARKER: &str = "@@#";

/// Digits of the number.
pub const DIGITS: usize = 8;

/// Bytes of a marker but one: as much may be left of the read before.
const TAIL: usize = MARKER.len() + DIGITS - 1;

/// Bytes of one read.
const READ: usize = 256 * 1024;

/// What has arrived.
#[derive(Debug)]
pub struct Account {
    clients: u32,
    /// For each row, how many clients don't have it yet.
    missing: RefCell<Vec<u32>>,
    /// Rows that everybody has.
    pub complete: Cell<u32>,
    /// Something is complete, or wrong.
    pub changed: Notify,
    /// When each row was written, if that is measured.
    pub written: RefCell<Vec<Instant>>,
    /// Of the first of them.
    pub timed_from: Cell<u32>,
    /// From then until a client has it, in microseconds.
    pub latencies_us: RefCell<Vec<u32>>,
    /// What was lost, or came twice.
    pub wrong: RefCell<Option<String>>,
    scratch: RefCell<Vec<u8>>,
    finder: Finder<'static>,
}

impl Account {
    /// Of a crowd of this many.
    pub fn new(clients: usize) -> Self {
        Self {
            clients: clients as u32,
            missing: RefCell::default(),
            complete: Cell::new(0),
            changed: Notify::new(),
            written: RefCell::default(),
            timed_from: Cell::new(u32::MAX),
            latencies_us: RefCell::default(),
            wrong: RefCell::default(),
            scratch: RefCell::new(vec![0; TAIL + READ]),
            finder: Finder::new(MARKER),
        }
    }

    /// From now on rows below `number` are waited for.
    pub fn expect(&self, number: u32) {
        self.missing
            .borrow_mut()
            .resize(number as usize, self.clients);
    }

    /// A client has got the rows from `first` to before `end`.
    fn take(&self, first: u32, end: u32) -> Outcome<()> {
        let mut missing = self.missing.borrow_mut();
        let taken = missing
            .get_mut(first as usize..end as usize)
            .ok_or("a row that was not written")?;
        taken.iter_mut().for_each(|left| *left -= 1);
        let complete = self.complete.get();
        let more = missing[complete as usize..]
            .iter()
            .take_while(|left| **left == 0);
        let more = more.count() as u32;
        if more > 0 {
            self.complete.set(complete + more);
            self.changed.notify_one();
        }
        let timed_from = self.timed_from.get();
        if first >= timed_from {
            let (written, now) = (self.written.borrow(), Instant::now());
            let written = &written[(first - timed_from) as usize..(end - timed_from) as usize];
            let latencies = written.iter().map(|at| (now - *at).as_micros() as u32);
            self.latencies_us.borrow_mut().extend(latencies);
        }
        Ok(())
    }

    /// Says what is wrong.
    pub fn fail(&self, why: String) {
        self.wrong.borrow_mut().get_or_insert(why);
        self.changed.notify_one();
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Member {
    stream: RefCell<TcpStream>,
    next: Cell<u32>,
    tail: Cell<[u8; TAIL]>,
    account: Rc<Account>,
}

impl Member {
    /// One that has got nothing yet.
    pub fn new(stream: TcpStream, account: Rc<Account>) -> Self {
        Self {
            stream: RefCell::new(stream),
            next: Cell::new(0),
            tail: Cell::new([0; TAIL]),
            account,
        }
    }

    /// Reads for ever.
    pub async fn read(&self) {
        let ended = poll_fn(|cx| self.poll(cx)).await;
        if let Err(error) = ended {
            self.account.fail(error.to_string());
        }
    }

    /// Until there is nothing to read. A read that does not fill the buffer is known to be the last one.
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Outcome<()>> {
        loop {
            let mut scratch = self.account.scratch.borrow_mut();
            scratch[..TAIL].copy_from_slice(&self.tail.get());
            let mut buffer = ReadBuf::new(&mut scratch[TAIL..]);
            let mut stream = self.stream.borrow_mut();
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer))?;
            let read = buffer.filled().len();
            if read == 0 {
                return Poll::Ready(Err("the server has closed a connection".into()));
            }
            self.scan(&scratch[..TAIL + read])?;
            let mut tail = [0; TAIL];
            tail.copy_from_slice(&scratch[read..read + TAIL]);
            self.tail.set(tail);
        }
    }

    fn scan(&self, bytes: &[u8]) -> Outcome<()> {
        let first = self.next.get();
        let mut next = first;
        for at in self.account.finder.find_iter(bytes) {
            let digits = bytes.get(at + MARKER.len()..at + MARKER.len() + DIGITS);
            let Some(number) = digits.and_then(number) else {
                continue;
            };
            if number != next {
                return Err(format!("row {number} came in place of row {next}").into());
            }
            next += 1;
        }
        self.next.set(next);
        match next > first {
            true => self.account.take(first, next),
            false => Ok(()),
        }
    }

    /// A pong frame that nobody has asked for: a sign of life.
    ///
    /// # Errors
    /// If the socket does not take it.
    pub fn touch(&self) -> Outcome<()> {
        const PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];
        self.stream.borrow().try_write(&PONG)?;
        Ok(())
    }
}

/// Reads digits; none at the end of a buffer.
pub fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + u32::from(digit - b'0'))
    })
}
