//! One suite for every backend: what the services rely on, whatever they stand on.
//!
//! The servers are private processes on free ports, started once for the whole suite; each test has its own
//! databases, keys and queues. `COUPON_STACK_MYSQL` runs it on another MySQL: see crates/coupon-stack.

mod after_grab;
mod distance;
mod edited;
mod encrypted;
mod epochs;
mod following;
mod format_before;
mod given_back;
mod hot;
mod inbox;
mod laws;
mod living;
mod operators;
mod put_back;
mod queues;
mod raced;
mod recorded;
mod room_index;
mod schema;
mod servers;
mod starting;
mod stock;
mod used;

macro_rules! on_every_backend {
    ($($law:ident),* $(,)?) => {
        mod embedded {
            $(#[test] fn $law() { crate::bench::run(&crate::bench::Bench::embedded(), super::$law); })*
        }
        mod on_servers {
            $(#[test] fn $law() { crate::bench::run(&crate::bench::Bench::servers(), super::$law); })*
        }
    };
}

/// Laws of grabs that the one shard's database decides: what most teams run, to be compared with.
macro_rules! where_the_database_decides {
    ($($law:ident),* $(,)?) => {
        mod decided_by_the_file {
            use coupon_store::settings::DecidedBy;
            $(#[test] fn $law() {
                crate::bench::run(&crate::bench::Bench::on_files(DecidedBy::Database), super::$law);
            })*
        }
        mod decided_by_the_server {
            use coupon_store::settings::DecidedBy;
            $(#[test] fn $law() {
                crate::bench::run(&crate::bench::Bench::on_servers(DecidedBy::Database, &[]), super::$law);
            })*
        }
    };
}

