//! The seeder, on files and on real servers.

#[cfg(test)]
mod files;
#[cfg(test)]
mod servers;
