-- Submissions on their way to another spool, or from one.

-- try_mark --
-- Until the end of the transaction, and in one database.
SELECT pg_try_advisory_xact_lock(%(mark)s) AS free

-- relays_seen --
-- Those that run, as far as anybody knows.
SELECT name, (server_ms(%(server)s::bigint) - seen_at) / 1000 AS seconds FROM nodes
WHERE stopped_at IS NULL AND seen_at > server_ms(%(server)s::bigint) - %(within)s ORDER BY name

-- still_leased --
SELECT count(*) AS requests, max(leased_until) - server_ms(%(server)s::bigint) AS left_ms FROM requests
WHERE ended_at IS NULL AND leased_until > server_ms(%(server)s::bigint)

-- parcels_surveyed --
-- From the figures; of failures alone the rows tell which of them go.
WITH counted AS (
  SELECT state, sum(messages)::bigint AS messages, sum(bytes)::bigint AS bytes FROM depth GROUP BY state
), failed AS (
  SELECT count(*) AS messages, coalesce(sum(t.payload_bytes), 0)::bigint AS bytes FROM failed AS t
  WHERE (t.tell IS NOT NULL OR EXISTS (SELECT 1 FROM payloads AS p WHERE p.key = t.key AND octet_length(p.payload) > 0))
), split AS (
  SELECT state, state IN ('queued', 'sending', 'held') AS is_mail, messages, bytes FROM counted WHERE state <> 'failed'
  UNION ALL SELECT 'failed', true, messages, bytes FROM failed
  UNION ALL SELECT 'failed', false, c.messages - f.messages, c.bytes - f.bytes FROM counted AS c CROSS JOIN failed AS f WHERE c.state = 'failed'
)
SELECT state, is_mail, messages, bytes FROM split WHERE messages > 0

-- parcels_of_mail --
-- What is not finished; of a failure also what may still be retried, or told of.
SELECT m.key, coalesce(octet_length(p.payload), 0) + coalesce(octet_length(p.raw), 0) AS size FROM (
  (SELECT key FROM unfinished WHERE state = 'queued' AND key > %(after)s ORDER BY key LIMIT %(limit)s)
  UNION ALL
  (SELECT key FROM unfinished WHERE state = 'held' AND key > %(after)s ORDER BY key LIMIT %(limit)s)
  UNION ALL
  (SELECT t.key FROM failed AS t LEFT JOIN payloads AS c USING (key)
   WHERE t.key > %(after)s AND (t.tell IS NOT NULL OR octet_length(c.payload) > 0)
   ORDER BY t.key LIMIT %(limit)s)
) AS m LEFT JOIN payloads AS p USING (key) ORDER BY m.key LIMIT %(limit)s

-- parcels_of_trail --
SELECT m.key, coalesce(octet_length(p.payload), 0) + coalesce(octet_length(p.raw), 0) AS size FROM (
  (SELECT key FROM sent WHERE key > %(after)s ORDER BY key LIMIT %(limit)s)
  UNION ALL
  (SELECT t.key FROM failed AS t LEFT JOIN payloads AS c USING (key)
   WHERE t.key > %(after)s AND t.tell IS NULL AND coalesce(octet_length(c.payload), 0) = 0
   ORDER BY t.key LIMIT %(limit)s)
) AS m LEFT JOIN payloads AS p USING (key) ORDER BY m.key LIMIT %(limit)s

-- parcels_locked --
SELECT key FROM states WHERE key = ANY(%(keys)s::bigint[]) ORDER BY key FOR UPDATE

-- parcel_rows --
SELECT r.*, p.payload, p.raw FROM records AS r LEFT JOIN payloads AS p USING (key) WHERE r.key = ANY(%(keys)s::bigint[]) ORDER BY r.key

-- parcel_attempts --
SELECT submission, number, request, outcome, reason, text FROM attempts WHERE submission = ANY(%(keys)s::bigint[]) ORDER BY submission, number

-- parcel_requests --
SELECT * FROM requests WHERE key = ANY(%(keys)s::bigint[])

-- parcel_acts --
SELECT at, act, by, id, account, before FROM acts WHERE id COLLATE "C" = ANY(%(ids)s::text[]) ORDER BY at, key

