//! Whole seedings and archivings on real servers, judged by what is in them afterwards.

mod archiving;
mod beside;
mod books;
pub(crate) mod command_line;
pub(crate) mod common;
mod seeding;
