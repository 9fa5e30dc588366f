//! Whole seedings and archivings of folders, judged by what is in the files afterwards.

mod archiving;
mod archiving_beside;
pub(crate) mod common;
mod layout;
mod seeding;