-- drop_acts --
-- They went with their submission.
DELETE FROM acts WHERE id COLLATE "C" = ANY(%(ids)s::text[])

-- parcels_known --
-- Those that were here and that an operator deleted must not come back.
SELECT id FROM submissions WHERE id COLLATE "C" = ANY(%(ids)s::text[])
UNION SELECT id FROM acts WHERE id COLLATE "C" = ANY(%(ids)s::text[]) AND act = 'delete'

-- new_submission_keys --
SELECT nextval(pg_get_serial_sequence('submissions', 'key')) AS key FROM generate_series(1, %(number)s)

-- new_request_keys --
SELECT nextval(pg_get_serial_sequence('requests', 'key')) AS key FROM generate_series(1, %(number)s)

-- put_request --
INSERT INTO requests (key, node, account, started_at, leased_until, ended_at, messages, bytes, under_way, status, request_id, error, text,
  connect_seconds, answer_seconds)
OVERRIDING SYSTEM VALUE
VALUES (%(key)s, '', %(account)s, %(started_at)s, %(leased_until)s, %(ended_at)s, %(messages)s, %(bytes)s, %(under_way)s, %(status)s,
  %(request_id)s, %(error)s, %(text)s, %(connect_seconds)s, %(answer_seconds)s)

-- put_submission --
INSERT INTO submissions (key, id, account, client_key, priority, payload_bytes, received_at, stored_at, envelope_sender, recipients,
  notify_never, is_notice, from_address, subject, message_id_header, client_address, client_helo, client_user, listener, dsn, sender_rule,
  domain_state, traceparent)
VALUES (%(key)s, %(id)s, %(account)s, %(client_key)s, %(priority)s, %(payload_bytes)s, %(received_at)s, %(stored_at)s, %(envelope_sender)s,
  %(recipients)s, %(notify_never)s, %(is_notice)s, %(from_address)s, %(subject)s, %(message_id_header)s, %(client_address)s, %(client_helo)s,
  %(client_user)s, %(listener)s, %(dsn)s, %(sender_rule)s, %(domain_state)s, %(traceparent)s)

-- put_state --
INSERT INTO states (key, state, account, client_key, priority, payload_bytes, ready, next_attempt_at, request, attempts, failures, maybe_sent,
  retried_at, finished_at, outcome, reason, text, message_id, submitted_at, suppression, notice, tell)
VALUES (%(key)s, %(state)s, %(account)s, %(client_key)s, %(priority)s, %(payload_bytes)s, %(ready)s, %(next_attempt_at)s, %(request)s,
  %(attempts)s, %(failures)s, %(maybe_sent)s, %(retried_at)s, %(finished_at)s, %(outcome)s, %(reason)s, %(text)s, %(message_id)s,
  %(submitted_at)s, %(suppression)s, %(notice)s, %(tell)s)

-- put_payload --
INSERT INTO payloads (key, payload, raw) VALUES (%(key)s, %(payload)s, %(raw)s)

-- put_attempt --
INSERT INTO attempts (submission, number, request, outcome, reason, text)
VALUES (%(submission)s, %(number)s, %(request)s, %(outcome)s, %(reason)s, %(text)s)

-- first_act --
SELECT least(0, min(key)) AS key FROM acts

-- put_act --
INSERT INTO acts (key, at, act, by, submission, id, account, before)
OVERRIDING SYSTEM VALUE
VALUES (%(key)s, %(at)s, %(act)s, %(by)s, 0, %(id)s, %(account)s, %(before)s)

-- all_facts --
SELECT name, value, version FROM facts

-- put_fact --
INSERT INTO facts (name, value, version) VALUES (%(name)s, %(value)s, %(version)s) ON CONFLICT (name) DO NOTHING

-- put_pause --
INSERT INTO pauses (account, at, by, why) VALUES (%(account)s, %(at)s, %(by)s, %(why)s) ON CONFLICT (account) DO NOTHING

-- drop_pauses --
DELETE FROM pauses

-- drop_our_pause --
DELETE FROM pauses WHERE account = '' AND by = %(by)s
