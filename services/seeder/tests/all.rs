//! The seeder, on files and on real servers.

#[cfg(test)]
mod copying;
#[cfg(test)]
mod database;
#[cfg(test)]
mod files;
#[cfg(test)]
mod room_index;
#[cfg(test)]
mod servers;
#[cfg(test)]
mod service;
