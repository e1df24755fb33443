//! How a follower comes back to the stream of the backplane: after a moment without NATS, and after it has read the log.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::backplane::codec::Head;
use crate::backplane::link::{LogStream, Tail};
use crate::backplane::{Follow, Link, LinkError, Retry};
use crate::config::Backplane;
use crate::feed::Epoch;
use crate::limits::{
    BACKPLANE_AGAIN_FIRST, BACKPLANE_AGAIN_LONGEST, BACKPLANE_BEAT, BACKPLANE_LEAVE_SPREAD,
    BACKPLANE_RETURN_FIRST, BACKPLANE_RETURN_LONGEST,
};

use super::stream::{Left, left};

/// Between two attempts to find the stream again, while there is patience.
pub(super) fn again() -> Retry {
    Retry::new(BACKPLANE_AGAIN_FIRST, BACKPLANE_AGAIN_LONGEST)
}

/// When a node that has left the stream reads the log: all nodes may have left it, and would come to PostgreSQL at the same moment.
pub(super) fn apart() -> Duration {
    BACKPLANE_LEAVE_SPREAD.mul_f64(fastrand::f64())
}

/// Between two looks whether the stream can be followed.
pub(super) fn returns() -> Retry {
    Retry::new(BACKPLANE_RETURN_FIRST, BACKPLANE_RETURN_LONGEST)
}

/// NATS was away for a moment, and does not know this follower any more. It may not know the last message any more either: it
/// acknowledges one before that is on disk.
pub(super) async fn begin_again(
    stream: &LogStream,
    epoch: &Epoch,
    (next, last): (u64, Option<Head>),
    tail: Tail,
    until: Instant,
) -> Result<Follow, Left> {
    let mut retry = again();
    loop {
        sleep(retry.failed()).await;
        let again = async {
            let now = stream.tail().await?;
            if now.made != tail.made || now.sequence + 1 < next {
                return Ok(None);
            }
            if last.is_some() {
                let kept = stream.get(next - 1).await?;
                if kept.and_then(|(payload, _)| head(&payload, epoch)) != last {
                    return Ok(None);
                }
            }
            Ok::<_, LinkError>(Some(stream.follow(next).await?))
        };
        match again.await {
            Ok(Some(messages)) => return Ok(messages),
            Ok(None) => return Err(left("the stream was made anew")),
            Err(error) if Instant::now() >= until => return Err(error.into()),
            Err(_) => {}
        }
    }
}

fn head(payload: &[u8], epoch: &Epoch) -> Option<Head> {
    Head::read(payload, epoch).ok().map(|(head, _)| head)
}

/// Resolves when the stream of a log can be followed, with its end at that moment. Who reads the log after that has all that is
/// on the stream up to there. `retry` has counted the returns that did not last.
pub(super) async fn way_back(config: Arc<Backplane>, epoch: Epoch, mut retry: Retry) -> Tail {
    loop {
        // Spread, so that a reader that has just come is not asked by all at once.
        sleep(retry.failed()).await;
        match Box::pin(look(&config, &epoch)).await {
            Ok(Some(tail)) => return tail,
            Ok(None) => {}
            Err(error) => log::debug!("stream not back reason=\"{error}\""),
        }
    }
}

/// Where the stream ends, if a reader writes to it.
async fn look(config: &Backplane, epoch: &Epoch) -> Result<Option<Tail>, LinkError> {
    let link = Link::connect(config, "node").await?;
    let Some(stream) = link.find(epoch).await? else {
        return Ok(None);
    };
    let before = stream.tail().await?;
    for _ in 0..3 {
        sleep(BACKPLANE_BEAT).await;
        let now = stream.tail().await?;
        if now.made != before.made || now.sequence <= before.sequence {
            continue;
        }
        // Others may write as well.
        let newest = stream.get(now.sequence).await?;
        if newest.is_some_and(|(payload, _)| head(&payload, epoch).is_some()) {
            return Ok(Some(now));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_that_leave_or_come_back_at_one_moment_come_to_a_server_one_after_another() {
        let leave = || apart();
        let first_look = || returns().failed();
        let late_look = || returns().after(100);
        let ways: [(&str, &dyn Fn() -> Duration); 3] = [
            ("leave", &leave),
            ("first look", &first_look),
            ("late look", &late_look),
        ];
        for (what, delay) in ways {
            let mut slots = std::collections::HashMap::<u128, u32>::new();
            for _ in 0..1_000 {
                *slots.entry(delay().as_millis() / 100).or_default() += 1;
            }
            let most = slots.values().max().unwrap();
            assert!(
                *most <= 120,
                "{what}: {most} of 1000 nodes in a tenth of a second"
            );
        }
    }
}
