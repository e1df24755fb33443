//! Whom a read is for: those who wait for a place are told apart by it.

use std::net::IpAddr;

use crate::auth::Viewer;
use crate::store::history::Asker;

use super::permit::key;

/// A principal by its `sub`, another client by its address where that is known.
pub fn asker(viewer: Option<&Viewer>, address: Option<IpAddr>) -> Asker {
    match viewer.and_then(Viewer::principal) {
        Some(principal) => Asker::Name(principal.sub.as_str().into()),
        None => address.map_or(Asker::Anyone, |address| Asker::Address(key(address))),
    }
}
