//! How many clients there may be: all together, of one address, and as many as the process has descriptors for. It knows
//! numbers and addresses, and no client.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::auth::Principal;
use crate::health::Health;
use crate::limits::{KEEP_ALIVE_CROWDED, REQUEST_HEAD_MAX};
use crate::metrics::Metrics;
use crate::throttle::Throttle;

/// The name of [`REQUEST_HEAD_MAX`] in metrics.
const REQUEST_HEAD: &str = "request_head";

/// By how much two clocks may differ.
const TOLERANCE: Duration = Duration::from_secs(1);

/// The bounds.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Clients that stay: WebSockets, streams and long polls.
    pub connections_max: usize,
    /// Those of one address, and also the other connections of one address.
    pub per_address_max: usize,
    /// Clients that stay, of one principal.
    pub per_principal_max: usize,
    /// Sockets of all kinds.
    pub sockets_max: usize,
    /// How long a connection of HTTP may rest between two requests while there is room for others.
    pub keep_alive: Duration,
}

/// Why there is no place. The text is the setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// All are taken.
    Connections,
    /// All of this address are.
    Address,
    /// The process may not have more descriptors.
    Descriptors,
    /// All of this principal are.
    Principal,
}

impl Full {
    /// The name of the bound, in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Address => "connections_per_ip",
            Self::Descriptors => "descriptors",
            Self::Principal => "connections_per_principal",
        }
    }

    /// What an operator can change.
    fn setting(self) -> &'static str {
        match self {
            Self::Connections => "--max-connections",
            Self::Address => "--max-connections-per-ip",
            Self::Principal => "--max-connections-per-principal",
            Self::Descriptors => "the limit of file descriptors (LimitNOFILE=, ulimit -n)",
        }
    }
}

/// What one address has.
#[derive(Debug, Default)]
struct Counts {
    staying: usize,
    open: usize,
}

/// All places. One for each [`crate::app::App`].
#[derive(Debug)]
pub struct Permits {
    bounds: Bounds,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    /// Those that have something, and no others: as many as there are connections.
    addresses: Mutex<HashMap<IpAddr, Counts>>,
    /// Sockets that are open, whatever they are.
    sockets: AtomicUsize,
    /// For each reason.
    throttles: [Throttle; 4],
    /// Clients that stay of each principal that has some, by its `sub`.
    principals: Mutex<HashMap<Arc<str>, usize>>,
}

