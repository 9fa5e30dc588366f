#[test]
fn jump_keeps_the_laws() {
    for shards in [1, 3, 4, 16] {
        coupon_core::laws::check(&jump_svc::Jump(shards.try_into().unwrap()), 1).unwrap();
    }
}
