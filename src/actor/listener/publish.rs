//! The reader of the backplane: on one node at a time it reads the log and appends what it finds to the stream. Its own node
//! follows the stream like the others.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{interval, sleep};

use crate::actor::poll_request::PollRequest;
use crate::backplane::link::Questions;
use crate::backplane::writer::Asked;
use crate::backplane::{Link, Writer};
use crate::config::Backplane;
use crate::feed::Cursor;
use crate::health::Health;
use crate::limits::{BACKPLANE_BEAT, BACKPLANE_STAND_AGAIN};
use crate::metrics::Metrics;
use crate::store::ConnectError;
use crate::store::reading::Turn;

use super::Settings;
use super::follower::Follower;

/// Stands for reader for ever.
pub async fn run(settings: Settings, metrics: Arc<Metrics>, health: Arc<Health>) {
    let Some(config) = settings.backplane.clone().filter(|config| config.may_read) else {
        return std::future::pending().await;
    };
    let mut told = String::new();
    loop {
        let why = Box::pin(read(&settings, &config, &metrics, &health)).await;
        let has_read = metrics.backplane_reader.set(0) == 1;
        health.set_reader(false);
        // A database that is away says the same all the time.
        if has_read || why != told {
            log::warn!("this node does not read for the backplane reason=\"{why}\"");
            told = why;
        }
        sleep(BACKPLANE_STAND_AGAIN.mul_f64(1.0 + fastrand::f64())).await;
    }
}

/// Reads until it can't go on; why.
async fn read(
    settings: &Settings,
    config: &Backplane,
    metrics: &Arc<Metrics>,
    health: &Health,
) -> String {
    let ended = async {
        let mut turn = Turn::wait(&settings.database).await?;
        let epoch = turn.epoch().await?;
        let away = |e: crate::backplane::LinkError| ConnectError::Away(e.to_string());
        let link = Link::connect(config, "reader").await.map_err(away)?;
        let stream = link.make(&epoch, config).await.map_err(away)?;
        let (asked, poll_request) = (Arc::<Asked>::default(), Arc::<PollRequest>::default());
        let questions = stream.questions().await.map_err(away)?;
        let name = stream.name().to_owned();
        let begun = Writer::begin(stream, epoch, asked.clone(), metrics.clone()).await;
        let (writer, place) = begun.map_err(away)?;
        let writer = Arc::new(Mutex::new(writer));
        metrics.backplane_reader.set(1);
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
        }
    };
    match ended.await {
        Ok(()) => "the log has ended".into(),
        Err(error) => error.to_string(),
    }
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
