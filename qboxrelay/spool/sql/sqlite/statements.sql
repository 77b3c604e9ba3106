-- insert_arrival --
-- A row without a key is none; likewise wherever a statement is for many rows. What is mostly NULL comes as something that it cannot be:
-- Python's module takes ten times as long over a NULL as over a number. 0: no raw message. An id that is taken has no content here, which the
-- table refuses.
INSERT INTO payloads (key, payload, raw, arrival)
SELECT column1, iif(EXISTS (SELECT 1 FROM submissions WHERE id = column5), NULL, column2), nullif(column3, 0), column4
FROM (VALUES (?, ?, ?, ?, ?)) AS part WHERE column1 IS NOT NULL;

-- insert_submission --
-- 0: no request.
INSERT INTO submissions (
  key, id, account, client_key, priority, payload_bytes, received_at, envelope_sender, recipients, notify_never,
  is_notice, from_address, subject, message_id_header, client_address, client_helo, client_user, listener,
  dsn, sender_rule, domain_state, stored_at, traceparent, state, request, attempts
) SELECT column1, column2, column3, column4, column5, column6, column7, column8, column9, column10,
  column11, column12, column13, column14, column15, column16, column17, column18,
  column19, column20, column21, column22, nullif(column23, ''), column24, nullif(column25, 0), column26
FROM (VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)) AS part
WHERE column1 IS NOT NULL;

-- fresh --
-- What came in just now, in order of arrival; an empty text is in all of it.
SELECT key, arrival, raw IS NOT NULL AS has_raw FROM payloads
WHERE key > (SELECT key FROM lined_up) AND arrival IS NOT NULL AND instr(arrival, :text) > 0 ORDER BY key;

-- fresh_times --
SELECT json_extract(arrival, '$[1]') AS account, json_extract(arrival, '$[5]') AS received_at FROM payloads
WHERE key > (SELECT key FROM lined_up) AND arrival IS NOT NULL ORDER BY key;

-- fresh_content --
SELECT key, arrival, payload, raw FROM payloads WHERE key > (SELECT key FROM lined_up) AND arrival IS NOT NULL ORDER BY key;

-- lined_up --
SELECT key FROM lined_up;

-- line_up_to --
UPDATE lined_up SET key = :key WHERE key < :key;

-- last_key --
SELECT max(coalesce((SELECT max(key) FROM submissions), 0), coalesce((SELECT max(key) FROM payloads), 0), (SELECT key FROM lined_up),
           coalesce((SELECT max(submission) FROM acts INDEXED BY acts_deleted WHERE act = 'delete'), 0));

-- add_depth --
INSERT INTO depth (account, state, messages, bytes) SELECT * FROM (VALUES (?, ?, ?, ?)) AS part WHERE column1 IS NOT NULL
ON CONFLICT (account, state) DO UPDATE SET messages = messages + excluded.messages, bytes = bytes + excluded.bytes;

-- depth --
SELECT account, state, messages, bytes FROM depth;

-- oldest_first --
-- Keys are in order of arrival.
SELECT account, received_at FROM submissions INDEXED BY submissions_state WHERE state = :state ORDER BY key LIMIT :limit;

-- promote_due --
UPDATE submissions SET ready = 1, next_attempt_at = NULL WHERE key IN (
  SELECT key FROM submissions INDEXED BY submissions_waiting
  WHERE state = 'queued' AND ready = 0 AND account = :account AND next_attempt_at <= :now LIMIT :limit);

-- promote_stranded --
-- A time beyond the horizon cannot be ours: the clock was set back, and waiting for it would strand the mail.
UPDATE submissions SET ready = 1, next_attempt_at = NULL WHERE key IN (
  SELECT key FROM submissions INDEXED BY submissions_waiting
  WHERE state = 'queued' AND ready = 0 AND account = :account AND next_attempt_at > :horizon LIMIT :limit);

-- next_due --
SELECT min(next_attempt_at) FROM submissions INDEXED BY submissions_waiting
WHERE state = 'queued' AND ready = 0 AND account = :account;

-- paused --
SELECT 1 FROM pauses WHERE account IN ('', :account) LIMIT 1;

