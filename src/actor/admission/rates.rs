//! How many requests a second a client may send: by address, by principal, and on one session. For clients not counted by address, see
//! [`crate::http::peer`], is not counted here either.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::auth::Principal;
use crate::config::Rates as Quotas;
use crate::limits::{RATE_BURST_S, RATE_KEYS_MAX};
use crate::metrics::Metrics;

use super::line::Lines;
use super::permit::key;

/// Too often: after this time it is possible again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooOften(pub Duration);

fn quota(per_second: NonZeroU32) -> Quota {
    let burst = per_second.saturating_mul(RATE_BURST_S);
    Quota::per_second(per_second).allow_burst(burst)
}

type Keyed<K> =
    RateLimiter<K, HashMapStateStore<K>, MonotonicClock, NoOpMiddleware<std::time::Instant>>;

/// Those who have asked lately.
#[derive(Debug)]
struct Askers<K: Clone + Hash + Eq> {
    limiter: Keyed<K>,
    checks: AtomicU32,
    clock: MonotonicClock,
}

/// After so many questions those who have not asked for long are forgotten.
const FORGET_EVERY: u32 = 4_096;

impl<K: Clone + Hash + Eq> Askers<K> {
    fn new(per_second: NonZeroU32) -> Self {
        Self {
            limiter: RateLimiter::hashmap_with_clock(quota(per_second), MonotonicClock),
            checks: AtomicU32::new(0),
            clock: MonotonicClock,
        }
    }

    fn check(&self, key: &K) -> Result<(), TooOften> {
        let is_full = self.limiter.len() >= RATE_KEYS_MAX;
        if is_full || self.checks.fetch_add(1, Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.limiter.retain_recent();
        }
        if is_full && self.limiter.len() >= RATE_KEYS_MAX {
            // More addresses at once than there are clients: nobody new until they calm down.
            return Err(TooOften(Duration::from_secs(1)));
        }
        let checked = self.limiter.check_key(key);
        checked.map_err(|not_until| TooOften(not_until.wait_time_from(self.clock.now())))
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Rates {
    requests: Askers<IpAddr>,
    principals: Askers<Arc<str>>,
    handshakes: Askers<IpAddr>,
    /// When those whose handshake was refused may come back.
    lines: Mutex<Lines<IpAddr>>,
    messages: Quota,
    metrics: Arc<Metrics>,
}

impl Rates {
    /// Nobody has asked yet.
    pub fn new(quotas: Quotas, metrics: Arc<Metrics>) -> Self {
        Self {
            requests: Askers::new(quotas.requests),
            principals: Askers::new(quotas.requests),
            handshakes: Askers::new(quotas.handshakes),
            lines: Mutex::new(Lines::new(quotas.handshakes)),
            messages: quota(quotas.messages),
            metrics,
        }
    }

    fn counted(&self, limit: &'static str, checked: Result<(), TooOften>) -> Result<(), TooOften> {
        checked.inspect_err(|_| self.metrics.limit(limit))
    }

    /// A request of an address.
    ///
    /// # Errors
    /// Too often. It has been counted.
    pub fn request(&self, address: IpAddr) -> Result<(), TooOften> {
        self.counted("requests", self.requests.check(&key(address)))
    }

    /// A request of a principal.
    ///
    /// # Errors
    /// See [`Self::request`].
    pub fn principal(&self, principal: &Principal) -> Result<(), TooOften> {
        let sub = principal.sub.as_str().into();
        self.counted("requests", self.principals.check(&sub))
    }

    /// A handshake of an address. One that is refused gets a time of its own to come back, behind those before it.
    ///
    /// # Errors
    /// See [`Self::request`].
    pub fn handshake(&self, address: IpAddr) -> Result<(), TooOften> {
        let address = key(address);
        let checked = self.handshakes.check(&address);
        let in_line = |TooOften(wait)| TooOften(self.lines().join(address, wait, Instant::now()));
        self.counted("handshakes", checked.map_err(in_line))
    }

    /// Whether a handshake of an address has just been refused: a browser does not tell its page the answer to one, so the
    /// page asks. Each refusal is told once.
    ///
    /// # Errors
    /// What the handshake was answered.
    pub fn refused_handshake(&self, address: IpAddr) -> Result<(), TooOften> {
        let told = self.lines().tell(&key(address), Instant::now());
        told.map_or(Ok(()), |wait| Err(TooOften(wait)))
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, Lines<IpAddr>> {
        // Each change of it is whole.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the messages of one session.
    pub fn of_session(&self) -> Messages {
        Messages(RateLimiter::direct_with_clock(
            self.messages,
            MonotonicClock,
        ))
    }
}

/// How often one session may say something.
#[derive(Debug)]
pub struct Messages(
    RateLimiter<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<std::time::Instant>>,
);

impl Messages {
    /// Whether it may say one more.
    pub fn may(&self) -> bool {
        self.0.check().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(requests: u32) -> Rates {
        let one = NonZeroU32::MIN;
        let quotas = Quotas {
            requests: one.saturating_mul(NonZeroU32::new(requests).unwrap()),
            handshakes: one,
            messages: one,
        };
        Rates::new(quotas, Arc::default())
    }

    #[test]
    fn who_asks_too_often_waits_and_nobody_else() {
        let rates = rates(10);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        for _ in 0..10 * RATE_BURST_S.get() {
            assert_eq!(rates.request(ip("192.0.2.1")), Ok(()));
        }
        let TooOften(wait) = rates.request(ip("::ffff:192.0.2.1")).unwrap_err();
        assert!(
            wait > Duration::ZERO && wait <= Duration::from_millis(100),
            "{wait:?}"
        );
        assert_eq!(rates.request(ip("192.0.2.2")), Ok(()));
        let messages = rates.of_session();
        let allowed = (0..1_000).take_while(|_| messages.may()).count();
        assert_eq!(allowed, RATE_BURST_S.get() as usize);
        assert!(rates.of_session().may(), "each session has its own");
    }

    #[test]
    fn a_host_of_ipv6_is_one() {
        let rates = rates(1);
        let mut refused = 0;
        for host in 0..100_u128 {
            let address = std::net::Ipv6Addr::from_bits((0x2001_0db8_u128 << 96) + host);
            refused += usize::from(rates.handshake(address.into()).is_err());
        }
        assert!(refused >= 94, "{refused}");
    }
}
