-- Submissions on their way to another spool, or from one.

-- parcels_surveyed --
-- By state, and how much of it is mail that goes.
SELECT s.state, count(*) AS messages, total(s.state <> 'sent' AND (s.state <> 'failed' OR s.tell IS NOT NULL
         OR coalesce(length(p.payload), 0) > 0)) AS mail,
       total(s.payload_bytes * (s.state <> 'sent' AND (s.state <> 'failed' OR s.tell IS NOT NULL OR coalesce(length(p.payload), 0) > 0))) AS mail_bytes
FROM submissions AS s LEFT JOIN payloads AS p ON p.key = s.key GROUP BY s.state;

-- parcels_of_mail --
-- In order of arrival: all parts together read the rows once. What is not finished; of a failure also what may still be retried, or told of.
SELECT s.key, coalesce(length(p.payload), 0) + coalesce(length(p.raw), 0) AS size
FROM submissions AS s NOT INDEXED LEFT JOIN payloads AS p ON p.key = s.key
WHERE s.key > :after AND (s.state IN ('queued', 'held')
  OR (s.state = 'failed' AND (s.tell IS NOT NULL OR coalesce(length(p.payload), 0) > 0)))
ORDER BY s.key LIMIT :limit;

-- parcels_of_trail --
SELECT s.key, coalesce(length(p.payload), 0) + coalesce(length(p.raw), 0) AS size
FROM submissions AS s NOT INDEXED LEFT JOIN payloads AS p ON p.key = s.key
WHERE s.key > :after AND (s.state = 'sent' OR (s.state = 'failed' AND s.tell IS NULL AND coalesce(length(p.payload), 0) = 0))
ORDER BY s.key LIMIT :limit;

-- parcel_rows --
-- In the order of the keys; likewise the next.
SELECT s.*, p.payload, p.raw FROM json_each(:keys) AS asked CROSS JOIN submissions AS s ON s.key = asked.value
LEFT JOIN payloads AS p ON p.key = s.key;

-- parcel_attempts --
SELECT a.* FROM json_each(:keys) AS asked CROSS JOIN attempts AS a ON a.submission = asked.value;

-- parcel_requests --
SELECT r.* FROM json_each(:keys) AS asked CROSS JOIN requests AS r ON r.key = asked.value;

-- parcel_acts --
SELECT a.at, a.act, a.by, a.id, a.account, a.before FROM json_each(:ids) AS asked CROSS JOIN acts AS a ON a.id = asked.value;

-- drop_acts --
-- They went with their submission.
DELETE FROM acts WHERE id IN (SELECT value FROM json_each(:ids));

-- parcels_known --
-- Those that were here and that an operator deleted must not come back.
SELECT s.id FROM json_each(:ids) AS asked CROSS JOIN submissions AS s ON s.id = asked.value
UNION ALL SELECT a.id FROM json_each(:ids) AS asked CROSS JOIN acts AS a ON a.id = asked.value AND a.act = 'delete';

-- put_request --
INSERT INTO requests (account, started_at, leased_until, ended_at, messages, bytes, under_way, status, request_id, error, text,
  connect_seconds, answer_seconds)
VALUES (:account, :started_at, :leased_until, :ended_at, :messages, :bytes, :under_way, :status, :request_id, :error, :text,
  :connect_seconds, :answer_seconds);

-- put_submission --
INSERT INTO submissions (key, id, account, client_key, priority, payload_bytes, received_at, stored_at, envelope_sender, recipients,
  notify_never, is_notice, from_address, subject, message_id_header, client_address, client_helo, client_user, listener, dsn, sender_rule,
  domain_state, traceparent, state, ready, next_attempt_at, request, attempts, failures, maybe_sent, retried_at, finished_at, outcome,
  reason, text, message_id, submitted_at, suppression, notice, tell)
VALUES (:key, :id, :account, :client_key, :priority, :payload_bytes, :received_at, :stored_at, :envelope_sender, :recipients,
  :notify_never, :is_notice, :from_address, :subject, :message_id_header, :client_address, :client_helo, :client_user, :listener, :dsn, :sender_rule,
  :domain_state, :traceparent, :state, :ready, :next_attempt_at, :request, :attempts, :failures, :maybe_sent, :retried_at, :finished_at, :outcome,
  :reason, :text, :message_id, :submitted_at, :suppression, :notice, :tell);

-- put_payload --
INSERT INTO payloads (key, payload, raw) VALUES (?, ?, ?);

-- put_attempt --
INSERT INTO attempts (submission, number, request, outcome, reason, text)
VALUES (:submission, :number, :request, :outcome, :reason, :text);

-- first_act --
SELECT min(0, coalesce(min(key), 0)) FROM acts;

-- put_act --
INSERT INTO acts (key, at, act, by, submission, id, account, before)
VALUES (:key, :at, :act, :by, :submission, :id, :account, :before);

-- all_facts --
SELECT name, value, version FROM facts;

-- put_fact --
INSERT INTO facts (name, value, version) VALUES (:name, :value, :version) ON CONFLICT (name) DO NOTHING;

-- put_pause --
INSERT INTO pauses (account, at, by, why) VALUES (:account, :at, :by, :why) ON CONFLICT (account) DO NOTHING;

-- drop_pauses --
DELETE FROM pauses;
