//! The simplest system there is: a row trigger that puts the row into a NOTIFY, and a client that listens. plank is
//! compared with it.
//!
//! It has a database of its own, since PostgreSQL wakes every listener of a database, whatever its channel: the two would
//! be in each other's way. The disk, the log and the lock that NOTIFY takes belong to the whole cluster.

use std::future::poll_fn;

use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls, Socket};

use super::bed::Bed;
use super::{Failure, Outcome, SOON, within};

const DATABASE: &str = "bench_floor";
const CHANNEL: &str = "bench_floor";

const FUNCTION: &str = "
    create function floor_notify() returns trigger language plpgsql as $$
    begin
      perform pg_notify('bench_floor', json_build_object('op', tg_op, 'row', row_to_json(new))::text);
      return null;
    end $$;
";

/// Makes the database, and connects a writer to it.
///
/// # Errors
/// If that is refused.
pub async fn create(bed: &Bed) -> Outcome<Client> {
    create_in(bed, DATABASE).await
}

/// The same in a database of this name, where several floors must not hear each other.
///
/// # Errors
/// If that is refused.
pub async fn create_in(bed: &Bed, database: &str) -> Outcome<Client> {
    let admin = bed.connect().await?;
    let sql = format!("create database {database}");
    within(SOON, "the floor's database", admin.batch_execute(&sql)).await?;
    let writer = bed.connect_to(database).await?;
    within(SOON, "the floor", writer.batch_execute(FUNCTION)).await?;
    Ok(writer)
}

/// From now on every row of `table` that is inserted or updated is notified of.
///
/// # Errors
/// If that is refused.
pub async fn attach(writer: &Client, table: &str) -> Outcome<()> {
    let sql = format!(
        "create trigger floor after insert or update on {table} for each row execute function floor_notify()"
    );
    within(SOON, "the floor's trigger", writer.batch_execute(&sql)).await
}

/// Sends something that is no row.
///
/// # Errors
/// If that is refused.
pub async fn notify(writer: &Client, payload: &str) -> Outcome<()> {
    let sql = "select pg_notify($1, $2)";
    let notify = async { writer.execute(sql, &[&CHANNEL, &payload]).await };
    within(SOON, "a notification", notify).await.map(drop)
}

/// A connection that is polled by the task that waits for a notification: no task and no queue in between.
pub struct Listener {
    _client: Client,
    connection: Connection<Socket, NoTlsStream>,
}

impl Listener {
    /// Connects and listens.
    ///
    /// # Errors
    /// If that is refused.
    pub async fn connect(bed: &Bed) -> Outcome<Self> {
        Self::on(&bed.database(DATABASE)).await
    }

    /// The same for another process, which has no bed.
    ///
    /// # Errors
    /// If that is refused.
    pub async fn on(config: &Config) -> Outcome<Self> {
        let (client, mut connection) = within(SOON, "a listener", config.connect(NoTls)).await?;
        let sql = format!("listen {CHANNEL}");
        let listen = async {
            tokio::select! {
                ran = client.batch_execute(&sql) => Ok(ran?),
                ended = next(&mut connection) => Err(format!("unexpected: {ended:?}").into()),
            }
        };
        within::<_, Failure>(SOON, "listen", listen).await?;
        Ok(Self {
            _client: client,
            connection,
        })
    }

    /// The next payload.
    ///
    /// # Errors
    /// If the connection ends.
    pub async fn payload(&mut self) -> Outcome<String> {
        loop {
            if let AsyncMessage::Notification(n) = next(&mut self.connection).await? {
                return Ok(n.payload().to_owned());
            }
        }
    }

    /// Reads until a payload has `part` in it.
    ///
    /// # Errors
    /// If the connection ends.
    pub async fn find(&mut self, part: &str) -> Outcome<String> {
        loop {
            match next(&mut self.connection).await? {
                AsyncMessage::Notification(n) if n.payload().contains(part) => {
                    return Ok(n.payload().to_owned());
                }
                _ => {}
            }
        }
    }
}

async fn next(connection: &mut Connection<Socket, NoTlsStream>) -> Outcome<AsyncMessage> {
    match poll_fn(|cx| connection.poll_message(cx)).await {
        Some(message) => Ok(message?),
        None => Err("PostgreSQL closed the connection".into()),
    }
}
