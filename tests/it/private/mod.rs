//! The private PostgreSQL, with the server that is installed on this machine. As root all of it; as another user the
//! tests that need root say so and pass.

mod life;
mod recovery;
mod refusal;
mod support;
mod users;
