//! A stack deep enough for any shape.
//!
//! The parser bounds what it nests itself, but reads `a + b + c …` in a loop, into a tree as deep as the chain is long. Walking
//! through such a tree, and dropping it, takes a call for each of its levels.

use std::io;
use std::thread;

use super::writer::LONGEST;

/// The shortest level of a tree takes two characters of a shape.
const LEVELS: usize = LONGEST / 2;
/// The calls for a level take no more than this in a debug build, where they take the most.
const BYTES_A_LEVEL: usize = 8 * 1024;

/// Does something on a thread of its own. Of its stack, only what is used takes memory.
///
/// # Errors
/// When the thread cannot be started.
pub(super) fn with_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("sql".to_owned()).stack_size(LEVELS * BYTES_A_LEVEL);
        let running = thread.spawn_scoped(scope, work)?;
        running.join().map_or_else(|panic| std::panic::resume_unwind(panic), Ok)
    })
}
