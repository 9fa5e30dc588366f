//! The HTTP API over real sockets, on the embedded backend, in a folder of each test's own.

mod admin;
mod after_grab;
mod archive;
mod bad_input;
mod catalogue;
mod grabs;
mod hostile;
mod identity;
mod layout;
mod limits;
mod lists;
mod operation;
mod operators;
mod outages;
mod requests;
mod results;
mod wire;
