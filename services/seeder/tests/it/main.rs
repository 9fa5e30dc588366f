//! Whole seedings and archivings, judged by what is in the files afterwards.

#[cfg(test)]
mod archiving;
#[cfg(test)]
mod common;
#[cfg(test)]
mod seeding;
