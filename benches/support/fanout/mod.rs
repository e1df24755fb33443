//! One row, many sockets: plank, and the plainest loop that does the same, each with a crowd of clients of its own.
//!
//! The loop and the crowds are processes, so that the time each takes can be told: this program again, in another role.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::bed::Bed;
use super::floor;
use super::proc::Proc;
use super::{Outcome, SOON, bell, table};

pub mod bare_loop;
pub mod child;
pub mod crowd;
mod member;
pub mod stalled;

use child::Child;
use crowd::{Ask, Figures};

/// What is written into, in plank's database as in that of the loops.
pub const TABLE: &str = "fanout";

/// Before each measurement: what the one before it has left to do is over by then.
const PAUSE: Duration = Duration::from_millis(1_500);

/// Does one thing with each of `peers`, one directly after the other, in random order: one that always came last would
/// have the warmest caches. Gives the figures in the order of `peers`.
///
/// # Errors
/// See [`Peer::measure`].
pub async fn in_turns(peers: &mut [Peer], kinds: &[Kind], ask: &Ask) -> Outcome<Vec<Measured>> {
    let mut order: Vec<_> = (0..kinds.len()).collect();
    fastrand::shuffle(&mut order);
    let mut measured = vec![None; kinds.len()];
    for at in order {
        for peer in peers.iter_mut() {
            peer.touch().await?;
        }
        let peer = peers.iter_mut().find(|peer| peer.kind == kinds[at]);
        measured[at] = Some(peer.ok_or("no such peer")?.measure(ask).await?);
    }
    Ok(measured.into_iter().flatten().collect())
}

/// For a crowd to connect.
const CONNECT_MAX: Duration = Duration::from_secs(60);

/// What one of this program's processes is.
#[derive(Debug, Serialize, Deserialize)]
pub enum Role {
    /// A server.
    Loop(bare_loop::Settings),
    /// Clients.
    Crowd(crowd::Settings),
}

impl Role {
    /// Plays it, until the process that started it ends.
    ///
    /// # Errors
    /// If it can't be played to the end.
    pub async fn play(self) -> Outcome<()> {
        match self {
            Self::Loop(settings) => bare_loop::serve(settings).await,
            Self::Crowd(settings) => crowd::run(settings).await,
        }
    }
}

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The release binary.
    Plank,
    /// A loop with one write for each frame and socket.
    Single,
    /// A loop that writes what is pending at once.
    Joined,
}

impl Kind {
    /// Each has its own, or its clients would get the others' rows.
    fn database(self) -> &'static str {
        match self {
            Self::Plank => super::bed::DATABASE,
            Self::Single => "bench_floor_single",
            Self::Joined => "bench_floor_joined",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plank => "plank",
            Self::Single => "loop, single frames",
            Self::Joined => "loop, frames joined",
        })
    }
}

/// A server with its crowd.
#[derive(Debug)]
pub struct Peer {
    /// Which.
    pub kind: Kind,
    /// The server's process.
    pub server: Proc,
    crowd: Child,
    /// A connection to look at plank's bell with: none for a loop, which has no bell.
    bell: Option<tokio_postgres::Client>,
    /// Killed on a drop.
    _loop: Option<Child>,
}

/// What was measured, and what the server spent.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// What the crowd saw.
    pub figures: Figures,
    /// Time of all threads of the server.
    pub cpu_us: u64,
}

impl Measured {
    /// Deliveries in a second.
    pub fn rate(&self) -> f64 {
        self.figures.deliveries as f64 / self.figures.elapsed.as_secs_f64()
    }

    /// Microseconds of the server's processor for each delivery.
    pub fn cpu_each(&self) -> f64 {
        self.cpu_us as f64 / self.figures.deliveries as f64
    }
}

/// Makes the tables in all databases, and makes plank watch its own.
///
/// # Errors
/// If that is refused.
pub async fn prepare(bed: &Bed) -> Outcome<()> {
    let own = bed.connect().await?;
    table::create(&own, TABLE, 0).await?;
    table::watch(&own, bed.plank.address, TABLE).await?;
    for kind in [Kind::Single, Kind::Joined] {
        let floor = floor::create_in(bed, kind.database()).await?;
        table::create(&floor, TABLE, 0).await?;
        floor::attach(&floor, TABLE).await?;
    }
    Ok(())
}

impl Peer {
    /// Starts a server and connects this many clients. plank is that of the bed.
    ///
    /// # Errors
    /// If it does not come to that.
    pub async fn start(bed: &Bed, kind: Kind, clients: usize) -> Outcome<Self> {
        let database = bed.url(kind.database());
        let (address, server, bell, bare_loop) = match kind {
            Kind::Plank => {
                let bell = Some(bed.connect().await?);
                (bed.plank.address, bed.plank.proc(), bell, None)
            }
            Kind::Single | Kind::Joined => {
                let mut child = Child::start(&Role::Loop(bare_loop::Settings {
                    database: database.clone(),
                    joins: kind == Kind::Joined,
                }))?;
                let address = child.line(SOON, "a loop").await?.parse()?;
                (address, child.proc(), None, Some(child))
            }
        };
        let mut crowd = Child::start(&Role::Crowd(crowd::Settings {
            database,
            address,
            clients,
        }))?;
        crowd.line(CONNECT_MAX, "a crowd").await?;
        Ok(Self {
            kind,
            server,
            crowd,
            bell,
            _loop: bare_loop,
        })
    }

    /// Lets the crowd show that it is alive. plank closes a client that says nothing for a minute.
    ///
    /// # Errors
    /// If a socket does not take it.
    pub async fn touch(&mut self) -> Outcome<()> {
        self.crowd.ask::<Figures>(&Ask::Touch, SOON).await.map(drop)
    }

    /// Lets the crowd do something, and measures it. `patience` is for what comes behind its own time.
    ///
    /// # Errors
    /// If something is lost, comes twice, or is not there in time.
    pub async fn measure(&mut self, ask: &Ask) -> Outcome<Measured> {
        sleep(PAUSE).await;
        // For as long as it may still poll from what it was measured with before, it has more to do than now.
        if let Some(client) = &self.bell {
            bell::wait_armed(client).await?;
        }
        let before = self.server.cpu_us()?;
        let figures: Figures = self
            .crowd
            .ask(ask, ask.patience())
            .await
            .map_err(|error| format!("{}: {error}", self.kind))?;
        let cpu_us = self.server.cpu_us()? - before;
        Ok(Measured { figures, cpu_us })
    }
}
