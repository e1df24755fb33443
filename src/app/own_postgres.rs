//! Looks after the private PostgreSQL: starts it again when it has ended by itself, stops it when plank stops.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::store::private::PrivatePostgres;

/// First and longest delay between two attempts to start it again; doubled each time. There is no last attempt: a disk
/// that is full, or a machine without memory, may have room again.
const RESTART_DELAY: Duration = Duration::from_secs(1);
/// See [`RESTART_DELAY`].
const RESTART_DELAY_LONGEST: Duration = Duration::from_secs(15);
/// For it to stop. It has deadlines of its own, this one is above their sum.
const STOP_MAX: Duration = Duration::from_secs(60);

/// See the module's documentation.
#[derive(Debug)]
pub struct OwnPostgres {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl OwnPostgres {
    /// Looks after `postgres` from now on.
    pub fn watch(mut postgres: PrivatePostgres) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let task = actix_rt::spawn(async move {
            loop {
                tokio::select! {
                    _ = &mut stopped => break,
                    end = postgres.exited() => log::error!("private postgresql ended, plank starts it again reason=\"{end}\""),
                }
                let data_dir = postgres.data_dir().to_owned();
                if let Err(error) = postgres.stop().await {
                    log::warn!("private postgresql could not be cleaned up reason=\"{error}\"");
                }
                tokio::select! {
                    _ = &mut stopped => return,
                    again = restart(&data_dir) => postgres = again,
                }
            }
            if let Err(error) = postgres.stop().await {
                log::error!("private postgresql could not be stopped reason=\"{error}\"");
            }
        });
        Self { stop, task }
    }

    /// Stops it, and waits until it is gone.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        if timeout(STOP_MAX, self.task).await.is_err() {
            log::error!("private postgresql does not stop, left running");
        }
    }
}

async fn restart(data_dir: &std::path::Path) -> PrivatePostgres {
    let (mut attempt, mut delay) = (1, RESTART_DELAY);
    loop {
        match PrivatePostgres::start(data_dir).await {
            Ok(postgres) => return postgres,
            Err(error) => log::error!(
                "private postgresql does not start, plank tries again attempt={attempt} delay_s={} reason=\"{error}\"",
                delay.as_secs()
            ),
        }
        sleep(delay).await;
        attempt += 1;
        delay = (delay * 2).min(RESTART_DELAY_LONGEST);
    }
}
