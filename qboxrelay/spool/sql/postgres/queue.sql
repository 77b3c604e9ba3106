-- What operators and pages look at, what operators do, notices, facts.
-- A state is written out where an index holds some states only: as a parameter it would not be seen that the index serves.

-- find --
SELECT r.*, q.request_id FROM records AS r LEFT JOIN requests AS q ON q.key = r.request
WHERE r.id COLLATE "C" = %(id)s OR (r.id COLLATE "C" > %(id)s || '-' AND r.id COLLATE "C" < %(id)s || '.') ORDER BY r.key

-- latest --
SELECT r.*, q.request_id FROM records AS r LEFT JOIN requests AS q ON q.key = r.request ORDER BY r.key DESC LIMIT %(limit)s

-- latest_in_state --
WITH found AS MATERIALIZED (
  (SELECT key FROM unfinished WHERE %(state)s = 'queued' AND state = 'queued' ORDER BY key DESC LIMIT %(limit)s) UNION ALL
  (SELECT key FROM unfinished WHERE %(state)s = 'sending' AND state = 'sending' ORDER BY key DESC LIMIT %(limit)s) UNION ALL
  (SELECT key FROM unfinished WHERE %(state)s = 'held' AND state = 'held' ORDER BY key DESC LIMIT %(limit)s) UNION ALL
  (SELECT key FROM failed WHERE %(state)s = 'failed' ORDER BY key DESC LIMIT %(limit)s) UNION ALL
  (SELECT key FROM sent WHERE %(state)s = 'sent' ORDER BY key DESC LIMIT %(limit)s)
)
SELECT r.*, q.request_id FROM records AS r LEFT JOIN requests AS q ON q.key = r.request
WHERE r.key = ANY (ARRAY(SELECT key FROM found)) ORDER BY r.key DESC

-- page_floor --
-- Down to which key a page looks: of no state more rows than asked for; NULL when all are looked at. What is not asked for is not read.
SELECT greatest(
  CASE WHEN 'queued' = ANY(%(states)s::text[]) THEN (
    SELECT key FROM unfinished WHERE state = 'queued' AND key < %(before)s ORDER BY key DESC OFFSET %(skip)s LIMIT 1) END,
  CASE WHEN 'sending' = ANY(%(states)s::text[]) THEN (
    SELECT key FROM unfinished WHERE state = 'sending' AND key < %(before)s ORDER BY key DESC OFFSET %(skip)s LIMIT 1) END,
  CASE WHEN 'held' = ANY(%(states)s::text[]) THEN (
    SELECT key FROM unfinished WHERE state = 'held' AND key < %(before)s ORDER BY key DESC OFFSET %(skip)s LIMIT 1) END,
  CASE WHEN 'failed' = ANY(%(states)s::text[]) THEN (
    SELECT key FROM failed WHERE key < %(before)s ORDER BY key DESC OFFSET %(skip)s LIMIT 1) END,
  CASE WHEN 'sent' = ANY(%(states)s::text[]) THEN (
    SELECT key FROM sent WHERE key < %(before)s ORDER BY key DESC OFFSET %(skip)s LIMIT 1) END
) AS key

-- page --
-- All down to the floor that an operator's selection may mean; an empty text narrows nothing.
WITH looked_at AS (
  SELECT key FROM unfinished
  WHERE 'queued' = ANY(%(states)s::text[]) AND state = 'queued' AND key < %(before)s AND key >= %(last)s
  UNION ALL SELECT key FROM unfinished
  WHERE 'sending' = ANY(%(states)s::text[]) AND state = 'sending' AND key < %(before)s AND key >= %(last)s
  UNION ALL SELECT key FROM unfinished
  WHERE 'held' = ANY(%(states)s::text[]) AND state = 'held' AND key < %(before)s AND key >= %(last)s
  UNION ALL SELECT key FROM failed
  WHERE 'failed' = ANY(%(states)s::text[]) AND key < %(before)s AND key >= %(last)s
  UNION ALL SELECT key FROM sent
  WHERE 'sent' = ANY(%(states)s::text[]) AND key < %(before)s AND key >= %(last)s)
SELECT r.*, q.request_id FROM looked_at JOIN records AS r USING (key) LEFT JOIN requests AS q ON q.key = r.request
WHERE r.received_at BETWEEN %(received_after)s AND %(received_before)s
  AND (%(account)s = '' OR r.account = %(account)s)
  AND (%(client)s = '' OR lower(r.client_user COLLATE "C") = %(client)s OR lower(r.client_address COLLATE "C") = %(client)s)
  AND (%(error)s = '' OR strpos(lower(coalesce(r.reason, '') || ' ' || coalesce(r.text, '') COLLATE "C"), %(error)s) > 0)
  AND (%(named)s = '' OR strpos(lower((r.recipients || ' ' || r.from_address || ' ' || r.envelope_sender) COLLATE "C"), %(named)s) > 0)
ORDER BY r.key DESC

