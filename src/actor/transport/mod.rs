//! Where bytes go. Owns the sockets of clients that have left HTTP behind, and the frames that many of them share.
//!
//! In: bytes to write. Out: how many were taken, and bytes that were read. A pipe within the process stands for a socket where a
//! response of HTTP carries the frames.

pub mod pipe;
pub mod shared_frame;
pub mod socket;
