//! The protocol of the WebSocket: frames (RFC 6455) and messages (`plank.v1`). Bytes in, bytes out; no I/O.

pub mod close;
pub mod decode;
pub mod event;
pub mod frame;
mod header;
pub mod message;
mod payload;
pub mod violation;

#[cfg(test)]
mod oracle;
