//! Looks after the private PostgreSQL: starts it again when it has ended by itself, stops it when plank stops.

use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::store::private::PrivatePostgres;

/// Between two attempts to start it again.
const RESTART_DELAY: Duration = Duration::from_secs(1);
/// Attempts before plank gives up.
const RESTARTS_MAX: u32 = 5;
/// For it to stop. It has deadlines of its own, this one is above their sum.
const STOP_MAX: Duration = Duration::from_secs(60);

/// See the module's documentation.
#[derive(Debug)]
pub struct OwnPostgres {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl OwnPostgres {
    /// Looks after `postgres` from now on. What makes it give up goes to `fatal`.
    pub fn watch(mut postgres: PrivatePostgres, fatal: watch::Sender<Option<String>>) -> Self {
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
                match restart(&data_dir).await {
                    Ok(again) => postgres = again,
                    Err(why) => {
                        let _ = fatal.send(Some(why));
                        return;
                    }
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

async fn restart(data_dir: &std::path::Path) -> Result<PrivatePostgres, String> {
    let mut attempt = 0;
    loop {
        match PrivatePostgres::start(data_dir).await {
            Ok(postgres) => return Ok(postgres),
            Err(error) if attempt + 1 >= RESTARTS_MAX => {
                return Err(format!(
                    "the private PostgreSQL can't be started again: {error}"
                ));
            }
            Err(error) => log::warn!(
                "private postgresql does not start attempt={} reason=\"{error}\"",
                attempt + 1
            ),
        }
        attempt += 1;
        sleep(RESTART_DELAY).await;
    }
}
