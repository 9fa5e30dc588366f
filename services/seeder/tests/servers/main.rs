//! Whole seedings and archivings on real servers, judged by what is in them afterwards.

#[cfg(test)]
mod archiving;
#[cfg(test)]
mod beside;
#[cfg(test)]
mod books;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod common;
#[cfg(test)]
mod seeding;