-- outlook --
-- All that a claim asks before it begins: whether the account is paused, whether a time has come or lies beyond the horizon, whether
-- anything is ready, and how far the line goes.
SELECT EXISTS (SELECT 1 FROM pauses WHERE account IN ('', :account)),
  EXISTS (SELECT 1 FROM submissions INDEXED BY submissions_waiting
          WHERE state = 'queued' AND ready = 0 AND account = :account AND next_attempt_at <= :now)
  OR EXISTS (SELECT 1 FROM submissions INDEXED BY submissions_waiting
             WHERE state = 'queued' AND ready = 0 AND account = :account AND next_attempt_at > :horizon),
  EXISTS (SELECT 1 FROM submissions INDEXED BY submissions_ready WHERE state = 'queued' AND ready = 1 AND account = :account),
  (SELECT key FROM lined_up);

-- first_ready --
SELECT 1 FROM submissions INDEXED BY submissions_ready WHERE state = 'queued' AND ready = 1 AND account = :account LIMIT 1;

-- clients --
-- In one statement, by one seek each: every statement gives up Python's lock and must get it back from a busy event loop.
WITH RECURSIVE client (name) AS (
  SELECT * FROM (
    SELECT client_key FROM submissions INDEXED BY submissions_ready
    WHERE state = 'queued' AND ready = 1 AND account = :account AND client_key >= :first ORDER BY client_key LIMIT 1) AS one
  UNION ALL
  SELECT (
    SELECT client_key FROM submissions INDEXED BY submissions_ready
    WHERE state = 'queued' AND ready = 1 AND account = :account AND client_key > client.name ORDER BY client_key LIMIT 1)
  FROM client WHERE client.name IS NOT NULL)
SELECT name FROM client WHERE name IS NOT NULL LIMIT :limit;

-- ready_of_clients --
-- A row a client, in the order of the list: the first of its line, as JSON.
SELECT (
  SELECT json_group_array(json_array(key, payload_bytes, priority)) FROM (
    SELECT key, payload_bytes, priority FROM submissions INDEXED BY submissions_ready
    WHERE state = 'queued' AND ready = 1 AND account = :account AND client_key = client.value
    ORDER BY priority DESC, key LIMIT :limit) AS line)
FROM json_each(:clients) AS client;

-- ready_of_class --
SELECT key, payload_bytes, priority FROM submissions INDEXED BY submissions_ready
WHERE state = 'queued' AND ready = 1 AND account = :account AND client_key = :client AND priority BETWEEN :least AND :most
ORDER BY priority DESC, key LIMIT :limit OFFSET :taken;

-- queued_from --
-- In order of arrival, of all accounts.
SELECT key, account, payload_bytes, coalesce(retried_at, received_at) AS received_at FROM submissions INDEXED BY submissions_state
WHERE state = 'queued' AND key > :after ORDER BY key LIMIT :limit;

-- still_queued --
SELECT s.key, s.payload_bytes FROM json_each(:keys) AS asked CROSS JOIN submissions AS s ON s.key = asked.value
WHERE s.state = 'queued' AND s.account = :account;

-- insert_request --
INSERT INTO requests (account, started_at, leased_until, messages, bytes, under_way)
VALUES (:account, :now, :leased_until, :messages, :bytes, :messages);

-- lease --
UPDATE submissions SET state = 'sending', request = :request, attempts = attempts + 1, next_attempt_at = NULL
WHERE key IN (SELECT value FROM json_each(:keys));

-- insert_attempts --
INSERT INTO attempts (submission, number, request)
SELECT s.key, s.attempts, s.request FROM json_each(:keys) AS chosen CROSS JOIN submissions AS s ON s.key = chosen.value;

-- claimed --
-- In the order of the keys. Content that is gone (a damaged file) comes as NULL.
SELECT s.key, s.id, s.attempts, s.failures, s.received_at, s.envelope_sender, s.recipients, s.notify_never, s.is_notice,
       s.maybe_sent, s.subject, s.message_id_header, coalesce(s.stored_at, s.received_at), coalesce(s.traceparent, ''), p.payload
