//! What happens in the rough weather.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;

use super::browsers::Browsers;
use super::disk::Disk;
use super::nginx::Nginx;
use crate::support::cluster::{Cluster, connect};
use crate::support::program::Program;
use crate::support::proxy::PgProxy;

#[derive(Clone, Copy, Debug)]
pub enum Event {
    DatabaseRestarts,
    ReadOnly,
    Password,
    Timeouts,
    Isolation,
    Terminated,
    Locked,
    Silent,
    ProxyReloads,
    PlankRestarts,
    PlankIsKilled,
    FewDescriptors,
    DiskFull,
    ClocksShift,
}

/// All of them.
pub const EVENTS: &[Event] = &[
    Event::DatabaseRestarts,
    Event::ReadOnly,
    Event::Password,
    Event::Timeouts,
    Event::Isolation,
    Event::Terminated,
    Event::Locked,
    Event::Silent,
    Event::ProxyReloads,
    Event::PlankRestarts,
    Event::PlankIsKilled,
    Event::FewDescriptors,
    Event::DiskFull,
    Event::ClocksShift,
];

const TERMINATE: &str =
    "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'weather'";

/// Everything that something may happen to.
pub struct Field {
    pub cluster: Cluster,
    pub proxy: PgProxy,
    pub nginx: Nginx,
    pub browsers: Option<Browsers>,
    pub disk: Option<Disk>,
    pub plank: Option<Program>,
    pub args: Vec<String>,
    pub log: Vec<Arc<AtomicUsize>>,
    /// For how long what happens lasts.
    pub lasts: Duration,
}

impl Field {
    pub async fn admin(&self) -> Client {
        connect(&self.cluster.config("plank")).await
    }

    async fn sql(&self, sql: &str) {
        let admin = self.admin().await;
        // One by one: ALTER SYSTEM takes no company.
        for statement in sql.split(';') {
            let done = admin.batch_execute(statement).await;
            done.unwrap_or_else(|e| panic!("{statement}: {e:?}"));
        }
    }

    /// Sets something, for those who connect from now on, and takes it back.
    async fn meanwhile(&self, set: &str, back: &str) {
        self.sql(set).await;
        self.sql(TERMINATE).await;
        sleep(self.lasts).await;
        self.sql(back).await;
        // Sessions of the time keep what they began with.
        self.sql(TERMINATE).await;
    }

    pub async fn start(&mut self) {
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        // Its database may be slow: all clients come back at once.
        let plank = Program::serve_within(Duration::from_secs(120), &args).await;
        self.log.push(plank.log_bytes.clone());
        self.plank = Some(plank);
    }

    fn pid(&self) -> Pid {
        self.plank.as_ref().unwrap().pid()
    }

    pub async fn happen(&mut self, event: Event) {
        match event {
            Event::DatabaseRestarts => self.cluster.restart().await,
            Event::ReadOnly => {
                self.meanwhile(
                    "alter system set default_transaction_read_only = on; select pg_reload_conf()",
                    "set default_transaction_read_only = off; alter system reset default_transaction_read_only; select pg_reload_conf()",
                )
                .await;
            }
            Event::Password => {
                self.meanwhile(
                    "alter role weather password 'other'",
                    "alter role weather password 'right'",
                )
                .await;
            }
            Event::Timeouts => {
                self.meanwhile(
                    "alter role weather set statement_timeout = '30ms'; alter role weather set lock_timeout = '5ms'; \
                     alter role weather set idle_session_timeout = '100ms'",
                    "alter role weather reset all",
                )
                .await;
            }
            Event::Isolation => {
                self.meanwhile(
                    "alter role weather set default_transaction_isolation = 'serializable'",
                    "alter role weather reset all",
                )
                .await;
            }
            Event::Terminated => self.sql(TERMINATE).await,
            Event::Locked => {
                let admin = self.admin().await;
                let lock = "begin; lock table plank.meta in access exclusive mode; lock table items in access exclusive mode";
                // Not for ever: readers of the log may be in the way.
                let _ = timeout(Duration::from_secs(2), admin.batch_execute(lock)).await;
                sleep(self.lasts).await;
            }
            Event::Silent => {
                self.proxy.swallow(true);
                sleep(self.lasts * 4).await;
                self.proxy.swallow(false);
            }
            Event::ProxyReloads => self.nginx.reload(),
            Event::PlankRestarts => {
                let plank = self.plank.take().unwrap();
                assert_eq!(plank.end(Signal::SIGTERM).await, Some(0), "an orderly end");
                self.start().await;
            }
            Event::PlankIsKilled => {
                let plank = self.plank.take().unwrap();
                assert_eq!(plank.end(Signal::SIGKILL).await, None);
                self.start().await;
            }
            Event::FewDescriptors => self.few_descriptors().await,
            Event::DiskFull => {
                if let Some(disk) = &self.disk {
                    disk.fill();
                    sleep(self.lasts * 2).await;
                    disk.free();
                }
            }
            Event::ClocksShift => {
                let hours = [0, 1, -1, 24, -24, 24 * 365][fastrand::usize(..6)];
                if let Some(browsers) = &mut self.browsers {
                    browsers.shift_clocks(hours * 3_600).await;
                }
            }
        }
    }

    async fn few_descriptors(&mut self) {
        let limit = |soft: &str| {
            let pid = self.pid().to_string();
            let mut prlimit = std::process::Command::new("prlimit");
            prlimit
                .args(["--pid", &pid, &format!("--nofile={soft}:")])
                .status()
        };
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", self.pid())).unwrap();
        let line = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"));
        let before = line
            .and_then(|line| line.split_whitespace().next())
            .unwrap()
            .to_owned();
        let used = std::fs::read_dir(format!("/proc/{}/fd", self.pid()))
            .unwrap()
            .count();
        let _ = limit(&(used + 2).to_string());
        sleep(self.lasts).await;
        let restored = limit(&before).is_ok_and(|status| status.success());
        assert!(restored || self.plank.as_mut().unwrap().has_ended());
    }
}
