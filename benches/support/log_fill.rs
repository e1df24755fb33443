//! A log of many million rows, made in a minute, and like one that has grown: its rows belong to transactions that have
//! committed, it fills its leaves one after the other, and plank has followed and left its marks.

use std::time::Duration;

use futures_util::future::try_join_all;
use tokio_postgres::Client;

use super::bed::Bed;
use super::client::Subscriber;
use super::receiver::marker;
use super::{Outcome, SOON, table, within};

/// Rows of one transaction. The log's rows belong to transactions that have committed, or no snapshot would mean anything.
pub const TRANSACTION_ROWS: usize = 1_000;
/// Who fill the log at the same time.
const FILLERS: usize = 2;
/// Rows after which plank has to have caught up: it follows while the log is filled, and leaves its marks.
const PORTION_ROWS: usize = 500_000;
/// For such a portion.
const PORTION_MAX: Duration = Duration::from_secs(120);

/// The log while it is filled.
pub struct Fill<'a> {
    bed: &'a Bed,
    main: Client,
    fillers: Vec<Client>,
    /// Rows so far, without the markers.
    done: usize,
    /// One for each time that plank was waited for.
    markers: usize,
}

impl<'a> Fill<'a> {
    /// Of an empty log.
    ///
    /// # Errors
    /// If the database can't be reached.
    pub async fn start(bed: &'a Bed) -> Outcome<Self> {
        let mut fillers = Vec::new();
        for _ in 0..FILLERS {
            let filler = bed.connect().await?;
            // Nobody needs these rows after a crash.
            let sql = "set synchronous_commit = off";
            within(SOON, sql, filler.batch_execute(sql)).await?;
            fillers.push(filler);
        }
        Ok(Self {
            bed,
            main: bed.connect().await?,
            fillers,
            done: 0,
            markers: 0,
        })
    }

    /// Fills until the log has so many rows, and plank has read them. Gives the name of the last row.
    ///
    /// # Errors
    /// If the database refuses, or plank does not follow.
    pub async fn up_to(&mut self, rows: usize, of: usize) -> Outcome<String> {
        while self.done < rows {
            let portion = PORTION_ROWS.min(rows - self.done);
            let each = portion / FILLERS;
            let first = self.done;
            let fills = self
                .fillers
                .iter()
                .enumerate()
                .map(|(i, filler)| async move {
                    let sql = fill_sql(first + i * each + 1, each);
                    within(PORTION_MAX, "filling", filler.batch_execute(&sql)).await
                });
            try_join_all(fills).await?;
            self.done += each * FILLERS;
            self.caught_up().await?;
            // plank looks every 30 seconds; at this speed that is not often enough for leaves of one size.
            let prune = self.main.batch_execute("select plank.prune()");
            within(SOON, "plank.prune", prune).await?;
            eprintln!("load: history, {} of {of} rows", self.done);
        }
        Ok(marker(self.markers as u64))
    }

    /// Writes a row, and waits until plank delivers it.
    async fn caught_up(&mut self) -> Outcome<()> {
        let address = self.bed.plank.address;
        let mut subscriber = Subscriber::connect(address, "items").await?;
        self.markers += 1;
        let name = marker(self.markers as u64);
        let sql = table::insert("items", "$1");
        within(SOON, "a marker", self.main.execute(&sql, &[&name])).await?;
        within(PORTION_MAX, "catching up", subscriber.find(&name)).await?;
        Ok(())
    }

    /// How many rows there are by now.
    pub fn logged(&self) -> usize {
        self.done + self.markers
    }

    /// The cursor of now.
    ///
    /// # Errors
    /// If the database does not say.
    pub async fn cursor(&self) -> Outcome<String> {
        let query = self.main.query_one("select plank.cursor()", &[]);
        Ok(within(SOON, "plank.cursor", query).await?.get(0))
    }
}

/// Rows as capture writes them, with its doorbell, but without the writes to a table: those would take most of the time.
fn fill_sql(first: usize, rows: usize) -> String {
    let transactions = rows / TRANSACTION_ROWS;
    format!(
        r#"do $$ begin
            for t in 0..{transactions} - 1 loop
                insert into plank.log (slot, rel, op, row)
                    select (select last_value from plank.slot), 'public.items'::regclass, 'I', ('{{"id":' || i ||
                        ',"name":"row ' || i || '","description":"a row as it occurs in practice","status":"open","data":{{"priority": 3}},"version":1,' ||
                        '"created_at":"2026-11-24T08:00:00.123456+00:00","updated_at":"2026-11-24T08:00:00.123456+00:00"}}')::json
                    from generate_series({first} + t * {TRANSACTION_ROWS}, {first} + (t + 1) * {TRANSACTION_ROWS} - 1) i;
                if pg_sequence_last_value('plank.bell') is distinct from 0 then perform pg_notify('plank', ''); end if;
                commit;
            end loop;
        end $$"#
    )
}
