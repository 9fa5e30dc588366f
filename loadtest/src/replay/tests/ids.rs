//! Ids of any kind and size.

use super::*;
use crate::replay::{write_rooms, write_users};

fn rooms(labels: &[&str]) -> Recording {
    let lines: String =
        labels.iter().enumerate().map(|(n, room)| format!("{},{room},1,20160101\n", n + 1)).collect();
    ours(&lines).unwrap()
}

#[test]
fn ids_that_a_service_takes_are_those_that_it_will_see() {
    let recording =
        ours("7399999,900,5,20160102\n12,31,8,20160101\n12,31,5,20160101\n7399999,900,5,20160102\n").unwrap();
    let mut seen: Vec<_> =
        recording.rows().iter().map(|row| (row.user.get(), row.room.get(), row.coupon)).collect();
    seen.sort_unstable();
    assert_eq!(seen, [(12, 31, 1), (12, 31, 2), (7_399_999, 900, 3), (7_399_999, 900, 3)]);
    assert_eq!((recording.users(), recording.coupons(), recording.shared_coupons), (2, 3, 1));
    assert_eq!((recording.repeated, recording.stored().count()), (1, 3));
    assert!(!recording.rooms.are_numbered);
    let options = recording.catalogue(None, 1);
    let given = options.given.as_ref().unwrap();
    assert_eq!((given.users.as_ref(), given.rooms.as_ref()), (&[12, 7_399_999][..], &[31, 900][..]));
    assert_eq!((given.coupon_rooms.as_ref(), options.stock), (&[31, 31, 900][..], Some(2)));
    assert_eq!(options.check(), Ok(()));
}

#[test]
fn rooms_beyond_what_a_service_takes_are_numbered_in_order_and_the_map_is_whole() {
    let recording = rooms(&["2053013563651392361", "2053013552259662037", "9", "alpha", "10"]);
    assert!(recording.rooms.are_numbered && described(&recording).contains("numbered from 1"));
    let mut map = Vec::new();
    write_rooms(&recording, &mut map).unwrap();
    let map = String::from_utf8(map).unwrap();
    let lines: Vec<&str> = map.lines().collect();
    assert_eq!(
        lines,
        [
            "room_id,room,grabs,rows",
            "1,9,1,1",
            "2,10,1,1",
            "3,2053013552259662037,1,1",
            "4,2053013563651392361,1,1",
            "5,alpha,1,1"
        ]
    );
    let negative = rooms(&["-9007199254740992", "-9007199254740993"]);
    assert_eq!(negative.rooms.labels, ["-9007199254740993", "-9007199254740992"]);
}

/// Two hundred rooms, each with grabs of five users, and one whose only grab is far apart from all others in time.
fn many_rooms() -> String {
    let line = |n: u64| format!("{},room {},{},2016010{}\n", n + 1, n % 200, n % 200, n % 9 + 1);
    format!("{HEADER}\n{}1001,a far room,200,19700101\n", (0..1_000).map(line).collect::<String>())
}

#[test]
fn of_a_part_of_the_rows_rooms_have_the_ids_that_they_have_in_the_whole_and_the_map_has_them_all() {
    let part = |reading: ReadOptions| {
        let recording = read_as(many_rooms(), &reading).unwrap();
        let mut map = Vec::new();
        write_rooms(&recording, &mut map).unwrap();
        let named = |line: &str| line.rsplitn(3, ',').last().unwrap().to_owned();
        (recording, String::from_utf8(map).unwrap().lines().map(named).collect::<Vec<_>>())
    };
    let (whole, all) = part(ReadOptions::default());
    assert_eq!((all.len(), whole.rooms.others.len()), (202, 1));
    for reading in [
        ReadOptions { sample: "5%".parse().unwrap(), ..ReadOptions::default() },
        ReadOptions { most: 60, ..ReadOptions::default() },
    ] {
        let (part, map) = part(reading);
        assert!(part.rooms.ids.len() < 100 && part.rooms.ids.len() + part.rooms.others.len() == 201);
        assert_eq!(map, all);
        for (id, label) in part.rooms.ids.iter().zip(&part.rooms.labels) {
            assert!(all.contains(&format!("{id},{label}")), "{id} {label}");
        }
        assert_eq!(part.rooms.grabs.len(), part.rooms.ids.len());
        assert!(part.rows().iter().all(|row| part.rooms.ids.contains(&row.room.get())));
    }
}

