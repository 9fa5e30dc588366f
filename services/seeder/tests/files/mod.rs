//! Whole seedings and archivings of folders, judged by what is in the files afterwards.

mod archiving;
pub(crate) mod common;
mod layout;
mod seeding;
