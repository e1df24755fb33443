//! The protocol: frames of the WebSocket (RFC 6455) and messages (`plank.v1`), and the same messages as Server-Sent Events
//! ([`sse`]) and as the list of a long poll ([`list`]). Bytes in, bytes out; no I/O.

pub mod close;
pub mod decode;
pub mod deflate;
pub mod event;
pub mod frame;
mod header;
pub mod list;
pub mod message;
pub mod offer;
mod payload;
pub mod sse;
pub mod unframe;
pub mod violation;

#[cfg(test)]
mod oracle;