FROM json_each(:keys) AS chosen CROSS JOIN submissions AS s ON s.key = chosen.value LEFT JOIN payloads AS p ON p.key = s.key;

-- owned --
-- Only what this request still owns: a lease that ran out and was given anew has another request.
SELECT s.key, s.payload_bytes, s.attempts
FROM json_each(:keys) AS asked CROSS JOIN submissions AS s ON s.key = asked.value
WHERE s.request = :request AND s.state = 'sending';

-- leased --
-- Everything under way; no more than the requests in flight hold.
SELECT request, account, key FROM submissions INDEXED BY submissions_state WHERE state = 'sending' ORDER BY key;

-- under_way --
SELECT under_way FROM requests WHERE key = :request AND ended_at IS NULL;

-- end_request --
-- A request ends when the last of its messages is recorded.
UPDATE requests SET under_way = under_way - :settled, ended_at = iif(under_way = :settled, :now, NULL), status = :status,
  request_id = :request_id, error = :error, text = :text, connect_seconds = :connect_seconds, answer_seconds = :answer_seconds
WHERE key = :request AND ended_at IS NULL;

-- end_attempt --
-- Of several, as `settle`.
WITH part (submission, number, outcome, reason, text) AS (VALUES (?, ?, ?, ?, ?))
UPDATE attempts SET outcome = part.outcome, reason = part.reason, text = part.text
FROM part WHERE attempts.submission = part.submission AND attempts.number = part.number;

-- settle --
-- Of several: every statement gives up Python's lock and must get it back from a busy event loop. 0: no next attempt, no suppression.
WITH part (key, state, next_attempt_at, finished_at, outcome, reason, text, message_id, submitted_at, suppression, counted, maybe_sent)
AS (VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?))
UPDATE submissions SET state = part.state, ready = (part.next_attempt_at = 0), next_attempt_at = nullif(part.next_attempt_at, 0),
  finished_at = part.finished_at, outcome = part.outcome, reason = part.reason, text = part.text,
  message_id = coalesce(part.message_id, submissions.message_id), submitted_at = part.submitted_at, suppression = nullif(part.suppression, 0),
  failures = failures + part.counted, maybe_sent = max(submissions.maybe_sent, part.maybe_sent),
  tell = iif(part.state = 'sent', NULL, tell)
FROM part WHERE submissions.key = part.key;

-- want_notice --
-- Of a delay people are told once.
UPDATE submissions SET tell = :tell, notice = :notice WHERE key = :key AND (:notice = 'failure' OR notice IS NULL);

-- first_untold --
SELECT tell FROM submissions INDEXED BY submissions_untold WHERE tell IS NOT NULL ORDER BY tell LIMIT 1;

-- next_untold --
SELECT tell FROM submissions INDEXED BY submissions_untold WHERE tell IS NOT NULL AND tell > :after ORDER BY tell LIMIT 1;

-- untold --
SELECT s.*, r.request_id, r.started_at FROM submissions AS s INDEXED BY submissions_untold LEFT JOIN requests AS r ON r.key = s.request
WHERE s.tell IS NOT NULL AND s.tell = :tell ORDER BY s.key LIMIT :limit;

-- still_untold --
SELECT count(*) FROM json_each(:keys) AS asked CROSS JOIN submissions AS s ON s.key = asked.value
WHERE s.tell = :tell AND s.notice = :notice;

-- told --
UPDATE submissions SET tell = NULL WHERE key IN (SELECT value FROM json_each(:keys));

-- latest_notices --
SELECT received_at FROM submissions INDEXED BY submissions_notices
WHERE is_notice = 1 AND recipients = :recipients AND received_at > :since AND received_at <= :now ORDER BY received_at LIMIT :limit;

-- delete_payloads --
DELETE FROM payloads WHERE key IN (SELECT value FROM json_each(:keys));

-- empty_payloads --
-- The message as received stays.
UPDATE payloads SET payload = x'' WHERE raw IS NOT NULL AND key IN (SELECT value FROM json_each(:keys));

-- delete_payloads_without_raw --
DELETE FROM payloads WHERE raw IS NULL AND key IN (SELECT value FROM json_each(:keys));

