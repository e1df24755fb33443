//! Streams of logs that nobody reads any more. A log that is begun anew, or a database that is promoted, has another stream; the one
//! before stays, empty after its age, with a name and a place in the memory of NATS.
//!
//! NATS may have streams of other databases. So what decides is whether a reader writes: one appends each second. A stream is a
//! cache; if its reader comes back, it makes it anew.

use std::time::{Duration, SystemTime};

use async_nats::jetstream::stream::Info;
use futures_util::TryStreamExt as _;
use tokio::time::timeout;

use crate::limits::{BACKPLANE_CONNECT_MAX, BACKPLANE_LEFTOVER_MAX};

use super::link::{DESCRIPTION, Link, LinkError, LogStream, NAME_PREFIX, away, silent};

impl Link {
    /// Removes the streams that plank has made and to which nothing was appended for `age`, but not `own`; how many.
    ///
    /// # Errors
    /// If NATS is away, or does not let one be removed.
    pub async fn remove_leftovers(
        &self,
        own: &LogStream,
        age: Duration,
    ) -> Result<usize, LinkError> {
        let listed = timeout(BACKPLANE_LEFTOVER_MAX, self.context.streams().try_collect());
        let listed: Result<Vec<Info>, _> = listed.await.map_err(|_| silent("streams"))?;
        let listed = listed.map_err(|e| away("streams", &e))?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let since = now.unwrap_or_default().saturating_sub(age).as_nanos() as i128;
        let mut removed = 0;
        for info in listed.iter().filter(|info| is_leftover(info, since)) {
            let name = info.config.name.as_str();
            if name == own.name() {
                continue;
            }
            let removing = timeout(BACKPLANE_CONNECT_MAX, self.context.delete_stream(name)).await;
            let removing = removing.map_err(|_| silent("remove a stream"))?;
            removing.map_err(|e| away("remove a stream", &e))?;
            log::info!("stream without a reader removed name={name}");
            removed += 1;
        }
        Ok(removed)
    }
}

/// Whether plank has made it, and nothing was appended since then, in nanoseconds of Unix time.
fn is_leftover(info: &Info, since: i128) -> bool {
    let is_own = info.config.name.starts_with(NAME_PREFIX)
        && info.config.description.as_deref() == Some(DESCRIPTION);
    let appended = info.state.last_timestamp.unix_timestamp_nanos();
    // One without a message has the time zero.
    let last = appended.max(info.created.unix_timestamp_nanos());
    is_own && last < since
}
