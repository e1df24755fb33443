//! Who may come in. Owns the counts of connections and requests, by address and by principal.
//!
//! In: a connection that opens, a request, a message of a session. Out: a permit that is given back when it is dropped, or the
//! bound that is reached and when to come back. It knows numbers and addresses, and no client.

pub mod asker;
mod line;
pub mod permit;
pub mod rates;
