//! `plank serve`

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use crate::app::{self, App, AppError};
use crate::config::ServeArgs;
use crate::descriptors;
use crate::health::Health;
use crate::systemd;

/// How often to look whether the database has come.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Serves until SIGTERM or SIGINT.
pub fn run(args: &ServeArgs) -> Result<(), AppError> {
    super::start_logger(&args.log);
    let config = args.resolve().map_err(|e| AppError(e.to_string()))?;
    log::info!(
        "plank starts version={} workers={} max-connections={} max-connections-per-ip={} max-message-bytes={} max-body-bytes={} retention={}s retention-rows={} doorbell={}",
        env!("CARGO_PKG_VERSION"),
        config.workers,
        config.connections_max,
        config.connections_per_ip_max,
        config.message_bytes_max,
        config.body_bytes_max,
        config.retention.keep.as_secs(),
        config.retention.rows_max,
        if config.doorbell { "on" } else { "off" }
    );
    descriptors::raise();
    descriptors::announce(config.connections_max);
    actix_rt::System::new().block_on(async {
        let mut stop = std::pin::pin!(stop_signal()?);
        let app = tokio::select! {
            app = app::build(config) => app?,
            () = &mut stop => return Ok(()),
        };
        systemd::watch(app.health().clone());
        announce(&app);
        app.run(stop).await
    })
}

/// Says where plank is as soon as changes are being followed.
fn announce(app: &App) {
    let addresses: Vec<String> = app.addresses().iter().map(ToString::to_string).collect();
    let health: Arc<Health> = app.health().clone();
    actix_rt::spawn(async move {
        while !health.is_live() {
            sleep(LOOK_INTERVAL).await;
        }
        systemd::ready();
        for address in addresses {
            // Whoever wanted to know may have gone after the first one.
            let _ = writeln!(io::stdout(), "plank is live at {address}");
        }
    });
}

/// Resolves at the first signal; the second one ends the process at once.
fn stop_signal() -> Result<impl Future<Output = ()>, AppError> {
    let listen =
        |kind| signal(kind).map_err(|e| AppError(format!("can't listen for signals: {e}")));
    let (mut term, mut interrupt) = (
        listen(SignalKind::terminate())?,
        listen(SignalKind::interrupt())?,
    );
    Ok(async move {
        tokio::select! { _ = term.recv() => {}, _ = interrupt.recv() => {} }
        systemd::stopping();
        actix_rt::spawn(async move {
            tokio::select! { _ = term.recv() => {}, _ = interrupt.recv() => {} }
            log::warn!("second signal, plank ends at once");
            std::process::exit(1);
        });
    })
}
