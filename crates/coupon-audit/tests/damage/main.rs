//! Each promise broken by hand, in a data set that is otherwise sound, and found: on every kind of store.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails is to stop")]

mod after_grab;
mod archived;
mod changed;
mod folder;
mod gate;
mod grabs;
mod kept;
mod moved;
mod reads;
mod rebuilt;
mod room_index;
mod site;
mod stock;
mod store;
