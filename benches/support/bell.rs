//! plank's doorbell, seen from outside. Armed: plank's listener sleeps or is about to, and writers ring. Not armed: it
//! polls, and writers stay silent.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use super::{Outcome, SOON, within};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Whether it is armed now.
///
/// # Errors
/// If the database can't be asked.
pub async fn is_armed(client: &Client) -> Outcome<bool> {
    let sql = "select last_value from plank.bell";
    let row = within(SOON, "the bell", client.query_one(sql, &[])).await?;
    Ok(row.get::<_, i64>(0) != 0)
}

/// Waits until it is armed: nobody writes any more, and plank has noticed.
///
/// # Errors
/// If that takes too long.
pub async fn wait_armed(client: &Client) -> Outcome<()> {
    let waited = Instant::now();
    while !is_armed(client).await? {
        if waited.elapsed() >= SOON {
            return Err("plank does not go to sleep although nobody writes".into());
        }
        sleep(PAUSE).await;
    }
    Ok(())
}
