//! The messages of `plank.v1` (docs/PROTOCOL.md): what clients may say, and the text of what the server says.

mod client;
mod server;
mod window;

pub use client::*;
pub use server::*;

/// The subprotocol that a client may offer.
pub const SUBPROTOCOL: &str = "plank.v1";
