//! What one worker thread knows of its clients. Owns their connections, their subscriptions, and the backlog that waits for those
//! whose socket is full. Used by that thread only, without a lock.
//!
//! In: what sessions ask for, what the hub answers, frames of a flush. Out: messages to the hub, bytes to sockets.

pub mod backlog;
pub mod connection;
pub mod encode;
pub mod gate;
pub mod login;
mod look_back;
mod receipt;
pub mod state;
mod subscribe;
pub mod subscription;
mod write_queue;