-- prunable --
SELECT key, account, payload_bytes FROM submissions INDEXED BY submissions_finished
WHERE state = :state AND finished_at IS NOT NULL AND finished_at < :before LIMIT :limit;

-- failed_with_old_payload --
SELECT s.key FROM submissions AS s INDEXED BY submissions_finished JOIN payloads AS p USING (key)
WHERE s.state = 'failed' AND s.finished_at IS NOT NULL AND s.finished_at < :before AND length(p.payload) > 0 LIMIT :limit;

-- delete_attempts --
DELETE FROM attempts WHERE submission IN (SELECT value FROM json_each(:keys));

-- delete_submissions --
DELETE FROM submissions WHERE key IN (SELECT value FROM json_each(:keys));

-- delete_requests --
DELETE FROM requests WHERE key IN (
  SELECT key FROM requests INDEXED BY requests_ended WHERE ended_at IS NOT NULL AND ended_at < :before LIMIT :limit);

-- find --
SELECT s.*, r.request_id FROM submissions AS s LEFT JOIN requests AS r ON r.key = s.request
WHERE s.id = :id OR (s.id > :id || '-' AND s.id < :id || '.') ORDER BY s.key;

-- latest --
SELECT s.*, r.request_id FROM submissions AS s LEFT JOIN requests AS r ON r.key = s.request
ORDER BY s.key DESC LIMIT :limit;

-- latest_in_state --
SELECT s.*, r.request_id FROM submissions AS s INDEXED BY submissions_state LEFT JOIN requests AS r ON r.key = s.request
WHERE s.state = :state ORDER BY s.key DESC LIMIT :limit;

-- heartbeat --
-- Always another value: SQLite does not write a row that stays the same.
INSERT INTO heartbeat (id, at) VALUES (1, :now) ON CONFLICT (id) DO UPDATE SET at = max(at + 1, excluded.at);

-- remember_fact --
INSERT INTO facts (name, value, version) VALUES (:name, :value, 1)
ON CONFLICT (name) DO UPDATE SET value = excluded.value, version = version + 1;

-- recall_fact --
SELECT value, version FROM facts WHERE name = :name AND version > :after;

-- acted_on --
-- Content that is gone is 0 bytes long.
SELECT s.key, s.id, s.account, s.state, s.payload_bytes, coalesce((SELECT length(p.payload) FROM payloads AS p WHERE p.key = s.key), 0)
FROM json_each(:ids) AS asked CROSS JOIN submissions AS s ON s.id = asked.value;

-- requeue --
-- Its age and its schedule begin anew; of a failure that is none any more nobody is told.
UPDATE submissions SET state = 'queued', ready = 1, next_attempt_at = NULL, finished_at = NULL, failures = 0, retried_at = :now,
  tell = iif(state = 'failed', NULL, tell), notice = iif(state = 'failed', NULL, notice)
WHERE key IN (SELECT value FROM json_each(:keys));

-- hold --
UPDATE submissions SET state = 'held', ready = 1, next_attempt_at = NULL WHERE key IN (SELECT value FROM json_each(:keys));

-- insert_act --
INSERT INTO acts (at, act, by, submission, id, account, before) VALUES (:now, :act, :by, :key, :id, :account, :before);

-- acts_since --
SELECT key, at, act, by, id, account, before FROM acts WHERE key > :after ORDER BY key LIMIT :limit;

-- acts_on --
SELECT key, at, act, by, id, account, before FROM acts
WHERE id = :id OR (id > :id || '-' AND id < :id || '.');

-- acts_on_account --
-- Pauses and their ends, while a submission waited.
SELECT key, at, act, by, id, account, before FROM acts INDEXED BY acts_id
WHERE id = '' AND account IN ('', :account) AND at BETWEEN :since AND :until;

-- delete_acts --
DELETE FROM acts WHERE key IN (SELECT key FROM acts INDEXED BY acts_at WHERE at < :before LIMIT :limit);

-- pause --
INSERT INTO pauses (account, at, by, why) VALUES (:account, :now, :by, :why) ON CONFLICT (account) DO NOTHING;

-- resume --
DELETE FROM pauses WHERE account = :account;

-- pauses --
SELECT account, at, by, why FROM pauses;

