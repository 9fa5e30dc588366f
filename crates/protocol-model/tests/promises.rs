//! The promises hold in every state of the quick scopes, and each mechanism is needed for one of them.

use protocol_model::{Broken, Mechanism, SearchScope, search, search_all, search_leases};

fn broken_without(mechanism: Mechanism) -> Option<Broken> {
    search_all(&SearchScope::QUICK, Some(mechanism)).find_map(|searched| searched.broken)
}

#[test]
fn every_promise_holds_in_every_state() {
    for searched in search_all(&SearchScope::QUICK, None) {
        assert_eq!(searched.broken, None, "{}", searched.scope);
        assert!(searched.states > 100, "{} visits next to nothing: {}", searched.scope, searched.states);
    }
}

#[test]
fn each_mechanism_left_out_breaks_the_promise_that_it_is_for() {
    for (mechanism, promises) in [
        (Mechanism::Confirms, &["what a user was told is stored"][..]),
        (Mechanism::Epoch, &["never oversold"]),
        (Mechanism::SecondMarker, &["what a user was told is stored"]),
        (Mechanism::ScriptFirst, &["never oversold"]),
        (Mechanism::WholeFill, &["never oversold"]),
        (Mechanism::RecordedEpochs, &["never oversold", "what a user was told is stored"]),
        (Mechanism::Reconciler, &["everything settles"]),
        (Mechanism::Pending, &["everything settles"]),
        (Mechanism::AckAfterCommit, &["what a user was told is stored"]),
        (Mechanism::Repeats, &["never oversold"]),
        (Mechanism::MainsClock, &["a leased number is its holder's"]),
        (Mechanism::RowFirst, &["never oversold"]),
        (Mechanism::ReleaseEpochs, &["no stock leaks"]),
        (Mechanism::SecondLook, &["no stock leaks"]),
        (Mechanism::LiveRows, &["no stock leaks"]),
        (Mechanism::ReplicationId, &["never oversold"]),
        (Mechanism::OwnEpochs, &["what a user was told is stored"]),
    ] {
        let broken = broken_without(mechanism);
        let promise = broken.as_ref().map(|broken| broken.promise);
        assert!(promise.is_some_and(|promise| promises.contains(&promise)), "{mechanism}: {broken:#?}");
    }
}

#[test]
fn an_epoch_given_out_twice_needs_main_to_be_put_back() {
    let [_, _, _, lost_twice, .., put_back, _] = SearchScope::QUICK;
    assert_eq!(search(lost_twice, Some(Mechanism::RecordedEpochs)).broken, None);
    let broken = search(put_back, Some(Mechanism::RecordedEpochs)).broken;
    let history = broken.map(|broken| broken.history).unwrap_or_default();
    assert!(history.iter().any(|step| step.contains("main is put back")), "{history:#?}");
    assert_eq!(history.iter().filter(|step| step.contains("takes epoch 2")).count(), 2, "{history:#?}");
}

#[test]
fn a_lease_judged_by_the_starters_clock_is_taken_from_its_holder() {
    assert_eq!(search_leases(None).broken, None);
    let broken = search_leases(Some(Mechanism::MainsClock)).broken;
    assert_eq!(broken.map(|broken| broken.history.len()), Some(2));
}

#[test]
fn the_same_search_twice_finds_the_same_history() {
    let once = broken_without(Mechanism::Confirms);
    assert_eq!(once, broken_without(Mechanism::Confirms));
}
