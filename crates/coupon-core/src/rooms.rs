//! The sizes of a catalogue's rooms.

/// The rooms that there are, of which the first are hot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomCounts {
    /// Rooms 1 to this one.
    pub all: u64,
    /// Rooms 1 to this one are hot.
    pub hot: u64,
}
