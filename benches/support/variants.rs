//! The three ways to have a table whose writers are measured: nobody watches it; plank does; or a trigger notifies of
//! every row. Each has a table for INSERTs and one for UPDATEs.

use std::fmt;
use std::time::Duration;

use tokio_postgres::Client;

use super::bed::Bed;
use super::floor::{self, Listener};
use super::receiver::{Follower, Receiver, marker};
use super::{Outcome, SOON, bell, table, within};

/// Rows of the tables for UPDATEs: so many that two writers hardly ever want the same one.
pub const ROWS: usize = 100_000;

/// For receivers to have everything that was written so far.
const CAUGHT_UP_MAX: Duration = Duration::from_secs(120);

/// For a table to be vacuumed, and for what was written to be on disk.
const TIDY_MAX: Duration = Duration::from_secs(60);

/// Who hears of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Nobody.
    Unwatched,
    /// A WebSocket client, through plank.
    Plank,
    /// A client that listens, through NOTIFY.
    Notify,
}

impl Variant {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Unwatched, Self::Plank, Self::Notify];

    /// Its place among them.
    pub fn index(self) -> usize {
        self as usize
    }

    /// In random order: whoever always came last would have the warmest caches.
    pub fn shuffled() -> [Self; 3] {
        let mut variants = Self::ALL;
        fastrand::shuffle(&mut variants);
        variants
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unwatched => "unwatched",
            Self::Plank => "plank",
            Self::Notify => "notify",
        })
    }
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

/// All tables, with those who hear of their changes.
pub struct Variants {
    own: Client,
    floor: Client,
    /// Of plank, of the tables for INSERTs and for UPDATEs.
    subscribers: [Follower; 2],
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
        for variant in Variant::ALL {
            let client = if variant == Variant::Notify {
                &floor
            } else {
                &own
            };
            table::create(client, &Self::table(variant, Write::Insert), 0).await?;
            table::create(client, &Self::table(variant, Write::Update), ROWS).await?;
        }
        let mut subscribers = Vec::new();
        for write in Write::ALL {
            floor::attach(&floor, &Self::table(Variant::Notify, write)).await?;
            let watched = Self::table(Variant::Plank, write);
            let subscriber = table::watch(&own, bed.plank.address, &watched).await?;
            subscribers.push(Follower::start(Receiver::Plank(subscriber)));
        }
        let subscribers = subscribers.try_into();
        let listener = Follower::start(Receiver::Bare(Listener::connect(bed).await?));
        Ok(Self {
            own,
            floor,
            subscribers: subscribers.map_err(|_| "one for each kind of write")?,
            listener,
            markers: 0,
        })
    }

    /// The name of a table.
    pub fn table(variant: Variant, write: Write) -> String {
        format!("bench_{variant}_{write}").to_lowercase()
    }

    /// Where a variant's tables are.
    pub fn client(&self, variant: Variant) -> &Client {
        match variant {
            Variant::Notify => &self.floor,
            Variant::Unwatched | Variant::Plank => &self.own,
        }
    }

    /// Gets one table ready, in the same way for each variant: no dead rows, nothing that waits to be written to disk, and
    /// nobody who is still busy with what was measured before.
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
        within(
            TIDY_MAX,
            "a checkpoint",
            self.own.batch_execute("checkpoint"),
        )
        .await
    }

    /// Waits until everybody has everything.
    async fn caught_up(&mut self) -> Outcome<()> {
        self.markers += 1;
        let name = marker(self.markers);
        for write in Write::ALL {
            let sql = table::insert(&Self::table(Variant::Plank, write), "$1");
            within(SOON, "a marker", self.own.execute(&sql, &[&name])).await?;
        }
        floor::notify(&self.floor, &name).await?;
        for follower in self.subscribers.iter_mut().chain([&mut self.listener]) {
            follower.wait(self.markers, CAUGHT_UP_MAX).await?;
        }
        Ok(())
    }
}