-- story --
SELECT r.*, q.request_id, coalesce((SELECT octet_length(p.payload) FROM payloads AS p WHERE p.key = r.key), 0) AS content_bytes,
       EXISTS (SELECT 1 FROM payloads AS p WHERE p.key = r.key AND p.raw IS NOT NULL) AS has_raw
FROM records AS r LEFT JOIN requests AS q ON q.key = r.request WHERE r.id COLLATE "C" = %(id)s

-- attempts_of --
-- Those that are over, and the one that is under way.
SELECT a.number, a.outcome, a.reason, a.text, r.started_at, r.ended_at, r.messages, r.status, r.request_id, r.error, r.text AS request_text,
       r.connect_seconds, r.answer_seconds
FROM (
  SELECT number, request, outcome, reason, text FROM attempts WHERE submission = %(key)s
  UNION ALL SELECT attempts, request, NULL, NULL, NULL FROM unfinished WHERE key = %(key)s AND state = 'sending'
) AS a LEFT JOIN requests AS r ON r.key = a.request ORDER BY a.number

-- content_of --
SELECT p.payload, p.raw FROM submissions AS s JOIN payloads AS p ON p.key = s.key WHERE s.id COLLATE "C" = %(id)s

-- traced --
-- The newest of each kind of id, by parts of keys, as the indexes are made.
WITH parts AS MATERIALIZED (
  SELECT ARRAY(SELECT generate_series((SELECT min(key) FROM submissions) >> 16, (SELECT max(key) FROM submissions) >> 16)) AS of_mail,
         ARRAY(SELECT generate_series((SELECT min(key) FROM requests) >> 16, (SELECT max(key) FROM requests) >> 16)) AS of_requests
), request AS MATERIALIZED (
  SELECT key FROM requests
  WHERE key >> 16 = ANY((SELECT of_requests FROM parts)::bigint[]) AND request_id COLLATE "C" = %(text)s AND request_id IS NOT NULL
)
(SELECT submission AS key FROM attempts WHERE request = ANY(ARRAY(SELECT key FROM request)) ORDER BY key DESC LIMIT %(limit)s)
UNION
(SELECT key FROM unfinished WHERE request = ANY(ARRAY(SELECT key FROM request)) AND state = 'sending' ORDER BY key DESC LIMIT %(limit)s)
UNION
(SELECT key FROM states
 WHERE key >> 16 = ANY((SELECT of_mail FROM parts)::bigint[]) AND message_id COLLATE "C" = %(text)s AND message_id IS NOT NULL
 ORDER BY key DESC LIMIT %(limit)s)
UNION
(SELECT key FROM submissions
 WHERE key >> 16 = ANY((SELECT of_mail FROM parts)::bigint[]) AND message_id_header COLLATE "C" IN (%(text)s, '<' || %(text)s || '>')
 ORDER BY key DESC LIMIT %(limit)s)

-- parts --
-- NULL where there is no mail.
SELECT min(key) >> 16 AS first, max(key) >> 16 AS last FROM submissions

-- traced_recipient --
-- Within some parts of keys. Ordered by what no index has: a walk back over all mail would seem to be cheap, and find the last of few at its end.
SELECT key FROM submissions
WHERE addressed(key, recipients) && ARRAY(
    SELECT (part << 40) | (hashtextextended(substr(%(quoted)s::text, 2, length(%(quoted)s::text) - 2), 0) & 1099511627775)
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS part)
  AND strpos(lower(recipients COLLATE "C"), %(quoted)s) > 0
ORDER BY key + 0 DESC LIMIT %(limit)s

-- records_of --
SELECT r.*, q.request_id FROM records AS r LEFT JOIN requests AS q ON q.key = r.request
WHERE r.key = ANY(%(keys)s::bigint[]) ORDER BY r.key DESC

-- totals --
SELECT account, state, sum(messages)::bigint AS messages, sum(bytes)::bigint AS bytes FROM depth
GROUP BY account, state HAVING sum(messages) <> 0 ORDER BY account, state

-- oldest_in_states --
SELECT first.state, s.received_at FROM (
  (SELECT key, state FROM unfinished WHERE state = 'queued' ORDER BY key LIMIT 1) UNION ALL
  (SELECT key, state FROM unfinished WHERE state = 'sending' ORDER BY key LIMIT 1) UNION ALL
  (SELECT key, state FROM unfinished WHERE state = 'held' ORDER BY key LIMIT 1) UNION ALL
  (SELECT key, state FROM failed ORDER BY key LIMIT 1) UNION ALL
  (SELECT key, state FROM sent ORDER BY key LIMIT 1)
) AS first JOIN submissions AS s USING (key)

-- paused --
SELECT EXISTS (SELECT 1 FROM pauses WHERE account IN ('', %(account)s)) AS paused

-- pauses --
SELECT account, at, by, why FROM pauses ORDER BY account

-- pause --
INSERT INTO pauses (account, at, by, why) VALUES (%(account)s, %(now)s, %(by)s, %(why)s) ON CONFLICT (account) DO NOTHING

