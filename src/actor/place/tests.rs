//! Who gets a place, and that all of them come back.

use super::*;

fn places(connections_max: usize, per_address_max: usize, sockets_max: usize) -> Arc<Places> {
    let bounds = Bounds {
        connections_max,
        per_address_max,
        per_principal_max: 2,
        sockets_max,
    };
    Places::new(bounds, Arc::default(), Arc::default())
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
    assert_eq!(first.belong_to(&ann), Ok(()), "it is his already");
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
