//! The ways to have a table whose writers are measured: nothing follows it; plank does, by statements or row by row; a
//! trigger notifies of every row; and an earlier plank does, where `PLANK_BENCH_BEFORE` names its program. Each has a table
//! for INSERTs and one for UPDATEs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_postgres::Client;

use super::bed::Bed;
use super::floor::{self, Listener};
use super::program::Plank;
use super::receiver::{Follower, Receiver, marker};
use super::{Outcome, SOON, bell, table, within};

/// Rows of the tables for UPDATEs: so many that two writers hardly ever want the same one.
pub const ROWS: usize = 100_000;

/// For receivers to have everything that was written so far.
const CAUGHT_UP_MAX: Duration = Duration::from_secs(120);

/// For a table to be vacuumed, and for what was written to be on disk.
const TIDY_MAX: Duration = Duration::from_secs(60);

/// The environment's variable with the program of an earlier plank, to be measured beside this one.
const EARLIER: &str = "PLANK_BENCH_BEFORE";

/// The earlier plank's database, in the same cluster.
const EARLIER_DATABASE: &str = "before";

/// How a table is followed, if at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// It is not.
    Unwatched,
    /// A WebSocket client, through plank, as plank chooses: by statements.
    Plank,
    /// The same, captured row by row.
    RowLevel,
    /// A client that listens, through NOTIFY.
    Notify,
    /// A WebSocket client, through an earlier plank.
    Before,
}

impl Variant {
    /// How many there are.
    pub const COUNT: usize = 5;

    /// Those that this run measures: the last one only where an earlier plank is named.
    pub fn measured() -> Vec<Self> {
        let mut variants = vec![Self::Unwatched, Self::Plank, Self::RowLevel, Self::Notify];
        if earlier().is_some() {
            variants.push(Self::Before);
        }
        variants
    }

    /// Its place among them.
    pub fn index(self) -> usize {
        self as usize
    }

    /// In random order: whatever always came last would have the warmest caches.
    pub fn shuffled() -> Vec<Self> {
        let mut variants = Self::measured();
        fastrand::shuffle(&mut variants);
        variants
    }

    /// As the head of a column.
    pub fn title(self) -> &'static str {
        match self {
            Self::Unwatched => "unwatched",
            Self::Plank => "plank",
            Self::RowLevel => "row level",
            Self::Notify => "NOTIFY",
            Self::Before => "before",
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unwatched => "unwatched",
            Self::Plank => "plank",
            Self::RowLevel => "row",
            Self::Notify => "notify",
            Self::Before => "before",
        })
    }
}

/// The program of an earlier plank.
fn earlier() -> Option<PathBuf> {
    std::env::var_os(EARLIER).map(PathBuf::from)
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// New rows.
    Insert,
    /// Rows that are there.
    Update,
}

impl Write {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Insert, Self::Update];
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
        })
    }
}

/// A table that a plank watches, and its subscriber.
struct Watched {
    variant: Variant,
    write: Write,
    follower: Follower,
}

/// All tables, with those that follow them.
pub struct Variants {
    own: Client,
    floor: Client,
    earlier: Option<(Client, Plank)>,
    watched: Vec<Watched>,
    listener: Follower,
    markers: u64,
}

impl Variants {
    /// Makes them.
    ///
    /// # Errors
    /// If the database refuses, or plank does not follow.
    pub async fn create(bed: &Bed) -> Outcome<Self> {
        let (own, floor) = (bed.connect().await?, floor::create(bed).await?);
        let earlier = match earlier() {
            Some(program) => Some(start_earlier(bed, &own, &program).await?),
            None => None,
        };
        let listener = Follower::start(Receiver::Bare(Listener::connect(bed).await?));
        let mut variants = Self {
            own,
            floor,
            earlier,
            watched: Vec::new(),
            listener,
            markers: 0,
        };
        for variant in Variant::measured() {
            let client = variants.client(variant);
            table::create(client, &Self::table(variant, Write::Insert), 0).await?;
            table::create(client, &Self::table(variant, Write::Update), ROWS).await?;
        }
        for (variant, write) in pairs() {
            variants.follow(bed, variant, write).await?;
        }
        Ok(variants)
    }

    async fn follow(&mut self, bed: &Bed, variant: Variant, write: Write) -> Outcome<()> {
        let name = Self::table(variant, write);
        let (address, level) = match variant {
            Variant::Unwatched => return Ok(()),
            Variant::Notify => return floor::attach(&self.floor, &name).await,
            Variant::Plank => (bed.plank.address, None),
            Variant::RowLevel => (bed.plank.address, Some("row")),
            Variant::Before => match &self.earlier {
                Some((_, plank)) => (plank.address, None),
                None => return Ok(()),
            },
        };
        let subscriber = table::watch_at(self.client(variant), address, &name, level).await?;
        self.watched.push(Watched {
            variant,
            write,
            follower: Follower::start(Receiver::Plank(subscriber)),
        });
        Ok(())
    }

    /// The name of a table.
    pub fn table(variant: Variant, write: Write) -> String {
        format!("bench_{variant}_{write}").to_lowercase()
    }

    /// Where a variant's tables are.
    pub fn client(&self, variant: Variant) -> &Client {
        match (variant, &self.earlier) {
            (Variant::Notify, _) => &self.floor,
            (Variant::Before, Some((client, _))) => client,
            _ => &self.own,
        }
    }

    /// Gets one table ready, in the same way for each variant: no dead rows, nothing that waits to be written to disk, and
    /// nothing that is still busy with what was measured before.
    ///
    /// # Errors
    /// If that takes too long.
    pub async fn tidy(&mut self, variant: Variant, write: Write) -> Outcome<()> {
        let table = Self::table(variant, write);
        let sql = match write {
            Write::Insert => format!("truncate {table}"),
            Write::Update => format!("vacuum {table}"),
        };
        within(TIDY_MAX, &sql, self.client(variant).batch_execute(&sql)).await?;
        self.caught_up().await?;
        bell::wait_armed(&self.own).await?;
        if let Some((client, _)) = &self.earlier {
            bell::wait_armed(client).await?;
        }
        within(
            TIDY_MAX,
            "a checkpoint",
            self.own.batch_execute("checkpoint"),
        )
        .await
    }

    /// Waits until all of them have everything.
    async fn caught_up(&mut self) -> Outcome<()> {
        self.markers += 1;
        let name = marker(self.markers);
        for watched in &self.watched {
            let client = self.client(watched.variant);
            let sql = table::insert(&Self::table(watched.variant, watched.write), "$1");
            within(SOON, "a marker", client.execute(&sql, &[&name])).await?;
        }
        floor::notify(&self.floor, &name).await?;
        let followers = self.watched.iter_mut().map(|w| &mut w.follower);
        for follower in followers.chain([&mut self.listener]) {
            follower.wait(self.markers, CAUGHT_UP_MAX).await?;
        }
        Ok(())
    }
}

fn pairs() -> impl Iterator<Item = (Variant, Write)> {
    let variants = Variant::measured().into_iter();
    variants.flat_map(|variant| Write::ALL.map(|write| (variant, write)))
}

async fn start_earlier(bed: &Bed, own: &Client, program: &Path) -> Outcome<(Client, Plank)> {
    let sql = format!("create database {EARLIER_DATABASE}");
    within(SOON, &sql, own.batch_execute(&sql)).await?;
    let url = bed.url(EARLIER_DATABASE);
    let plank = Plank::start_program(program, &url, &[], &bed.path("before.log")).await?;
    Ok((bed.connect_to(EARLIER_DATABASE).await?, plank))
}
