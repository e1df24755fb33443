//! `plank serve`

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use crate::actor::message::Drain;
use crate::app::{self, App, AppError};
use crate::config::{ListenAddress, ServeArgs};
use crate::descriptors;
use crate::health::Health;
use crate::http::server;
use crate::systemd;

use super::log_format::LogFormat;

/// How often to look whether the database has come.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Serves until SIGTERM or SIGINT.
pub fn run(args: &ServeArgs) -> Result<(), AppError> {
    super::log_format::start(&args.log, LogFormat::of(&args.log_format));
    // First of all, before there is a thread or a child that could have the descriptors as well.
    let passed = systemd::sockets().map_err(AppError)?;
    let config = args.resolve().map_err(|e| AppError(e.to_string()))?;
    let bound = adopt(passed, args)?;
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
            app = Box::pin(app::build_on(config, bound)) => app?,
            () = &mut stop => return Ok(()),
        };
        if systemd::is_manager_there() {
            move_clients_on_hangup(&app)?;
        }
        systemd::watch(app.health().clone());
        announce(&app);
        app.run(stop).await
    })
}

/// The sockets of systemd, if there are any: they win over `--listen`, and have to pass the same question.
fn adopt(
    passed: Vec<systemd::Passed>,
    args: &ServeArgs,
) -> Result<Vec<(ListenAddress, server::Bound)>, AppError> {
    let bound = passed.into_iter().map(server::adopt);
    let bound = bound.collect::<Result<Vec<_>, _>>().map_err(AppError)?;
    let addresses: Vec<_> = bound.iter().map(|(address, _)| address.clone()).collect();
    let allowed = args.allow_addresses("plank.socket: ", &addresses);
    allowed.map_err(|e| AppError(e.to_string()))?;
    if !bound.is_empty() {
        log::info!("sockets are those that systemd passed, --listen is not used");
    }
    Ok(bound)
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
            // The reader may have gone after the first one.
            let _ = writeln!(io::stdout(), "plank is live at {address}");
        }
    });
}

/// SIGHUP, as `systemctl reload` sends it: all clients are told to come back, here or on another node. That is how they
/// get to a node that is new. From a terminal the signal means its end, so this is for service managers only.
fn move_clients_on_hangup(app: &App) -> Result<(), AppError> {
    let mut hangup = listen_for(SignalKind::hangup())?;
    let (hub, health) = (app.hub().clone(), app.health().clone());
    actix_rt::spawn(async move {
        while hangup.recv().await.is_some() {
            log::info!(
                "clients are asked to come back sessions={}",
                health.sessions()
            );
            hub.do_send(Drain);
        }
    });
    Ok(())
}

fn listen_for(kind: SignalKind) -> Result<Signal, AppError> {
    signal(kind).map_err(|e| AppError(format!("can't listen for signals: {e}")))
}

/// Resolves at the first signal; the second one ends the process at once.
fn stop_signal() -> Result<impl Future<Output = ()>, AppError> {
    let (mut term, mut interrupt) = (
        listen_for(SignalKind::terminate())?,
        listen_for(SignalKind::interrupt())?,
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
