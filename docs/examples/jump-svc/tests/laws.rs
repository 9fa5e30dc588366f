use std::sync::Arc;

use coupon_core::{LayoutChange, ShardingStrategy as _, laws};
use jump_svc::Jump;

#[test]
fn jump_keeps_the_laws() {
    for shards in [1, 3, 4, 16] {
        laws::check(&Jump(shards.try_into().unwrap()), 1).unwrap();
    }
}

#[test]
fn jump_keeps_the_laws_when_shards_are_added_and_rows_moved() {
    for seed in 0..20 {
        let versions = laws::random_versions(Arc::new(Jump(4.try_into().unwrap())), seed);
        laws::check_versions(&versions, 1).unwrap();
    }
}

#[test]
fn jump_goes_on_over_more_shards_and_is_read_back_from_its_layout() {
    let four = Jump(4.try_into().unwrap());
    let six = LayoutChange::Shards(6.try_into().unwrap()).of(&four).unwrap();
    assert_eq!(six.layout(), "jump, 6 shards");
    assert_eq!(six.of_layout("jump, 4 shards").unwrap().layout(), four.layout());
}