impl Permits {
    /// All are free.
    pub fn new(bounds: Bounds, health: Arc<Health>, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            bounds,
            health,
            metrics,
            addresses: Mutex::default(),
            sockets: AtomicUsize::new(0),
            throttles: Default::default(),
            principals: Mutex::default(),
        })
    }

    /// Takes a place for a client that stays. `address` is none for one that is not counted by it; `is_socket` says that
    /// it takes its socket out of HTTP.
    ///
    /// # Errors
    /// If there is none. That has been counted and logged.
    pub fn stay(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        is_socket: bool,
    ) -> Result<Permit, Full> {
        let address = address.map(key);
        let max = self.bounds.per_address_max;
        if !self.count(address, |counts| {
            (counts.staying < max).then(|| counts.staying += 1)
        }) {
            return Err(self.refuse(Full::Address, address, max));
        }
        let max = self.bounds.connections_max;
        if !self.health.take_session(max) {
            self.give_back(address, |counts| counts.staying -= 1);
            return Err(self.refuse(Full::Connections, address, max));
        }
        if is_socket {
            self.sockets.fetch_add(1, Relaxed);
        }
        Ok(Permit {
            places: self.clone(),
            address,
            is_socket,
            principal: RefCell::default(),
        })
    }

    /// Counts a connection that has been accepted, for as long as it is one of HTTP.
    ///
    /// # Errors
    /// See [`Self::stay`].
    pub fn open(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Open, Full> {
        let max = self.bounds.sockets_max;
        if self.sockets.fetch_add(1, Relaxed) >= max {
            self.sockets.fetch_sub(1, Relaxed);
            return Err(self.refuse(Full::Descriptors, address, max));
        }
        let (address, max) = (address.map(key), self.bounds.per_address_max);
        if !self.count(address, |counts| {
            (counts.open < max).then(|| counts.open += 1)
        }) {
            self.sockets.fetch_sub(1, Relaxed);
            return Err(self.refuse(Full::Address, address, max));
        }
        Ok(Open {
            places: self.clone(),
            address,
            quiet_since: Cell::new(Instant::now()),
            head_since: Cell::new(None),
            head_begun: Notify::new(),
            asking: Cell::new(0),
            has_asked: Cell::new(false),
        })
    }

    /// Changes what is counted for an address, if `change` finds that it may. True as well where nothing is counted.
    fn count(
        &self,
        address: Option<IpAddr>,
        change: impl FnOnce(&mut Counts) -> Option<()>,
    ) -> bool {
        let Some(address) = address else { return true };
        let mut addresses = self.lock();
        let counts = addresses.entry(address).or_default();
        let may = change(counts).is_some();
        if counts.staying + counts.open == 0 {
            addresses.remove(&address);
        }
        may
    }

    fn give_back(&self, address: Option<IpAddr>, change: impl FnOnce(&mut Counts)) {
        self.count(address, |counts| {
            change(counts);
            Some(())
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, Counts>> {
        // Only numbers are changed under it.
        self.addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn principals(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.principals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn refuse(&self, full: Full, address: Option<IpAddr>, max: usize) -> Full {
        self.metrics.limit(full.name());
        if let Some(kept_back) = self.throttles[full as usize].pass() {
            let address = address.map_or_else(|| "any".to_owned(), |ip| ip.to_string());
            log::warn!(
                "client refused, too many limit={} max={max} address={address} not-logged={kept_back} setting=\"{}\"",
                full.name(),
                full.setting()
            );
        }
        full
    }
}

/// One host of IPv6 has a network of its own.
pub(super) fn key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into(),
        v4 => v4,
    }
}

/// The place of a client that stays; free again when it is dropped.
#[derive(Debug)]
pub struct Permit {
    places: Arc<Permits>,
    address: Option<IpAddr>,
    is_socket: bool,
    /// Whose it is by now, if that is counted.
    principal: RefCell<Option<Arc<str>>>,
}

impl Permit {
    /// Whether the client is counted, and so bounded, by its address.
    pub fn is_counted(&self) -> bool {
        self.address.is_some()
    }

    /// Where the client comes from, if that is counted.
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// It belongs to this principal from now on.
    ///
    /// # Errors
    /// If the principal has all that it may have. That has been counted and logged.
    pub fn belong_to(&self, principal: &Principal) -> Result<(), Full> {
        if !self.is_counted() || self.principal.borrow().is_some() {
            return Ok(());
        }
        let (sub, max) = (
            Arc::<str>::from(&*principal.sub),
            self.places.bounds.per_principal_max,
        );
        {
            let mut principals = self.places.principals();
            let count = principals.entry(sub.clone()).or_default();
            if *count < max {
                *count += 1;
                self.principal.replace(Some(sub));
                return Ok(());
            }
        }
        Err(self.places.refuse(Full::Principal, self.address, max))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let places = &self.places;
        places.give_back(self.address, |counts| counts.staying -= 1);
        if let Some(sub) = self.principal.take() {
            let mut principals = places.principals();
            if let Some(count) = principals.get_mut(&sub) {
                *count -= 1;
                if *count == 0 {
                    principals.remove(&sub);
                }
            }
        }
        if self.is_socket {
            places.sockets.fetch_sub(1, Relaxed);
        }
        places.health.release_session();
    }
}

/// A connection of HTTP.
#[derive(Debug)]
pub struct Open {
    places: Arc<Permits>,
    address: Option<IpAddr>,
    /// When the last answer was made, or it was accepted.
    quiet_since: Cell<Instant>,
    /// When the first byte of the next head was read; none between two requests.
    head_since: Cell<Option<Instant>>,
    /// Wakes [`Self::is_late`], which would sleep for as long as the connection may rest.
    head_begun: Notify,
    /// Requests that are being answered.
    asking: Cell<usize>,
    has_asked: Cell<bool>,
}

impl Open {
    /// The head of a request has arrived.
    pub fn ask(self: Rc<Self>) -> Asking {
        self.has_asked.set(true);
        self.head_since.set(None);
        self.asking.set(self.asking.get() + 1);
        Asking(self)
    }

    /// Something has been read. While a request is being answered it may be of its body, and is not looked at.
    pub fn hear(&self) {
        if self.asking.get() == 0 && self.head_since.get().is_none() {
            self.head_since.set(Some(Instant::now()));
            self.head_begun.notify_one();
        }
    }

    /// Resolves when the head of the next request has taken too long, or none has begun for so long that the connection
    /// is closed. actix-http has a deadline for the first head only.
    pub async fn is_late(&self) {
        while let Some(left) = self.left() {
            tokio::select! {
                // Not all of it: it may have got crowded meanwhile.
                () = sleep(left.min(KEEP_ALIVE_CROWDED)) => {}
                () = self.head_begun.notified() => {}
            }
        }
        if self.has_asked.get() && self.head_since.get().is_some() {
            self.places.metrics.limit(REQUEST_HEAD);
        }
    }

    /// How long it may still go on like this.
    fn left(&self) -> Option<Duration> {
        // So that actix-http is the first to say so, for it can say it to the client.
        let head_max = REQUEST_HEAD_MAX + TOLERANCE;
        let (since, max) = match self.head_since.get() {
            _ if self.asking.get() > 0 => return Some(head_max),
            Some(since) if self.has_asked.get() => (since, head_max),
            _ if !self.has_asked.get() => (self.quiet_since.get(), head_max),
            _ if self.is_crowded() => (self.quiet_since.get(), KEEP_ALIVE_CROWDED),
            _ => (self.quiet_since.get(), self.places.bounds.keep_alive),
        };
        let left = max.checked_sub(since.elapsed());
        left.filter(|left| !left.is_zero())
    }

    /// Whether more than half of what it is counted in is taken. Those that rest must not keep others out.
    fn is_crowded(&self) -> bool {
        let bounds = &self.places.bounds;
        let of_address = |address| {
            let addresses = self.places.lock();
            addresses
                .get(&address)
                .is_some_and(|c| 2 * c.open > bounds.per_address_max)
        };
        2 * self.places.sockets.load(Relaxed) > bounds.sockets_max
            || self.address.is_some_and(of_address)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let places = &self.places;
        // The clock of actix-http is up to half a second behind.
        let is_late = self.quiet_since.get().elapsed() >= REQUEST_HEAD_MAX - TOLERANCE;
        if !self.has_asked.get() && is_late {
            places.metrics.limit(REQUEST_HEAD);
        }
        places.give_back(self.address, |counts| counts.open -= 1);
        places.sockets.fetch_sub(1, Relaxed);
    }
}

/// A request that is being answered, until its answer has been made.
#[derive(Debug)]
pub struct Asking(Rc<Open>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.asking.set(self.0.asking.get() - 1);
        self.0.quiet_since.set(Instant::now());
        self.0.head_since.set(None);
    }
}

#[cfg(test)]
mod tests;