/// Laws about what files alone have.
macro_rules! on_files {
    ($($law:ident),* $(,)?) => {
        mod on_files {
            $(#[test] fn $law() { crate::bench::run(&crate::bench::Bench::embedded(), super::$law); })*
        }
    };
}

use after_grab::*;
use distance::a_simulated_network_adds_its_round_trip_to_every_call_of_a_shard;
use edited::{
    a_coupon_that_was_deleted_stops_nobody_elses_books_and_is_told_once_it_is_back,
    a_coupon_that_was_moved_keeps_the_room_of_its_results, a_stock_below_zero_concerns_its_coupon_alone,
    rooms_and_users_without_an_id_are_left_out_and_all_others_go_on,
};
use hot::what_is_hot_is_told_by_name_and_a_grab_counts_once;
use inbox::{
    a_busy_shard_takes_steps_beside_the_grabs_that_it_takes_in,
    a_hold_that_is_due_while_its_shard_takes_no_writes_expires_once_it_does,
    a_result_that_was_given_back_is_not_taken_up_from_the_inbox,
};
use laws::*;
use living::*;
use operators::*;
use put_back::a_shard_that_was_put_back_to_before_what_main_was_told_stops_the_start;
use room_index::*;
use stock::*;
use used::{
    a_coupon_can_be_used_after_its_end_and_after_its_withdrawal, a_user_who_is_not_active_grabs_nothing,
    an_order_asked_for_again_is_told_what_it_was_told_before,
};

on_every_backend! {
    a_grab_is_stored_found_and_told_to_main,
    what_is_acknowledged_is_never_called_absent,
    what_is_hot_is_told_by_name_and_a_grab_counts_once,
    a_user_who_asks_again_holds_the_same_result,
    two_grabs_of_one_user_in_one_batch_are_one,
    what_is_sold_out_over_or_unknown_is_refused_for_what_it_is,
    a_result_handed_over_twice_is_stored_and_counted_once,
    a_result_that_contradicts_what_is_stored_is_parked_and_keeps_its_stock,
    a_parked_result_keeps_its_stock_in_the_slot_that_it_was_granted_also_after_a_start,
    a_request_whose_result_is_parked_is_granted_once_also_after_a_start,
    a_table_that_is_missing_is_made_when_a_result_needs_it,
    pages_come_latest_first_across_tables_and_go_on_where_they_stopped,
    a_list_in_a_state_is_read_so_far_at_a_time_and_goes_on_from_there,
    queries_count_what_they_cover,
    a_result_is_spent_once,
    a_service_that_starts_again_remembers_who_holds_what,
    no_id_is_made_twice_by_services_one_after_the_other,
    the_catalogue_is_read_as_it_was_filled,
    a_coupon_that_was_deleted_stops_nobody_elses_books_and_is_told_once_it_is_back,
    a_stock_below_zero_concerns_its_coupon_alone,
    a_coupon_that_was_moved_keeps_the_room_of_its_results,
    rooms_and_users_without_an_id_are_left_out_and_all_others_go_on,
    an_order_asked_for_again_is_told_what_it_was_told_before,
    a_coupon_can_be_used_after_its_end_and_after_its_withdrawal,
    a_user_who_is_not_active_grabs_nothing,
    an_operator_opens_sells_raises_ends_and_lists_a_sale_over_http,
    a_total_below_what_is_sold_sells_nothing_more_and_is_no_error_anywhere,
    a_coupon_that_is_over_says_how_many_were_sold_whatever_its_total_is,
    a_coupon_that_was_withdrawn_is_offered_again_and_its_holders_have_it_still,
    a_changed_name_and_changed_details_are_read_back,
    what_is_held_stands_by_its_terms_whatever_an_operator_changes,
    a_user_who_grabs_and_gives_back_in_a_loop_is_asked_to_wait,
    a_simulated_network_adds_its_round_trip_to_every_call_of_a_shard,
    a_result_takes_each_step_once_and_says_so_when_asked_again,
    what_is_held_is_counted_by_coupon_until_it_is_confirmed_or_gone,
    a_result_that_is_held_is_not_used_and_nobody_elses_is_changed,
    at_the_very_moment_a_hold_expires_and_is_not_confirmed,
    what_is_not_confirmed_expires_by_itself_and_is_sold_again,
    hundreds_of_due_holds_expire_while_grabs_go_on,
    a_user_who_released_may_grab_again_also_in_one_batch_with_others,
    a_user_has_as_many_live_results_as_the_limit_says,
    a_service_that_starts_again_knows_slots_holds_and_requests,
    what_is_due_while_nothing_runs_expires_at_the_next_start,
    a_row_stays_in_the_table_of_its_grab_whenever_it_is_confirmed,
    lists_give_every_state_or_the_one_that_is_asked_for,
    every_way_back_is_a_line_of_the_log_and_the_lines_are_a_chain,
    a_total_that_is_raised_sells_more_at_once,
    a_total_below_what_is_sold_sells_no_more_and_is_an_error_nowhere,
    every_change_of_a_total_is_a_line_by_its_operator_in_one_chain,
    a_coupon_that_is_withdrawn_or_ended_is_refused_and_can_be_offered_again,
    a_user_who_was_granted_a_coupon_is_a_duplicate_still_once_it_is_over,
    a_coupon_that_was_over_at_the_start_is_offered_again_with_its_holders,
    a_coupon_whose_results_were_archived_stays_over,
    a_coupon_of_which_an_archive_has_begun_stays_over,
    a_coupon_that_is_made_can_be_grabbed_and_is_made_once,
    a_coupon_that_is_made_again_after_it_was_deleted_has_its_holders,
    a_change_that_changes_nothing_is_answered_and_not_recorded,
    rooms_are_made_once_and_end_once,
    users_who_are_added_may_grab_and_those_who_exist_stay_as_they_are,
    users_whom_main_does_not_know_are_taken_where_that_is_set,
    what_was_parked_for_want_of_stock_is_applied_once_an_operator_adds_some,
    what_is_asked_of_a_room_is_answered_by_one_shard_as_all_would_answer,
    what_the_index_was_not_told_before_the_end_it_is_told_after_the_next_start,
    the_setting_and_the_index_that_is_there_must_agree,
    a_shard_that_was_put_back_to_before_what_main_was_told_stops_the_start,
    an_index_that_was_put_back_is_refused_and_can_be_made_anew,
}

on_files! {
    a_result_that_was_given_back_is_not_taken_up_from_the_inbox,
    a_busy_shard_takes_steps_beside_the_grabs_that_it_takes_in,
    a_hold_that_is_due_while_its_shard_takes_no_writes_expires_once_it_does,
}

// Of the laws above these do not apply, and why:
// - laws of the hand-over (twice, contradicting, into a table that is missing, of rows made ahead): a grab is stored when it is granted
// - laws of pending reservations: there are none
// - pages, counts and sums over two shards and tables of days: there is one of either
// - the room index: of one shard it would be a copy of the table
where_the_database_decides! {
    a_grab_is_stored_by_the_transaction_that_grants_it,
    who_asks_again_hears_what_is_stored_also_in_one_batch,
    who_has_a_parked_result_has_no_slot_left,
    of_several_in_one_batch_as_many_are_granted_as_are_left,
    many_who_grab_at_once_get_what_there_is_and_each_user_one,
    stock_that_comes_back_can_be_sold_at_once,
    what_a_service_before_has_stored_is_counted,
    a_service_that_ends_in_good_order_has_told_main,
    a_gate_takes_no_data_set_whose_database_keeps_its_stock,
    what_is_acknowledged_is_never_called_absent,
    what_is_sold_out_over_or_unknown_is_refused_for_what_it_is,
    a_service_that_starts_again_remembers_who_holds_what,
    no_id_is_made_twice_by_services_one_after_the_other,
    the_catalogue_is_read_as_it_was_filled,
    a_coupon_that_was_deleted_stops_nobody_elses_books_and_is_told_once_it_is_back,
    a_stock_below_zero_concerns_its_coupon_alone,
    a_coupon_that_was_moved_keeps_the_room_of_its_results,
    rooms_and_users_without_an_id_are_left_out_and_all_others_go_on,
    a_result_that_is_held_is_not_used_and_nobody_elses_is_changed,
    at_the_very_moment_a_hold_expires_and_is_not_confirmed,
    what_is_not_confirmed_expires_by_itself_and_is_sold_again,
    a_user_has_as_many_live_results_as_the_limit_says,
    a_service_that_starts_again_knows_slots_holds_and_requests,
    what_is_due_while_nothing_runs_expires_at_the_next_start,
    every_way_back_is_a_line_of_the_log_and_the_lines_are_a_chain,
    a_total_that_is_raised_sells_more_at_once,
    a_total_below_what_is_sold_sells_no_more_and_is_an_error_nowhere,
    every_change_of_a_total_is_a_line_by_its_operator_in_one_chain,
    a_coupon_that_is_withdrawn_or_ended_is_refused_and_can_be_offered_again,
    a_user_who_was_granted_a_coupon_is_a_duplicate_still_once_it_is_over,
    a_coupon_that_was_over_at_the_start_is_offered_again_with_its_holders,
    a_coupon_that_is_made_can_be_grabbed_and_is_made_once,
    a_coupon_that_is_made_again_after_it_was_deleted_has_its_holders,
    a_change_that_changes_nothing_is_answered_and_not_recorded,
    rooms_are_made_once_and_end_once,
    users_who_are_added_may_grab_and_those_who_exist_stay_as_they_are,
    what_was_parked_for_want_of_stock_is_applied_once_an_operator_adds_some,
}