#[test]
fn names_are_kept_within_bounds_however_long_they_are() {
    // 40,000 rooms and users whose names are 1,000 bytes each: 80 MB.
    let long = "x".repeat(985);
    let line = |n: u64| format!("user {n} {long},room {n} {long},1,20160101\n");
    let text = format!("{HEADER}\n{}", (0..40_000).map(line).collect::<String>());
    let recording = read_as(&text, &ReadOptions { with_names: true, ..ReadOptions::default() }).unwrap();
    let names = recording.names().map(|(_, name)| name.len()).sum::<usize>();
    let rooms = recording.rooms.labels.iter().chain(recording.rooms.others.iter().map(|(_, label)| label));
    let bytes = names + rooms.map(String::len).sum::<usize>();
    assert!(recording.rows().len() > 100 && bytes <= 64 << 20, "{} rows, {bytes}", recording.rows().len());
    assert!(described(&recording).contains("too many rooms to keep all their names"));
}

#[test]
fn one_number_in_several_spellings_is_one_id_and_that_is_said() {
    let recording = ours("300001.0,7,1,20160101\n300001,007,1,20160102\n300001,+7,1,20160103\n").unwrap();
    assert_eq!((recording.users(), recording.rooms.labels.as_slice()), (1, &["7".to_owned()][..]));
    assert!(described(&recording).contains("3 ids written with a plus"), "{}", described(&recording));
}

#[test]
fn ids_that_a_spreadsheet_rounded_are_warned_of() {
    let told = described(&ours("4.79386E+17,7,1,20160101\n4.79386E+17,8,1,20160102\n").unwrap());
    assert!(
        told.contains("WARNING: 2 user ids rounded by a spreadsheet (such as 4.79386E+17, line 2)"),
        "{told}"
    );
}

#[test]
fn users_that_are_text_have_a_fixed_id_and_a_map_on_request() {
    let text = format!("{HEADER}\nanna,1,1,20160101\n9007199254740992,1,1,20160101\n5,1,1,20160101\n");
    let recording = read_as(&text, &ReadOptions { with_names: true, ..ReadOptions::default() }).unwrap();
    assert_eq!((recording.users(), recording.hashed_users()), (3, 2));
    let mut map = Vec::new();
    write_users(&recording, &mut map).unwrap();
    let map = String::from_utf8(map).unwrap();
    assert_eq!(map.lines().count(), 3, "{map}");
    let anna = map.lines().find(|line| line.ends_with(",anna")).unwrap();
    let other = ours("anna,3,1,20160101\n").unwrap();
    assert_eq!(anna, format!("{},anna", other.rows()[0].user));
    assert_eq!(other.names().count(), 0);
}

#[test]
fn a_name_that_would_command_a_terminal_is_shown_as_text_and_kept_in_the_map() {
    let evil = "\u{1b}[31mroom\u{7}";
    let recording = rooms(&[evil, "b"]);
    let told = described(&recording);
    assert!(told.contains(r"\u{1b}[31mroom") && !told.contains('\u{1b}'), "{told}");
    assert_eq!(recording.rooms.labels[0], evil);
}

#[test]
fn tables_are_made_ahead_for_no_more_than_a_thousand_ranges() {
    assert_eq!(rooms(&["7", "90"]).rooms_ahead(25), 90);
    assert_eq!(rooms(&["7", "5161669"]).rooms_ahead(25), 25_000);
}
