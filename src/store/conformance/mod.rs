//! What every backend of the control store does alike. Each case is a function of a [`Backend`]; each runs as a test of
//! its own on each backend: `store::conformance::<backend>::<noun>::<case>`.
//!
//! A new backend is one variant of [`Backend`] and one line in [`on_every_backend`]. A case that no list names does not
//! compile without a warning.

mod audit;
mod backend;
mod batches;
mod changes;
mod concurrency;
mod deployments;
mod fallbacks;
mod idempotency;
mod operations;
mod replicas;
mod response_states;
pub(in crate::store) mod samples;
mod settings;
pub(in crate::store) mod usage;
mod virtual_keys;

pub(in crate::store) use backend::Backend;

macro_rules! suite {
    ($name:ident on $backend:ident: $($file:ident { $($case:ident)+ })+) => {
        mod $name {
            $(mod $file {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    crate::store::conformance::$file::$case($crate::store::conformance::Backend::$backend).await;
                })+
            })+
        }
    };
}

macro_rules! on_every_backend {
    ($($cases:tt)+) => {
        suite! { sqlite_memory on SqliteMemory: $($cases)+ }
        suite! { sqlite_file on SqliteFile: $($cases)+ }
        suite! { postgres on Postgres: $($cases)+ }
    };
}

on_every_backend! {
    deployments {
        every_field_comes_back_as_it_was_written
        a_replacement_changes_every_field_but_the_time_of_creation
        a_missing_deployment_is_none_and_cannot_be_written
        a_stale_revision_is_refused_and_leaves_no_trace
        filters_combine_and_text_is_matched_literally
        pages_by_offset_and_by_cursor_meet_every_row_once
        a_bulk_read_answers_all_or_those_asked_for
        values_that_the_schema_forbids_are_refused_and_leave_no_trace
    }
    virtual_keys {
        every_field_comes_back_as_it_was_written
        a_replacement_changes_every_field_but_the_time_of_creation
        a_missing_key_is_none_and_cannot_be_written
        a_stale_revision_is_refused_and_leaves_no_trace
        filters_combine_and_text_is_matched_literally
        pages_by_offset_and_by_cursor_meet_every_row_once
        a_bulk_read_answers_all_or_those_asked_for
        one_secret_opens_one_key
    }
    fallbacks {
        a_chain_comes_back_as_it_was_written
        chains_are_listed_by_primary_and_reason
        a_model_without_a_deployment_is_refused_by_field
        a_chain_is_replaced_and_deleted_at_the_expected_revision_only
        the_last_deployment_of_a_model_takes_its_chains_along
        a_deployment_that_is_not_the_last_leaves_chains_alone
        a_model_that_chains_name_keeps_its_last_deployment_by_name
    }
    settings {
        defaults_are_in_force_until_the_first_write
        every_field_comes_back_as_it_was_written
        a_stale_revision_is_refused
    }
    changes {
        every_write_takes_the_next_revision_and_logs_its_row
        a_reader_learns_only_what_it_has_not_seen
        a_reader_beyond_the_log_is_told_to_load_everything
    }
    audit {
        every_write_is_recorded_with_its_revision
        what_is_done_beside_the_configuration_is_recorded_at_its_revision
        the_newest_come_first_and_one_resource_can_be_asked_for
    }
    idempotency {
        a_repeated_creation_answers_the_first_resource_and_writes_nothing
        the_same_request_id_for_other_content_is_a_conflict
        a_request_id_is_remembered_per_kind
        a_request_id_is_forgotten_after_a_day
    }
    batches {
        all_steps_come_under_one_revision
        one_bad_step_undoes_all
        models_that_cease_to_exist_leave_the_chains_that_are_not_set
    }
    replicas {
        every_replica_is_listed_as_it_last_reported
        envelopes_are_paged_by_id_and_replaced_only_as_they_were_read
    }
    response_states {
        a_response_is_found_by_its_own_scope_until_it_expires
        a_response_is_deleted_by_its_own_scope_and_once
        items_are_found_in_their_scope_where_they_were_last_seen
        expired_responses_are_deleted_in_batches
        envelopes_are_paged_by_id_and_replaced_only_as_they_were_read
    }
    usage {
        a_record_is_stored_once_and_charged_once
        spending_is_kept_by_window_and_epoch
        a_bad_record_is_refused_with_its_group_and_can_be_put_aside
        what_is_old_is_forgotten_and_spending_is_not
    }
    operations {
        every_field_comes_back_with_its_attempts
        pages_begin_with_the_newest_and_meet_every_row_once
        bounds_of_time_are_those_of_the_records_and_not_of_their_ids
        conditions_combine
        a_tail_meets_late_records_and_goes_on_after_any
        sums_are_those_of_the_records
        sums_outlive_their_records
        names_of_models_that_nobody_has_are_summed_up_as_one
        a_summary_counts_and_ranks
    }
    concurrency {
        one_writer_wins_per_expected_revision_and_revisions_have_no_gaps
        concurrent_creations_of_one_request_id_create_one_resource
    }
}