-- oldest_in_state --
SELECT received_at FROM submissions INDEXED BY submissions_state WHERE state = :state ORDER BY key LIMIT 1;

-- stretch_in_state --
-- The last key of so many.
SELECT key FROM submissions INDEXED BY submissions_state WHERE state = :state AND key < :before ORDER BY key DESC LIMIT 1 OFFSET :rows;

-- page_in_state --
-- All of a stretch that an operator's selection may mean; an empty text narrows nothing.
SELECT s.*, r.request_id FROM submissions AS s INDEXED BY submissions_state LEFT JOIN requests AS r ON r.key = s.request
WHERE s.state = :state AND s.key < :before AND s.key >= :last
  AND s.received_at BETWEEN :received_after AND :received_before
  AND (:account = '' OR s.account = :account)
  AND (:client = '' OR lower(s.client_user) = :client OR lower(s.client_address) = :client)
  AND (:error = '' OR instr(lower(coalesce(s.reason, '') || ' ' || coalesce(s.text, '')), :error) > 0)
  AND (:named = '' OR instr(lower(s.recipients || ' ' || s.from_address || ' ' || s.envelope_sender), :named) > 0)
ORDER BY s.key DESC;

-- story --
SELECT s.*, r.request_id, coalesce((SELECT length(p.payload) FROM payloads AS p WHERE p.key = s.key), 0) AS content_bytes,
       EXISTS (SELECT 1 FROM payloads AS p WHERE p.key = s.key AND p.raw IS NOT NULL) AS has_raw
FROM submissions AS s LEFT JOIN requests AS r ON r.key = s.request WHERE s.id = :id;

-- attempts_of --
SELECT a.number, a.outcome, a.reason, a.text, r.started_at, r.ended_at, r.messages, r.status, r.request_id, r.error, r.text AS request_text,
       r.connect_seconds, r.answer_seconds
FROM attempts AS a LEFT JOIN requests AS r ON r.key = a.request WHERE a.submission = :key ORDER BY a.number;

-- content_of --
SELECT p.payload, p.raw FROM submissions AS s JOIN payloads AS p ON p.key = s.key WHERE s.id = :id;

-- content_of_key --
SELECT payload, raw FROM payloads WHERE key = :key;

-- traced_request --
-- By parts of keys, the newest first, as the index is made; likewise the next two.
WITH RECURSIVE part (number) AS (
  SELECT max(key) >> 12 FROM requests UNION ALL
  SELECT number - 1 FROM part WHERE number > (SELECT min(key) >> 12 FROM requests))
SELECT a.submission FROM part CROSS JOIN requests AS r INDEXED BY requests_request_id
CROSS JOIN attempts AS a INDEXED BY attempts_request
WHERE r.key >> 12 = part.number AND r.request_id = :text AND a.request = r.key LIMIT :limit;

-- traced_message_id --
WITH RECURSIVE part (number) AS (
  SELECT max(key) >> 12 FROM submissions UNION ALL
  SELECT number - 1 FROM part WHERE number > (SELECT min(key) >> 12 FROM submissions))
SELECT s.key FROM part CROSS JOIN submissions AS s INDEXED BY submissions_message_id
WHERE s.key >> 12 = part.number AND s.message_id = :text LIMIT :limit;

-- traced_message_id_header --
WITH RECURSIVE part (number) AS (
  SELECT max(key) >> 12 FROM submissions UNION ALL
  SELECT number - 1 FROM part WHERE number > (SELECT min(key) >> 12 FROM submissions))
SELECT s.key FROM part CROSS JOIN submissions AS s INDEXED BY submissions_message_id_header
WHERE s.key >> 12 = part.number AND s.message_id_header IN (:text, '<' || :text || '>') LIMIT :limit;

-- traced_recipient --
-- The newest first.
SELECT key FROM submissions INDEXED BY submissions_recipients WHERE instr(lower(recipients), :quoted) > 0
ORDER BY key DESC LIMIT :limit;

-- records --
SELECT s.*, r.request_id FROM json_each(:keys) AS asked CROSS JOIN submissions AS s ON s.key = asked.value
LEFT JOIN requests AS r ON r.key = s.request;
