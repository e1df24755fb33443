//! Who gets a place, and that all of them come back.

use super::*;
use crate::limits::KEEP_ALIVE;

fn places(connections_max: usize, per_address_max: usize, sockets_max: usize) -> Arc<Permits> {
    let bounds = Bounds {
        connections_max,
        per_address_max,
        per_principal_max: 2,
        sockets_max,
        keep_alive: KEEP_ALIVE,
    };
    Permits::new(bounds, Arc::default(), Arc::default())
}

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

#[test]
fn an_address_has_its_share_and_nothing_is_remembered_of_one_that_has_gone() {
    let places = places(10, 2, 100);
    let own = ip("192.0.2.1");
    let staying = [
        places.stay(own, true),
        places.stay(ip("::ffff:192.0.2.1"), false),
    ];
    assert!(staying.iter().all(Result::is_ok));
    assert_eq!(places.stay(own, true).err(), Some(Full::Address));
    // Of another address, or of none that counts.
    let others = [places.stay(ip("192.0.2.2"), true), places.stay(None, true)];
    assert!(others.iter().all(Result::is_ok));
    let open = [places.open(own), places.open(own)];
    assert!(
        open.iter().all(Result::is_ok),
        "others than those that stay"
    );
    assert_eq!(places.open(own).err(), Some(Full::Address));
    drop((staying, others, open));
    assert!(places.lock().is_empty());
    assert_eq!(
        (places.health.sessions(), places.sockets.load(Relaxed)),
        (0, 0)
    );
    assert!(places.stay(own, true).is_ok());
}

#[test]
fn a_host_of_ipv6_does_not_get_more_by_its_many_addresses() {
    let places = places(10, 1, 100);
    let first = places.stay(ip("2001:db8::1"), true);
    assert!(first.is_ok());
    assert!(places.stay(ip("2001:db8::ffff:2"), true).is_err());
    assert!(places.stay(ip("2001:db8:0:1::1"), true).is_ok());
}

#[test]
fn a_principal_has_his_share_from_wherever_he_comes() {
    let places = places(10, 5, 100);
    let of = |sub: &str| {
        let claims = serde_json::json!({"sub": sub, "role": "r", "exp": 1});
        Principal::of(claims.as_object().unwrap().clone()).unwrap()
    };
    let (ann, bob) = (of("ann"), of("bob"));
    let from = |address: Option<IpAddr>, who: &Principal| {
        let place = places.stay(address, true).unwrap();
        place.belong_to(who).map(|()| place)
    };
    let first = from(ip("192.0.2.1"), &ann).unwrap();
    assert_eq!(first.belong_to(&ann), Ok(()), "it is its own already");
    let second = from(ip("192.0.2.2"), &ann).unwrap();
    assert_eq!(from(ip("192.0.2.3"), &ann).err(), Some(Full::Principal));
    assert!(from(ip("192.0.2.1"), &bob).is_ok());
    assert!(from(None, &ann).is_ok(), "who is not counted");
    drop(first);
    let third = from(ip("192.0.2.3"), &ann);
    assert!(third.is_ok());
    drop((second, third));
    assert!(places.principals().is_empty() && places.lock().is_empty());
}

#[test]
fn a_refusal_takes_nothing() {
    let places = places(1, 5, 3);
    let first = places.stay(ip("192.0.2.1"), true).unwrap();
    for _ in 0..10 {
        assert_eq!(
            places.stay(ip("192.0.2.2"), true).err(),
            Some(Full::Connections)
        );
    }
    assert_eq!(places.lock().len(), 1);
    let open = [places.open(None), places.open(ip("192.0.2.3"))];
    assert_eq!(places.open(None).err(), Some(Full::Descriptors));
    drop(first);
    assert!(places.open(None).is_ok());
    drop(open);
}

/// A connection on which one request has been answered.
fn asked(places: &Arc<Permits>, address: Option<IpAddr>) -> Rc<Open> {
    let open = Rc::new(places.open(address).unwrap());
    open.hear();
    drop(open.clone().ask());
    open
}

/// How long until it is closed, to the second.
async fn closed_after(open: &Open) -> u64 {
    let started = Instant::now();
    open.is_late().await;
    started.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_connection_rests_longer_than_a_proxy_keeps_it() {
    let places = places(10, 10, 100);
    let open = asked(&places, ip("192.0.2.1"));
    let after = closed_after(&open).await;
    assert_eq!(after, KEEP_ALIVE.as_secs());
    assert!(after > 60, "nginx and load balancers keep one for a minute");
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_closed_only_between_two_requests() {
    let places = places(10, 10, 100);
    let open = asked(&places, None);
    let late = async { closed_after(&open).await };
    let client = async {
        // In the last moment the next head begins, and arrives in pieces.
        sleep(KEEP_ALIVE - Duration::from_millis(1)).await;
        open.hear();
        sleep(REQUEST_HEAD_MAX - Duration::from_secs(1)).await;
        open.hear();
        let asking = open.clone().ask();
        // It is answered for longer than a connection may rest.
        sleep(2 * KEEP_ALIVE).await;
        drop(asking);
    };
    let (after, ()) = tokio::join!(late, client);
    let expected = 4 * KEEP_ALIVE + REQUEST_HEAD_MAX - Duration::from_secs(1);
    assert!(
        after.abs_diff(expected.as_secs()) <= 1,
        "{after} {expected:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_head_that_has_begun_is_given_no_more_time_by_the_keep_alive() {
    let places = places(10, 10, 100);
    let open = asked(&places, None);
    let (after, ()) = tokio::join!(closed_after(&open), async {
        sleep(Duration::from_secs(1)).await;
        open.hear();
    });
    assert!(
        after <= 1 + (REQUEST_HEAD_MAX + TOLERANCE).as_secs(),
        "{after}"
    );
}

#[tokio::test(start_paused = true)]
async fn connections_that_rest_make_room_when_it_gets_crowded() {
    for (places, address) in [
        (places(10, 9, 100), ip("192.0.2.1")),
        (places(10, 100, 9), ip("192.0.2.1")),
        (places(10, 1, 9), None),
    ] {
        let open: Vec<_> = (0..5).map(|_| asked(&places, address)).collect();
        let after = closed_after(&open[0]).await;
        assert_eq!(after, KEEP_ALIVE_CROWDED.as_secs());
    }
}
