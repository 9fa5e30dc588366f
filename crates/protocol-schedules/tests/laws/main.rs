//! The laws of the seam: what the protocol relies on of each kind of server, held to by those in memory and by MariaDB, Redis
//! and RabbitMQ alike. Beside them what a process makes of what is there (`process`), in memory alone.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests may panic")]

mod bench;
mod catalogue;
mod gate;
mod given_back;
mod layouts;
mod main_database;
mod moving;
mod process;
mod queue;
mod shard;
mod steps;
mod stock;

macro_rules! over_memory_and_servers {
    ($($module:ident :: $law:ident),* $(,)?) => {
        mod memory {
            $(#[test] fn $law() { crate::bench::in_memory(async |servers| crate::$module::$law(servers).await); })*
        }
        mod servers {
            $(#[test] fn $law() { crate::bench::on_servers(async |servers| crate::$module::$law(servers).await); })*
        }
    };
}

over_memory_and_servers! {
    gate::a_coupon_is_granted_once_a_user_until_none_is_left,
    gate::without_its_script_an_epoch_decides_nothing_and_without_the_sentinel_it_is_not_whole,
    gate::marks_are_found_by_their_time_and_taken_away,
    gate::a_hold_takes_stock_and_the_first_of_a_user_stays,
    gate::a_parked_hold_is_told_from_others_and_gives_way_to_a_stored_one,
    gate::a_parked_hold_takes_stock_in_its_own_slot_beside_a_stored_one,
    gate::a_request_whose_result_is_parked_is_granted_no_other,
    gate::terms_change_unless_those_of_a_later_version_are_there,
    gate::without_its_memory_a_gate_takes_no_change,
    gate::what_is_of_earlier_epochs_is_forgotten,
    layouts::who_does_not_know_a_version_is_refused_what_it_places,
    layouts::who_does_not_know_a_version_is_not_given_what_it_places_to_hand_over,
    layouts::a_version_that_never_came_is_taken_back_and_an_earlier_word_changes_nothing,
    layouts::a_version_is_there_whole_once_it_commits_and_the_catalogue_goes_on_with_it,
    layouts::an_epoch_does_not_open_without_a_version_that_was_announced_meanwhile,
    moving::rows_leave_with_what_is_held_of_them_and_are_found_until_they_have_arrived,
    moving::a_batch_that_is_dropped_changes_nothing,
    moving::rows_go_in_all_or_none_with_all_that_became_of_them,
    moving::a_part_of_a_table_is_read_in_the_order_of_ids,
    moving::what_came_late_is_counted_where_rows_leave,
    moving::a_row_that_takes_a_step_does_not_leave_meanwhile,
    moving::a_movement_is_main_s_until_it_ends,
    moving::one_process_moves_rows,
    given_back::a_user_gets_as_many_as_they_may_and_a_request_gets_one_answer,
    given_back::what_is_let_go_of_is_free_and_its_request_keeps_its_answer,
    given_back::what_a_user_holds_counts_in_whatever_slot_it_is_when_the_limit_changes,
    given_back::only_what_is_held_exactly_so_is_let_go_of,
    given_back::whatever_many_give_back_at_once_is_free,
    given_back::a_request_that_was_answered_before_a_filling_is_remembered,
    given_back::a_row_is_restored_where_nothing_is_held_and_stays_to_be_looked_at,
    queue::what_is_routed_comes_in_order_and_is_forgotten_once_it_is_done_with,
    queue::what_is_not_done_with_goes_to_the_next_consumer_and_one_has_it_at_a_time,
    queue::what_is_not_bound_is_returned,
    shard::a_transaction_is_there_whole_once_it_commits,
    shard::a_transaction_that_is_dropped_leaves_nothing,
    shard::rows_go_in_all_or_none_and_those_alike_are_read_back,
    shard::transactions_take_turns,
    shard::what_was_announced_is_remembered_and_less_than_main_was_told_is_refused,
    steps::a_result_takes_a_step_that_its_row_allows,
    steps::what_gave_its_stock_back_frees_its_slot_and_is_read_while_its_request_is_remembered,
    steps::the_outbox_waits_for_the_gate,
    steps::what_is_due_expires_and_nothing_else,
    steps::a_step_that_is_dropped_leaves_nothing_and_others_wait_for_it,
    catalogue::a_change_is_a_version_and_a_line_of_the_log_and_is_made_once,
    catalogue::news_tell_of_what_changed_since_a_version_and_of_everything_where_it_is_not_known,
    catalogue::what_is_refused_changes_nothing,
    catalogue::a_coupon_that_was_made_is_told_from_those_that_were_known,
    catalogue::a_process_is_behind_until_it_says_that_it_is_not_or_ends,
    catalogue::edits_by_hand_become_changes_if_nothing_has_changed_meanwhile,
    catalogue::an_epoch_does_not_open_by_a_catalogue_that_has_changed_since,
    steps::every_transaction_counts_and_a_reader_of_rows_learns_how_many,
    steps::of_two_that_wait_for_each_other_one_meets_a_conflict,
    main_database::an_epoch_is_taken_once_and_the_last_alone_opens,
    main_database::a_lock_is_one_process_s_until_it_ends,
    main_database::leases_do_not_overlap_and_are_renewed_by_their_holder_alone,
    main_database::books_are_written_whole_or_not_at_all,
    main_database::stock_comes_back_and_what_there_is_no_room_for_is_parked_as_what_it_is,
    main_database::the_gate_s_place_stays_where_it_was_filled,
}

/// Laws of a database that decides grabs, in the place of the gate's server and the queues'.
macro_rules! over_a_database_that_decides {
    ($($module:ident :: $law:ident),* $(,)?) => {
        mod database {
            $(#[test] fn $law() { crate::bench::in_a_database(async |servers| crate::$module::$law(servers).await); })*
        }
    };
}

// Of the gate's laws those about marks, holders, fences and what is let go of do not apply: a grab is stored when it is
// granted, so nothing is pending, holders are the rows, and whatever version of the layout places a row, it is in the
// one table. Nor do the queues' about what is routed, returned or redelivered: no result passes through one. Main's are
// held to above.
over_a_database_that_decides! {
    stock::a_coupon_is_granted_once_a_user_until_none_is_left,
    stock::terms_change_unless_those_of_a_later_version_are_there_and_what_is_sold_is_counted,
    stock::what_is_sold_or_given_back_is_told_once_and_with_the_rows,
    stock::a_marker_passes_through_the_queue_to_its_next_consumer,
    gate::without_its_script_an_epoch_decides_nothing_and_without_the_sentinel_it_is_not_whole,
    gate::without_its_memory_a_gate_takes_no_change,
    gate::what_is_of_earlier_epochs_is_forgotten,
    shard::a_transaction_is_there_whole_once_it_commits,
    shard::a_transaction_that_is_dropped_leaves_nothing,
    shard::transactions_take_turns,
    steps::a_result_takes_a_step_that_its_row_allows,
    steps::what_gave_its_stock_back_frees_its_slot_and_is_read_while_its_request_is_remembered,
    steps::the_outbox_waits_for_the_gate,
    steps::what_is_due_expires_and_nothing_else,
    steps::a_step_that_is_dropped_leaves_nothing_and_others_wait_for_it,
    steps::of_two_that_wait_for_each_other_one_meets_a_conflict,
}
