//! The reader of the backplane: on one node at a time it reads the log and appends what it finds to the stream. Its own node
//! follows the stream like the others.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, interval, sleep};

use crate::actor::poll_request::PollRequest;
use crate::backplane::link::{LogStream, Questions};
use crate::backplane::writer::Asked;
use crate::backplane::{Link, Retry, Writer};
use crate::config::Backplane;
use crate::feed::Cursor;
use crate::health::Health;
use crate::limits::{
    BACKPLANE_BEAT, BACKPLANE_LEFTOVER_AGE, BACKPLANE_STAND_FIRST, BACKPLANE_STAND_LONGEST,
    BACKPLANE_STEADY, RECONNECT_REFUSED_LONGEST,
};
use crate::metrics::Metrics;
use crate::store::ConnectError;
use crate::store::reading::Turn;

use super::Settings;
use super::follower::{Follower, Never};

/// Stands for reader for ever.
pub async fn run(settings: Settings, metrics: Arc<Metrics>, health: Arc<Health>) {
    let Some(config) = settings.backplane.clone().filter(|config| config.may_read) else {
        return std::future::pending().await;
    };
    let mut told = String::new();
    let mut retry = Retry::new(BACKPLANE_STAND_FIRST, BACKPLANE_STAND_LONGEST);
    loop {
        let mut since = None;
        let error = Box::pin(read(&settings, &config, &metrics, &health, &mut since)).await;
        let why = error.to_string();
        let has_read = metrics.backplane_reader.set(0) == 1;
        health.set_reader(false);
        // A database that is away says the same all the time.
        if has_read || why != told {
            log::warn!("this node does not read for the backplane reason=\"{why}\"");
            told = why;
        }
        if since.is_some_and(|since: Instant| since.elapsed() >= BACKPLANE_STEADY) {
            retry.worked();
        }
        // A wrong password that is sent all the time may lock the role.
        let delay = match error {
            ConnectError::Fatal(_) | ConnectError::Data(_) => {
                retry.failed_within(RECONNECT_REFUSED_LONGEST)
            }
            _ => retry.failed(),
        };
        sleep(delay).await;
    }
}

/// Reads until it can't go on; why. `since` gets the moment at which it begins.
async fn read(
    settings: &Settings,
    config: &Backplane,
    metrics: &Arc<Metrics>,
    health: &Health,
    since: &mut Option<Instant>,
) -> ConnectError {
    let ended = async {
        let mut turn = Turn::wait(&settings.database).await?;
        let epoch = turn.epoch().await?;
        let away = |e: crate::backplane::LinkError| ConnectError::Away(e.to_string());
        let link = Link::connect(config, "reader").await.map_err(away)?;
        let stream = link.make(&epoch, config).await.map_err(away)?;
        let (asked, poll_request) = (Arc::<Asked>::default(), Arc::<PollRequest>::default());
        let questions = stream.questions().await.map_err(away)?;
        let (name, own) = (stream.name().to_owned(), stream.clone());
        let begun = Writer::begin(stream, epoch, asked.clone(), metrics.clone()).await;
        let (writer, place) = begun.map_err(away)?;
        let writer = Arc::new(Mutex::new(writer));
        metrics.backplane_reader.set(1);
        *since = Some(Instant::now());
        health.set_reader(true);
        log::info!("this node reads for the backplane stream={name}");
        let place = place.map(|snapshot| Cursor { epoch, snapshot });
        // How far the reader is, and not whether this node is well: that the stream tells.
        let progress = Arc::<Health>::default();
        let mut follower = Follower::publishing(
            settings,
            (writer.clone(), place),
            poll_request.clone(),
            metrics.clone(),
            progress.clone(),
        );
        tokio::select! {
            ended = follower.run() => ended.map(|_| ()),
            () = turn.lost() => Err(ConnectError::Away("the lock was lost".into())),
            () = hear(questions, &asked, &poll_request, metrics) => {
                Err(ConnectError::Away("NATS: the connection has ended".into()))
            }
            error = beat(&writer, &progress) => Err(away(error)),
            never = tidy(&link, &own) => match never {},
        }
    };
    match ended.await {
        Ok(()) => ConnectError::Away("the log has ended".into()),
        Err(error) => error,
    }
}

/// Removes streams of which no reader is left; nothing waits for it.
async fn tidy(link: &Link, own: &LogStream) -> Never {
    let removed = Box::pin(link.remove_leftovers(own, BACKPLANE_LEFTOVER_AGE)).await;
    if let Err(error) = removed {
        log::debug!("streams without a reader stay reason=\"{error}\"");
    }
    std::future::pending().await
}

/// Looks at the log when a node asks for it.
async fn hear(
    mut questions: Questions,
    asked: &Asked,
    poll_request: &PollRequest,
    metrics: &Metrics,
) {
    while let Some((node, question)) = questions.next().await {
        asked.note(node, question, || poll_request.ask(), metrics);
    }
}

/// Says that the reader is there.
async fn beat(writer: &Mutex<Writer>, progress: &Health) -> crate::backplane::LinkError {
    // Half of it: a beat that comes a little early waits for the next tick.
    let mut ticks = interval(BACKPLANE_BEAT.min(Duration::from_secs(1)) / 4);
    loop {
        ticks.tick().await;
        let beaten = writer.lock().await.beat(progress.lag()).await;
        if let Err(error) = beaten {
            return error;
        }
    }
}
