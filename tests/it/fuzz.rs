//! The targets of `make fuzz`, fed with their seeds, among them what it has once found, and with mutations of these.

use std::fs;
use std::path::Path;

#[path = "../../fuzz/src/targets.rs"]
mod targets;

/// Inputs for each target.
const INPUTS: usize = 30_000;

/// Bytes of an input.
const BYTES_MAX: usize = 2_000;

/// Words of all the languages that are read.
const WORDS: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"\\u",
    b"\\ud83d",
    b"(",
    b")",
    b",",
    b".",
    b"&",
    b"=",
    b"%",
    b"%00",
    b"%ff",
    b"+",
    b"*",
    b"\n",
    b"{",
    b"}",
    b"[",
    b"]",
    b"null",
    b"not.",
    b"or=(",
    b"and(",
    b"in.(",
    b"is.null",
    b"eq.",
    b"like.",
    b"1e400",
    b"-0",
    b"NaN",
    b"infinity",
    b"9223372036854775808",
    b"\"cursor\":\"",
    b"\"last\":true}",
    b"\x81\x7e",
    b"\x81\x7f",
    b"\x00\x80",
    b"\xff\xff\xff\xff",
    b"\xc3\x84",
    b"\xf0\x9f\x98\x80",
    b":",
    b"-",
    b" BC",
    b"T24:00:00",
];

/// A change as a hostile client would make it: any of a few, at any place.
fn mutate(input: &mut Vec<u8>, other: &[u8], random: &mut fastrand::Rng) {
    let at = random.usize(..=input.len());
    let to = random.usize(at..=input.len()).min(at + 16);
    match random.u8(..8) {
        0 if at < input.len() => input[at] ^= 1 << random.u8(..8),
        1 if at < input.len() => input[at] = random.u8(..),
        2 => drop(input.drain(at..to)),
        3 => drop(input.splice(at..at, input[at..to].to_vec().repeat(random.usize(1..20)))),
        4 => input.truncate(at),
        5 => drop(input.splice(at..to, WORDS[random.usize(..WORDS.len())].iter().copied())),
        6 => drop(input.splice(at.., other[random.usize(..=other.len())..].iter().copied())),
        _ => drop(input.splice(at..at, WORDS[random.usize(..WORDS.len())].iter().copied())),
    }
    input.truncate(BYTES_MAX);
}

/// Where mutations begin, with inputs on which a target once failed.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let mut paths: Vec<_> = fs::read_dir(dir.join(name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn feed(name: &str) {
    let target = targets::ALL.iter().find(|(target, _)| *target == name);
    let (target, seeds) = (target.unwrap().1, seeds(name));
    seeds.iter().for_each(|seed| target(seed));
    // The same ones each time, or a failure could not be looked at.
    let mut random = fastrand::Rng::with_seed(name.len() as u64);
    for _ in 0..INPUTS {
        let mut input = seeds[random.usize(..seeds.len())].clone();
        let other = seeds[random.usize(..seeds.len())].clone();
        for _ in 0..random.usize(1..8) {
            mutate(&mut input, &other, &mut random);
        }
        let result = std::panic::catch_unwind(|| target(&input));
        assert!(result.is_ok(), "on {:?}", String::from_utf8_lossy(&input));
    }
}

#[test]
fn frames() {
    feed("frames");
}

#[test]
fn messages() {
    feed("message");
}

#[test]
fn cursors() {
    feed("cursor");
}

#[test]
fn filters() {
    feed("filter");
}

#[test]
fn events() {
    feed("events");
}
