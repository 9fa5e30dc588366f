//! Whole copies: into every strategy, more shards, and the other kind of data, and back.

use super::sale::{self, Sale};
use super::site::Here;

const PAST: u64 = 900;

/// A data set with a sale that stands still.
fn sold(at: &Here) -> Sale {
    at.seed(PAST);
    let sale = sale::begin(&at.service());
    at.assert_sound(PAST + sale::RESULTS);
    sale
}

#[test]
fn the_sale_goes_on_from_a_copy_of_either_kind_into_either_kind() {
    for (number, from) in Here::both("copy_from", "hash", 4).into_iter().enumerate() {
        let sale = sold(&from);
        for to in Here::both(&format!("copy_to_{number}"), "range-room", 6) {
            let report = from.copy_to(&to).unwrap();
            assert_eq!(report.rows_of("results"), PAST + sale::RESULTS, "{report}");
            to.assert_sound(PAST + sale::RESULTS);
            sale::go_on(&to.service(), &sale);
            to.assert_sound(PAST + sale::RESULTS + sale::MORE);
        }
        from.assert_sound(PAST + sale::RESULTS);
    }
}

#[test]
fn what_is_copied_on_and_back_is_what_it_was() {
    let from = Here::folder("hash", 4);
    sold(&from);
    let stops = [
        Here::folder("hash", 6),
        Here::servers("copy_stop_1", "range-room", 4),
        Here::servers("copy_stop_2", "range-time", 3),
        Here::folder("range-time", 4),
        Here::folder("hash", 4),
    ];
    let first = from.copy_to(&stops[0]).unwrap();
    for pair in stops.windows(2) {
        let report = pair[0].copy_to(&pair[1]).unwrap();
        assert_eq!(report.kinds, first.kinds, "{report}");
        pair[1].assert_sound(PAST + sale::RESULTS);
    }
}

#[test]
fn ids_made_from_a_copy_are_later_than_those_that_came_with_it() {
    let (from, to) = (Here::folder("hash", 2), Here::servers("copy_ids", "hash", 2));
    sold(&from);
    from.copy_to(&to).unwrap();
    let leases = to.place().ask(None, "SELECT worker, lease_start, lease_end, holder FROM worker_leases");
    assert!(!leases.is_empty());
    for lease in leases {
        assert_eq!((&lease[1], lease[3].as_deref()), (&lease[2], Some("copied")), "{lease:?}");
    }
}
