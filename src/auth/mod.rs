//! Who is asking: tokens and the keys that they are signed with. What a principal may see is in [`crate::feed::policy`]; which
//! header a token comes in is [`crate::http`]'s business. Nothing here talks to the network: keys come from files, and [`crate::app`]
//! brings those of a URL.
//!
//! - [`token`] checks and makes tokens (RFC 7519), with the [`keys`] that the operator has pinned.
//! - [`explain`] says what is wrong with a token to its owner.
//! - [`principal`] is what a token says, and [`Viewer`] what the rest of plank asks with.
//! - `provider` is the cryptography behind jsonwebtoken, over ring.

pub mod explain;
pub mod keys;
pub mod principal;
mod provider;
pub mod revoked;
pub mod token;

pub use keys::Keys;
pub use principal::{Principal, Viewer};
pub use revoked::Revoked;
pub use token::{Rejected, Tokens};