-- resume --
DELETE FROM pauses WHERE account = %(account)s

-- acting --
-- Acts get their numbers one commit after the other: who follows them by number misses none.
-- The nodes hear of it when it is committed: see `wakeups`.
SELECT pg_advisory_xact_lock('acts'::regclass::oid::bigint), pg_notify('qboxrelay_' || current_schema(), '!')

-- acted_on --
-- Waits for a claim or a record of these that is being committed; after it nobody else can change them. Always in the same order, and nothing
-- that is being sent: who records it must not have to wait for who waits for it.
SELECT t.key, s.id, t.account, t.state, t.payload_bytes FROM submissions AS s JOIN states AS t USING (key)
WHERE s.id COLLATE "C" = ANY(%(ids)s::text[]) AND t.state <> 'sending' ORDER BY t.key FOR UPDATE OF t

-- not_acted_on --
SELECT id FROM submissions WHERE id COLLATE "C" = ANY(%(ids)s::text[])

-- with_content --
SELECT key FROM payloads WHERE key = ANY(%(keys)s::bigint[]) AND octet_length(payload) > 0

-- requeue --
-- Its age and its schedule begin anew; of a failure that is none any more nobody is told.
UPDATE states SET state = 'queued', ready = true, next_attempt_at = NULL, finished_at = NULL, failures = 0, retried_at = %(now)s,
  tell = CASE WHEN state = 'failed' THEN NULL ELSE tell END, notice = CASE WHEN state = 'failed' THEN NULL ELSE notice END
WHERE key = ANY(%(keys)s::bigint[])

-- hold --
UPDATE states SET state = 'held', ready = true, next_attempt_at = NULL WHERE key = ANY(%(keys)s::bigint[])

-- erase --
-- From every table that knows of them: each part sees the rows that were there.
WITH p AS (DELETE FROM payloads WHERE key = ANY(%(keys)s::bigint[])),
     a AS (DELETE FROM attempts WHERE submission = ANY(%(keys)s::bigint[])),
     t AS (DELETE FROM states WHERE key = ANY(%(keys)s::bigint[]))
DELETE FROM submissions WHERE key = ANY(%(keys)s::bigint[])

-- insert_acts --
INSERT INTO acts (at, act, by, submission, id, account, before)
SELECT %(now)s, %(act)s, %(by)s, about.*
FROM unnest(%(keys)s::bigint[], %(ids)s::text[], %(accounts)s::text[], %(before)s::text[]) AS about (key, id, account, before)

-- tell_of_acts --
-- On the channel of the spool's nodes, once this is committed.
SELECT pg_notify('qboxrelay_' || current_schema(), %(text)s)

-- acts_since --
SELECT key, at, act, by, id, account, before FROM acts WHERE key > %(after)s ORDER BY key LIMIT %(limit)s

-- acts_on --
SELECT key, at, act, by, id, account, before FROM acts
WHERE id COLLATE "C" = %(id)s OR (id COLLATE "C" > %(id)s || '-' AND id COLLATE "C" < %(id)s || '.') ORDER BY at, key

-- acts_on_account --
-- Pauses and their ends, while a submission waited.
SELECT key, at, act, by, id, account, before FROM acts
WHERE id COLLATE "C" = '' AND account IN ('', %(account)s) AND at BETWEEN %(since)s AND %(until)s ORDER BY at, key

-- first_untold --
SELECT tell FROM states WHERE tell IS NOT NULL ORDER BY tell LIMIT 1

-- next_untold --
SELECT tell FROM states WHERE tell IS NOT NULL AND tell > %(after)s ORDER BY tell LIMIT 1

-- untold --
SELECT r.*, q.request_id, q.started_at FROM records AS r LEFT JOIN requests AS q ON q.key = r.request
WHERE r.tell = %(tell)s ORDER BY r.key LIMIT %(limit)s

-- still_untold --
SELECT key, notice FROM states WHERE key = ANY(%(keys)s::bigint[]) AND tell = %(tell)s ORDER BY key FOR UPDATE

-- told --
UPDATE states SET tell = NULL WHERE key = ANY(%(keys)s::bigint[])

-- latest_notices --
SELECT received_at FROM submissions
WHERE is_notice AND recipients = %(recipients)s AND received_at > %(since)s AND received_at <= %(now)s ORDER BY received_at LIMIT %(limit)s

-- remember_fact --
INSERT INTO facts (name, value, version) VALUES (%(name)s, %(value)s, 1)
ON CONFLICT (name) DO UPDATE SET value = excluded.value, version = facts.version + 1

-- recall_fact --
SELECT value, version FROM facts WHERE name = %(name)s AND version > %(after)s

-- move_mark --
-- Of several nodes the one that came furthest.
INSERT INTO facts (name, value, version) VALUES (%(name)s, convert_to(%(mark)s::bigint::text, 'UTF8'), 1)
ON CONFLICT (name) DO UPDATE SET value = excluded.value, version = facts.version + 1
WHERE convert_from(facts.value, 'UTF8')::bigint < %(mark)s
