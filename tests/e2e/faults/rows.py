"""The table of faults that the relay must stand: each row with the tests that show it, or the reason why it cannot be one here.

K: killed. P: power. D: disk. A: API. C: clock. S: spool. L: life cycle. M: memory, time, load. Paths begin in `tests/`.
"""

_KILLED = "e2e/faults/test_killed.py::"
_DISK = "e2e/faults/test_disk.py::"
_DAMAGED = "e2e/faults/test_damaged.py::"
_CLOCK = "e2e/faults/test_clock.py::"
_LOAD = "e2e/faults/test_load.py::"
_LONG = "e2e/faults/test_long.py::"
_PRESSURE = "e2e/faults/test_pressure.py::"
_API = "contract/dispatch/test_faults.py::"
_MATRIX = "contract/dispatch/test_matrix.py::"
_PROMISES = "contract/dispatch/test_promises.py::"
_WAY = "contract/dispatch/test_way.py::"
_RESCUE = "unit/spool/test_rescue.py::"
_FILE = "unit/spool/test_database.py::"

ROWS: dict[str, list[str] | str] = {
    "K1 before the final dot": [
        "e2e/test_lifecycle.py::test_client_gone_during_data_leaves_nothing",
        _KILLED + "test_killed_at_a_system_call",
    ],
    "K2 before the spool is written": [_KILLED + "test_killed_at_a_system_call"],
    "K3 before the commit": [_KILLED + "test_killed_at", _KILLED + "test_killed_at_a_system_call"],
    "K4 after the commit, before 250": [_KILLED + "test_killed_at"],
    "K5 after 250": [
        "e2e/test_kill.py::test_killed_at_random_moments",
        "unit/spool/test_lock.py::test_what_was_acknowledged_survives_kill_9",
    ],
    "K6 after the request, before the answer": [
        _KILLED + "test_killed_at",
        "unit/spool/test_lost.py::test_requests_without_an_answer_are_said_at_the_next_start",
    ],
    "K7 after the answer, before it is recorded": [
        _KILLED + "test_killed_at",
        "contract/spool/test_record.py::test_an_attempt_nobody_recorded_is_unknown",
    ],
    "K8 recorded, and nothing followed": [_KILLED + "test_killed_at", _KILLED + "test_killed_while_pruning"],
    "K9 between batches": [
        _KILLED + "test_killed_at",
        "contract/spool/test_record.py::test_what_a_record_leaves_out_stays_leased_and_comes_back",
    ],
    "K10 while it starts, again and again": [
        _KILLED + "test_killed_again_and_again_while_it_starts",
        _KILLED + "test_killed_during_a_migration",
    ],
    "K11 while a failure is told": ["contract/dispatch/test_notices.py::test_a_killed_relay_tells_after_its_start"],
    "K12 while state is written": [
        _DAMAGED + "test_cut_off_while_rescuing",
        _RESCUE + "test_a_plan_that_says_nothing_is_none",
        "contract/domains/test_refresh.py::test_a_restart_with_the_api_down_still_knows",
    ],
    "P power loss": [
        "e2e/faults/test_power.py::test_what_was_answered_is_on_the_disk",
        _FILE + "test_the_connection_that_writes_commits_durably",
    ],
    "D1 full before DATA": [_DISK + "test_space_that_is_kept_for_delivery"],
    "D2 full while it is written": [_DISK + "test_calls_that_fail", _DISK + "test_no_space_at_all"],
    "D3 full while a result is recorded": [
        _DISK + "test_no_space_at_all",
        "unit/spool/test_disk.py::test_an_answer_that_could_not_be_recorded_keeps_its_lease",
        _PROMISES + "test_answer_outlives_a_spool_that_cannot_record",
    ],
    "D4 space comes back": [_DISK + "test_space_that_is_kept_for_delivery", _DISK + "test_no_space_at_all"],
    "D5 inodes, quota, read-only, I/O errors, descriptors": [
        _DISK + "test_calls_that_fail",
        _DISK + "test_no_inode_left",
        "unit/spool/test_disk.py::test_what_was_refused_does_not_come_back_after_a_crash",
        "e2e/test_descriptors.py::test_clients_over_the_descriptors_are_told_so",
    ],
    "D6 the log cannot be written": [
        _DISK + "test_log_that_nobody_can_write",
        "e2e/test_signals.py::test_standard_descriptors_that_are_closed",
    ],
    "D7 no directory for the spool": [
        _FILE + "test_a_place_that_cannot_hold_a_spool_is_named",
        "unit/spool/test_lock.py::test_a_lock_that_cannot_be_made_says_why",
        "e2e/test_start_refused.py::test_check_knows_a_spool_that_cannot_be",
    ],
    "D8 another device": "nothing is renamed or linked from one directory to another: database, log, lock, copy and damaged file are in one",
    "D9 two on one spool": [
        "e2e/test_lifecycle.py::test_second_daemon_on_the_spool",
        _LOAD + "test_lock_outlives_no_process",
        "contract/spool/test_close.py::test_a_spool_has_one_owner",
    ],
    "A1 no connection": [
        _API + "test_no_connection_is_never_a_duplicate",
        _API + "test_unreachable_is_deferred",
        _API + "test_proxy_that_refuses",
        _WAY + "test_proxy_that_asks_for_a_password",
    ],
    "A2 reset while the body goes out": [_API + "test_connection_reset_while_the_body_goes_out"],
    "A3 no answer": [
        _MATRIX + "test_no_answer",
        "contract/spool/test_record.py::test_an_unknown_outcome_marks_every_later_attempt",
        "e2e/test_outage.py::test_outage",
    ],
    "A4 stale connection": [_API + "test_connection_closed_as_the_request_goes_out"],
    "A5 answers that are slow or have no end": [
        _API + "test_header_without_an_end",
        _API + "test_answer_without_an_end",
        _API + "test_compressed_answers",
        _API + "test_status_counts_although_its_body_never_ends",
    ],
    "A6 429": [
        _API + "test_retry_after",
        "unit/qboxmail/test_answer.py::test_retry_after",
        "unit/dispatch/test_gate.py::test_requests_under_way_that_hear_the_same_wait_once",
    ],
    "A7 5xx": [
        _MATRIX + "test_every_status_with_every_body",
        "unit/qboxmail/test_answer.py::test_gateway_without_an_answer_knows_nothing",
    ],
    "A8 400, 422": [
        _API + "test_poison_among_many",
        "e2e/test_refused.py::test_one_of_a_hundred_is_refused",
        "contract/dispatch/test_poison.py::test_flood_of_refused_mail_delays_nobody_else",
    ],
    "A9 401, 403, 404, 405": [
        _API + "test_refused_token_pauses_the_account",
        "unit/qboxmail/test_answer.py::test_configuration_is_not_the_mails_fault",
        "contract/dispatch/test_overdue.py::test_a_refused_token_expires_nothing",
    ],
    "A10 413": [_API + "test_too_large_together"],
    "A12 200 that is not the API's": [
        "unit/qboxmail/test_answer.py::test_2xx_that_is_not_the_apis_is_unknown",
        _MATRIX + "test_every_status_with_every_body",
        "e2e/test_outage.py::test_outage",
    ],
    "A13 202 with Retry-After": [_API + "test_accepted_with_a_time_to_wait"],
    "A14 some of a request refused": [
        _API + "test_entry_refused_in_a_202",
        _API + "test_entry_refused_that_could_be_anyone",
        "contract/dispatch/test_sandbox.py::test_ids_are_right_or_absent",
    ],
    "A15 redirects": [_API + "test_redirects_are_not_followed"],
    "A16 certificates": [
        "contract/dispatch/test_sandbox.py::test_certificate_nobody_signed",
        _WAY + "test_certificate_for_another_name",
        _WAY + "test_tls_below_1_2",
    ],
    "A17 answer before the body was read": [_API + "test_answer_before_the_body_was_read"],
    "A18 flapping": [
        "contract/dispatch/test_sandbox.py::test_flapping_api",
        "contract/dispatch/test_outages.py::test_an_hour_of_outages",
        "e2e/faults/test_soak.py::test_soak",
    ],
    "A19 down for longer than the maximum age": [
        _API + "test_given_up_at_its_age",
        "contract/dispatch/test_overdue.py::test_a_huge_queue_expires_while_the_breaker_is_open",
        "contract/dispatch/test_notices.py::test_a_delay_is_told_once_and_then_the_failure",
    ],
    "A20 DNS": [
        "e2e/test_names.py::test_slow_resolver_keeps_nobody_waiting",
        "e2e/test_names.py::test_address_that_does_not_answer_is_passed_over",
        "contract/domains/test_resolver.py::test_a_machine_without_any_resolver_knows_nothing",
    ],
    "A21 the API's clock, tokens": [
        "unit/qboxmail/test_answer.py::test_retry_after_by_a_clock_that_is_wrong",
        "unit/qboxmail/test_token.py::test_missing_file_and_its_return",
    ],
    "C1 forward": [
        _CLOCK + "test_clock_that_jumps",
        "contract/dispatch/test_overdue.py::test_a_short_trouble_expires_nothing",
        "contract/spool/test_clock.py::test_a_jump_of_the_wall_clock_ends_no_lease",
    ],
    "C2 backward": [
        _CLOCK + "test_clock_that_jumps",
        "contract/spool/test_clock.py::test_a_clock_set_back_strands_nothing",
        "contract/spool/test_clock.py::test_a_clock_before_1970_still_works",
    ],
    "C3 summer time, leap second": "times are milliseconds of UTC, waits are monotonic: there is no local time to jump, and a leap second is a jump (C1, C2)",
    "C4 suspended": [_CLOCK + "test_machine_that_slept"],
    "S1 foreign and broken files": [
        _RESCUE + "test_foreign_files_beside_it_are_left_alone",
        _RESCUE + "test_what_is_no_file_is_refused_at_once",
        _DAMAGED + "test_no_database",
        _DAMAGED + "test_one_page_costs_its_own_mail_only",
        _RESCUE + "test_noise_in_any_page_ends_and_invents_nothing",
    ],
    "S1 a flipped bit within a text": "the database has no checksums of content: JSON that is still JSON goes out as it is; a file system that keeps checksums sees it",
    "S2 damaged database": [
        _DAMAGED + "test_any_page",
        _DAMAGED + "test_damage_under_way",
        _DAMAGED + "test_cut_off_while_rescuing",
        _RESCUE + "test_log_that_was_cut_off",
        _RESCUE + "test_shared_memory_that_is_gone",
        _RESCUE + "test_a_log_without_its_file_is_kept",
        _RESCUE + "test_a_disk_that_is_full_changes_nothing",
        _FILE + "test_a_file_that_another_program_holds_refuses_and_recovers",
    ],
    "S3 older and newer": [
        _LOAD + "test_upgraded_under_load",
        _LOAD + "test_downgrade_is_refused",
        _RESCUE + "test_a_damaged_file_of_an_older_version",
        _RESCUE + "test_a_file_called_damaged_of_a_newer_version_is_refused",
        _FILE + "test_a_newer_schema_is_refused_and_left_as_it_is",
    ],
    "S4 100,000 at start": "a time is a figure, not a test: `python -m tests.bench.start 100000` prints seconds to ready and memory; that no statement reads a whole table is unit/spool/test_plans.py",
    "S5 backup": [_LOAD + "test_backup_of_a_running_relay"],
    "L1 SIGTERM": [
        _LOAD + "test_stopped_under_load",
        "e2e/test_lifecycle.py::test_sigterm_finishes_what_is_under_way",
        "e2e/test_lifecycle.py::test_stop_with_an_idle_session",
        "e2e/test_signals.py::test_second_signal_hurries",
        "contract/dispatch/test_promises.py::test_stop_does_not_wait_for_an_answer_without_end",
    ],
    "L2 SIGHUP": [
        _LOAD + "test_reloaded_under_load",
        "e2e/test_reload.py::test_under_traffic",
        "e2e/test_reload.py::test_bad_configuration_changes_nothing",
        "e2e/test_reload.py::test_listeners_come_and_go",
        "e2e/test_reload.py::test_users_limits_certificate_and_log",
    ],
    "L3 start refused": [
        "e2e/test_start_refused.py::test_wrong_configuration_has_a_status_of_its_own",
        "e2e/test_start_refused.py::test_address_that_is_taken",
        "contract/service/test_start_and_stop.py::test_address_that_is_taken",
    ],
    "L4 upgrade, downgrade": [_LOAD + "test_upgraded_under_load", _LOAD + "test_downgrade_is_refused"],
    "L5 status page and Management API": [
        _PRESSURE + "test_status_page_under_siege",
        "e2e/test_domains.py::test_a_dead_management_api_costs_no_mail",
        "contract/domains/test_refresh.py::test_a_slow_api_delays_no_mail",
        "e2e/test_start_refused.py::test_address_that_is_taken",
    ],
    "L6 container": [
        "e2e/test_image.py::test_image_runs_as_it_should",
        "e2e/test_image.py::test_steps_make_what_runs",
        "e2e/test_deployment.py::test_image_takes_mail_and_is_healthy",
    ],
    "L7 few descriptors": [
        "e2e/test_descriptors.py::test_clients_over_the_descriptors_are_told_so",
        "unit/test_descriptors.py::test_too_few_are_divided",
    ],
    "M idle, vanishing and endless clients": [
        _PRESSURE + "test_connections_that_come_and_go",
        _PRESSURE + "test_content_without_an_end",
        "contract/smtp/test_limits.py::test_lines_without_an_end",
    ],
    "M depth, parts, attachments, addresses": [
        _LONG + "test_mail_of_too_much",
        "unit/mime/test_structure.py::test_a_mail_beyond_a_limit_is_refused",
    ],
    "M long mail from many at once": [_LONG + "test_thirty_megabytes_from_fifty_clients"],
    "M memory runs out": [
        _PRESSURE + "test_memory_that_runs_out",
        "contract/dispatch/test_memory.py::test_a_claim_that_is_too_much_is_followed_by_a_smaller_one",
    ],
    "M 24 hours": "takes a day: TESTS_SOAK_SECONDS=86400 with e2e/faults/test_soak.py, which CI runs for minutes",
}
