//! The ids that rooms and users got, written as CSV.

use std::io::{self, Write};

use csv::Writer;

use super::Recording;

/// Writes all rooms: the id that a service sees, the name in the file, and their grabs; of rooms without a row that is kept, no
/// number of these is known.
///
/// # Errors
/// When it cannot be written.
pub fn write_rooms(recording: &Recording, out: impl Write) -> io::Result<()> {
    let mut out = Writer::from_writer(out);
    out.write_record(["room_id", "room", "grabs", "rows"])?;
    let rooms = &recording.rooms;
    let counts =
        rooms.grabs.iter().zip(&rooms.stored).map(|(grabs, stored)| [grabs, stored].map(u64::to_string));
    let mut rows: Vec<(u64, &str, [String; 2])> = rooms
        .ids
        .iter()
        .zip(&rooms.labels)
        .zip(counts)
        .map(|((id, label), counts)| (*id, label.as_str(), counts))
        .collect();
    rows.extend(rooms.others.iter().map(|(id, label)| (*id, label.as_str(), <[String; 2]>::default())));
    rows.sort_unstable();
    for (id, label, [grabs, stored]) in rows {
        out.write_record([id.to_string().as_str(), label, grabs.as_str(), stored.as_str()])?;
    }
    out.flush()
}

/// Writes the users whose ids are hashes of their names, if these were kept.
///
/// # Errors
/// When it cannot be written.
pub fn write_users(recording: &Recording, out: impl Write) -> io::Result<()> {
    let mut out = Writer::from_writer(out);
    out.write_record(["user_id", "user"])?;
    recording.names().try_for_each(|(id, name)| out.write_record([id.to_string().as_str(), name]))?;
    out.flush()
}
