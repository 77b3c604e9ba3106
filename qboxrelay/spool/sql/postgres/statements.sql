-- Taking mail, leasing it, recording what became of it. Each statement that writes is a commit of its own, or part of one.
-- A state is written out where an index holds some states only: as a parameter it would not be seen that the index serves.

-- not_here --
-- In place of `true` in what follows, for what may have come through in a commit whose connection broke: that stays as it is. Nor does what an
-- operator deleted come back.
NOT EXISTS (SELECT FROM submissions AS s WHERE s.id COLLATE "C" = a.id)
    AND NOT EXISTS (SELECT FROM acts WHERE acts.id COLLATE "C" = a.id AND acts.act = 'delete');

-- put --
-- One statement for everything that a commit takes in: it is stored whole or not at all. Keys are in the order of the lists. Anything that is
-- there already is an error.
WITH arrived AS MATERIALIZED (
  SELECT nextval('submissions_key_seq') AS key, a.* FROM unnest(
    %(ids)s::text[], %(accounts)s::text[], %(client_keys)s::text[], %(priorities)s::integer[], %(sizes)s::bigint[], %(received)s::bigint[],
    %(senders)s::text[], %(recipients)s::text[], %(nevers)s::boolean[], %(notices)s::boolean[], %(froms)s::text[], %(subjects)s::text[],
    %(headers)s::text[], %(addresses)s::text[], %(helos)s::text[], %(users)s::text[], %(listeners)s::text[], %(dsns)s::text[],
    %(rules)s::text[], %(domain_states)s::text[], %(traces)s::text[], %(payloads)s::bytea[], %(raws)s::bytea[]
  ) AS a (id, account, client_key, priority, payload_bytes, received_at, envelope_sender, recipients, notify_never, is_notice, from_address,
          subject, message_id_header, client_address, client_helo, client_user, listener, dsn, sender_rule, domain_state, traceparent,
          payload, raw)
  WHERE true
), stored AS (
  INSERT INTO submissions (
    key, id, account, client_key, priority, payload_bytes, received_at, stored_at, envelope_sender, recipients, notify_never, is_notice,
    from_address, subject, message_id_header, client_address, client_helo, client_user, listener, dsn, sender_rule, domain_state, traceparent)
  SELECT key, id, account, client_key, priority, payload_bytes, received_at, %(now)s::bigint, envelope_sender, recipients, notify_never,
    is_notice, from_address, subject, message_id_header, client_address, client_helo, client_user, listener, dsn, sender_rule, domain_state,
    nullif(traceparent, '')
  FROM arrived
), waiting AS (
  INSERT INTO unfinished (key, account, client_key, priority, payload_bytes) SELECT key, account, client_key, priority, payload_bytes FROM arrived
), contents AS (
  INSERT INTO payloads (key, payload, raw) SELECT key, payload, raw FROM arrived
)
INSERT INTO depth (slot, account, state, messages, bytes)
SELECT pg_backend_pid() %% 64, account, 'queued', count(*), sum(payload_bytes) FROM arrived GROUP BY account ORDER BY account
ON CONFLICT (slot, account, state) DO UPDATE SET messages = depth.messages + excluded.messages, bytes = depth.bytes + excluded.bytes;

-- add_depth --
-- Always in the same order: two who count at the same time must not wait for each other. A connection has a slot, which few others share.
INSERT INTO depth (slot, account, state, messages, bytes)
SELECT pg_backend_pid() %% 64, a.* FROM unnest(%(accounts)s::text[], %(states)s::text[], %(messages)s::bigint[], %(bytes)s::bigint[])
  AS a (account, state, messages, bytes)
ORDER BY a.account, a.state
ON CONFLICT (slot, account, state) DO UPDATE SET messages = depth.messages + excluded.messages, bytes = depth.bytes + excluded.bytes;

-- depth --
SELECT account, state, sum(messages)::bigint AS messages, sum(bytes)::bigint AS bytes FROM depth GROUP BY account, state;

-- oldest_first --
-- The first of each account among so many of each state, and, behind it, the last of those many and how many they were. Keys are in order of
-- arrival.
WITH first AS MATERIALIZED (
  (SELECT 'queued' AS state, key, account FROM unfinished WHERE state = 'queued' ORDER BY key LIMIT %(limit)s) UNION ALL
  (SELECT 'sending', key, account FROM unfinished WHERE state = 'sending' ORDER BY key LIMIT %(limit)s) UNION ALL
  (SELECT 'held', key, account FROM unfinished WHERE state = 'held' ORDER BY key LIMIT %(limit)s)
), found AS (
  SELECT state, account, min(key) AS key, false AS last, 0 AS looked_at FROM first GROUP BY state, account
  UNION ALL SELECT state, '', max(key), true, count(*) FROM first GROUP BY state
)
SELECT f.state, f.account, f.last, f.looked_at, s.received_at FROM found AS f JOIN submissions AS s ON s.key = f.key;

-- promote --
-- What has come, and what cannot be ours: a time beyond the horizon was written by another clock, and waiting for it would strand the mail.
WITH due AS MATERIALIZED (
  SELECT key FROM unfinished WHERE state = 'queued' AND NOT ready AND account = %(account)s AND next_attempt_at <= %(now)s
  ORDER BY next_attempt_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
), stranded AS MATERIALIZED (
  SELECT key FROM unfinished WHERE state = 'queued' AND NOT ready AND account = %(account)s AND next_attempt_at > %(horizon)s
  ORDER BY next_attempt_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE unfinished AS t SET ready = true, next_attempt_at = NULL
FROM (SELECT key FROM due UNION ALL SELECT key FROM stranded) AS found WHERE t.key = found.key;

-- next_due --
-- Whether something is ready, when the next waiting one is due, and after how many milliseconds the first lease runs out. An order is asked for
-- where only one index has it: for an account without mail any other would be read to its end.
SELECT EXISTS (SELECT 1 FROM pauses WHERE account IN ('', %(account)s)) AS paused,
  (SELECT true FROM unfinished WHERE state = 'queued' AND ready AND account = %(account)s
   ORDER BY client_key COLLATE "C", priority DESC, key LIMIT 1) AS ready,
  (SELECT min(next_attempt_at) FROM unfinished WHERE state = 'queued' AND NOT ready AND account = %(account)s) AS due,
  (SELECT min(leased_until) FROM requests WHERE ended_at IS NULL AND account = %(account)s) - server_ms(%(server)s::bigint) AS leased_for;

-- work_for --
-- Those of the accounts that have something to be claimed, or a lease that ran out.
SELECT asked.account FROM unnest(%(accounts)s::text[]) AS asked (account)
WHERE (SELECT true FROM unfinished AS s WHERE s.state = 'queued' AND s.ready AND s.account = asked.account
       ORDER BY client_key COLLATE "C", priority DESC, key LIMIT 1)
   OR (SELECT min(s.next_attempt_at) FROM unfinished AS s WHERE s.state = 'queued' AND NOT s.ready AND s.account = asked.account) <= %(now)s
   OR EXISTS (SELECT 1 FROM requests AS r WHERE r.ended_at IS NULL AND r.account = asked.account
              AND r.leased_until <= server_ms(%(server)s::bigint));

-- clients --
-- Clients with something ready, by one seek each, beginning behind the last one served.
WITH RECURSIVE behind (name, number) AS (
  (SELECT client_key COLLATE "C", 1 FROM unfinished
   WHERE state = 'queued' AND ready AND account = %(account)s AND client_key COLLATE "C" > %(last)s ORDER BY client_key COLLATE "C" LIMIT 1)
  UNION ALL
  SELECT (SELECT client_key COLLATE "C" FROM unfinished
          WHERE state = 'queued' AND ready AND account = %(account)s AND client_key COLLATE "C" > behind.name
          ORDER BY client_key COLLATE "C" LIMIT 1), number + 1
  FROM behind WHERE behind.name IS NOT NULL AND number < %(limit)s
), before (name, number) AS (
  (SELECT client_key COLLATE "C", 1 FROM unfinished
   WHERE state = 'queued' AND ready AND account = %(account)s AND client_key COLLATE "C" <= %(last)s ORDER BY client_key COLLATE "C" LIMIT 1)
  UNION ALL
  SELECT (SELECT client_key COLLATE "C" FROM unfinished
          WHERE state = 'queued' AND ready AND account = %(account)s AND client_key COLLATE "C" > before.name
            AND client_key COLLATE "C" <= %(last)s
          ORDER BY client_key COLLATE "C" LIMIT 1), number + 1
  FROM before WHERE before.name IS NOT NULL AND number < %(limit)s
)
SELECT name FROM (SELECT 1 AS part, name, number FROM behind UNION ALL SELECT 2, name, number FROM before) AS found
WHERE name IS NOT NULL ORDER BY part, number LIMIT %(limit)s;

-- candidates --
-- The first of each client and class of priority, locked until this claim is committed; what another claim looks at is passed over.
SELECT c.name, r.key, r.payload_bytes, r.priority
FROM unnest(%(clients)s::text[]) WITH ORDINALITY AS c (name, place)
CROSS JOIN (VALUES (1, 2147483647), (0, 0), (-2147483648, -1)) AS class (least, most)
CROSS JOIN LATERAL (
  SELECT key, payload_bytes, priority FROM unfinished
  WHERE state = 'queued' AND ready AND account = %(account)s AND client_key COLLATE "C" = c.name AND priority BETWEEN class.least AND class.most
  ORDER BY priority DESC, key LIMIT %(fetch)s FOR NO KEY UPDATE SKIP LOCKED) AS r
ORDER BY c.place, r.priority DESC, r.key;

-- overdue --
-- What an account has waited for longest, due or not; of the first so many of all accounts in order of arrival.
SELECT f.key, f.account, f.payload_bytes, coalesce(f.retried_at, s.received_at) AS received_at
FROM (SELECT key, account, payload_bytes, retried_at FROM unfinished
      WHERE state = 'queued' AND key > %(after)s ORDER BY key LIMIT %(limit)s) AS f
JOIN submissions AS s ON s.key = f.key ORDER BY f.key;

-- still_queued --
SELECT key, payload_bytes FROM unfinished WHERE key = ANY (%(keys)s::bigint[]) AND state = 'queued' AND account = %(account)s
ORDER BY key FOR NO KEY UPDATE SKIP LOCKED;

-- lease --
-- A new request, and the number of an attempt in the row of each of its submissions.
WITH request AS (
  INSERT INTO requests (account, node, token, started_at, leased_until, messages, bytes, under_way)
  VALUES (%(account)s, %(node)s, %(token)s, %(now)s, server_ms(%(server)s::bigint) + %(lease)s, %(messages)s, %(bytes)s, %(messages)s) RETURNING key
), leased AS (
  UPDATE unfinished AS t SET state = 'sending', ready = true, request = request.key, attempts = t.attempts + 1, next_attempt_at = NULL
  FROM request WHERE t.key = ANY (%(keys)s::bigint[])
  RETURNING t.key, t.attempts, t.failures, t.maybe_sent, t.request
)
SELECT l.key, l.attempts, l.failures, l.maybe_sent, request.key AS request FROM request LEFT JOIN leased AS l ON true;

-- contents --
-- By key alone. Content that is gone (a damaged database) comes as NULL.
SELECT s.key, s.id, s.received_at, s.envelope_sender, s.recipients, s.notify_never, s.is_notice, s.subject, s.message_id_header, s.stored_at,
       s.traceparent, p.payload
FROM submissions AS s LEFT JOIN payloads AS p USING (key) WHERE s.key = ANY (%(keys)s::bigint[]);

-- owned --
-- Only what this request still owns: a lease that ran out and was given anew has another request. Nobody else can end it meanwhile.
WITH mine AS MATERIALIZED (SELECT key FROM requests WHERE key = %(request)s AND token = %(token)s FOR NO KEY UPDATE)
SELECT t.key, t.payload_bytes, t.attempts FROM mine JOIN unfinished AS t ON t.request = mine.key
WHERE t.key = ANY (%(keys)s::bigint[]) AND t.state = 'sending' ORDER BY t.key FOR NO KEY UPDATE OF t;

-- record --
-- What the request still owns is settled, its attempts and content with it; the request ends with its last submission. The request is locked
-- first, by whoever ends it, so that nobody waits for each other.
WITH mine AS MATERIALIZED (
  SELECT key FROM requests WHERE key = %(request)s AND token = %(token)s FOR NO KEY UPDATE
), part AS MATERIALIZED (
  SELECT * FROM unnest(
    %(keys)s::bigint[], %(states)s::text[], %(next_attempts)s::bigint[], %(outcomes)s::text[], %(reasons)s::text[], %(texts)s::text[],
    %(message_ids)s::text[], %(submitted)s::text[], %(suppressions)s::text[], %(counted)s::integer[], %(maybe)s::boolean[],
    %(notices)s::text[], %(tells)s::text[]
  ) AS p (key, state, next_attempt_at, outcome, reason, text, message_id, submitted_at, suppression, counted, maybe_sent, notice, tell)
), settled AS (
  UPDATE states AS t SET state = p.state, ready = (p.next_attempt_at IS NULL), next_attempt_at = p.next_attempt_at,
    finished_at = CASE WHEN p.state IN ('sent', 'failed') THEN %(now)s::bigint END, outcome = p.outcome, reason = p.reason, text = p.text,
    message_id = coalesce(p.message_id, t.message_id), submitted_at = p.submitted_at, suppression = p.suppression,
    failures = t.failures + p.counted, maybe_sent = t.maybe_sent OR p.maybe_sent,
    -- Of a delay people are told once.
    tell = CASE WHEN p.notice = 'failure' OR (p.notice IS NOT NULL AND t.notice IS NULL) THEN p.tell
                WHEN p.state <> 'sent' THEN t.tell END,
    notice = CASE WHEN p.notice = 'failure' OR t.notice IS NULL THEN coalesce(p.notice, t.notice) ELSE t.notice END
  FROM mine CROSS JOIN part AS p WHERE t.key = p.key AND t.request = mine.key AND t.state = 'sending'
  RETURNING t.key, t.account, t.payload_bytes, t.attempts, t.state, t.outcome, t.reason, t.text
), tried AS (
  INSERT INTO attempts (submission, number, request, outcome, reason, text)
  SELECT key, attempts, %(request)s, outcome, reason, text FROM settled
), ended AS (
  UPDATE requests AS r SET under_way = r.under_way - s.settled, ended_at = CASE WHEN r.under_way = s.settled THEN %(now)s::bigint END,
    status = %(status)s, request_id = %(request_id)s, error = %(error)s, text = %(text)s, connect_seconds = %(connect_seconds)s,
    answer_seconds = %(answer_seconds)s
  FROM (SELECT count(*)::integer AS settled FROM settled) AS s
  WHERE r.key = (SELECT key FROM mine) AND r.ended_at IS NULL AND (s.settled > 0 OR %(nothing)s)
), emptied AS (
  -- The message as received stays.
  UPDATE payloads AS p SET payload = '' FROM settled AS s WHERE p.key = s.key AND s.state = 'sent' AND %(keep_raw)s AND p.raw IS NOT NULL
), dropped AS (
  DELETE FROM payloads AS p USING settled AS s WHERE p.key = s.key AND s.state = 'sent' AND (NOT %(keep_raw)s OR p.raw IS NULL)
), counted AS (
  INSERT INTO depth (slot, account, state, messages, bytes)
  SELECT pg_backend_pid() %% 64, account, state, sum(messages), sum(bytes) FROM (
    SELECT account, 'sending' AS state, -1 AS messages, -payload_bytes AS bytes FROM settled
    UNION ALL SELECT account, state, 1, payload_bytes FROM settled) AS moved
  GROUP BY account, state ORDER BY account, state
  ON CONFLICT (slot, account, state) DO UPDATE SET messages = depth.messages + excluded.messages, bytes = depth.bytes + excluded.bytes
)
SELECT key, account, payload_bytes, state FROM settled;

-- end_for_split --
-- The attempts of submissions that stay under way, in requests of their own.
WITH tried AS (
  INSERT INTO attempts (submission, number, request, outcome, reason, text)
  SELECT key, attempts, request, 'deferred', 'split', %(text)s FROM unfinished WHERE key = ANY (%(keys)s::bigint[])
)
UPDATE requests AS r SET under_way = r.under_way - %(settled)s, ended_at = CASE WHEN r.under_way = %(settled)s THEN %(now)s::bigint END,
  status = %(status)s, request_id = %(request_id)s, error = %(error)s, text = %(text)s, connect_seconds = %(connect_seconds)s,
  answer_seconds = %(answer_seconds)s
WHERE r.key = %(request)s AND r.ended_at IS NULL;

-- ran_out --
-- Requests whose lease ran out; another node that ends them already is not waited for.
SELECT key, token, account, node FROM requests
WHERE ended_at IS NULL AND leased_until <= server_ms(%(server)s::bigint) ORDER BY key LIMIT %(limit)s
FOR NO KEY UPDATE SKIP LOCKED;

-- left_by --
-- What this node left under way when it stopped. What other nodes have under way is theirs until the lease runs out, and some time longer after an
-- outage of the server.
SELECT key, token, account, node FROM requests WHERE ended_at IS NULL AND node = %(node)s::text ORDER BY key LIMIT %(limit)s
FOR NO KEY UPDATE SKIP LOCKED;

-- unheard --
-- Claims of this node whose commit nobody heard of, and that came through all the same. They are under way for nobody.
SELECT key, token, account FROM requests WHERE ended_at IS NULL AND node = %(node)s::text AND token = ANY (%(tokens)s::bigint[]) ORDER BY key
FOR NO KEY UPDATE;

-- left_of --
SELECT key FROM unfinished WHERE request = %(request)s AND state = 'sending' ORDER BY key;

-- close_request --
-- What is not under way any more needs no lease, however it ended.
UPDATE requests SET ended_at = %(now)s, under_way = 0 WHERE key = %(request)s AND ended_at IS NULL;

-- prune_contents --
-- The content of mail that failed long ago. The message as received stays where it is kept. Whose content went is not looked at again.
WITH old AS MATERIALIZED (
  SELECT key FROM failed WHERE NOT emptied AND finished_at < %(before)s ORDER BY finished_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
), marked AS (
  UPDATE failed SET emptied = true WHERE key = ANY (ARRAY(SELECT key FROM old))
), emptied AS (
  UPDATE payloads SET payload = '' WHERE key = ANY (ARRAY(SELECT key FROM old)) AND raw IS NOT NULL AND %(keep_raw)s
), dropped AS (
  DELETE FROM payloads WHERE key = ANY (ARRAY(SELECT key FROM old)) AND (raw IS NULL OR NOT %(keep_raw)s)
)
SELECT count(*) AS went FROM old;

-- prune_submissions --
-- A few of the oldest finished ones of each state, with all that belongs to them, and their figures. Lists of keys: how many rows a part of a
-- statement yields, the server can only guess, and might read a whole table for it.
WITH of_sent AS MATERIALIZED (
  SELECT key, account, state, payload_bytes FROM sent WHERE finished_at < %(before)s ORDER BY finished_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
), of_failed AS MATERIALIZED (
  SELECT key, account, state, payload_bytes FROM failed WHERE finished_at < %(before)s ORDER BY finished_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
), old AS MATERIALIZED (
  SELECT * FROM of_sent UNION ALL SELECT * FROM of_failed
), payload AS (
  DELETE FROM payloads WHERE key = ANY (ARRAY(SELECT key FROM old))
), attempt AS (
  DELETE FROM attempts WHERE submission = ANY (ARRAY(SELECT key FROM old))
), submission AS (
  DELETE FROM submissions WHERE key = ANY (ARRAY(SELECT key FROM old))
), was_sent AS (
  DELETE FROM sent WHERE key = ANY (ARRAY(SELECT key FROM of_sent))
), had_failed AS (
  DELETE FROM failed WHERE key = ANY (ARRAY(SELECT key FROM of_failed))
), counted AS (
  INSERT INTO depth (slot, account, state, messages, bytes)
  SELECT pg_backend_pid() %% 64, account, state, -count(*), -sum(payload_bytes) FROM old GROUP BY account, state ORDER BY account, state
  ON CONFLICT (slot, account, state) DO UPDATE SET messages = depth.messages + excluded.messages, bytes = depth.bytes + excluded.bytes
)
SELECT count(*) AS went FROM old;

-- prune_acts --
DELETE FROM acts WHERE key = ANY (ARRAY(SELECT key FROM acts WHERE at < %(before)s ORDER BY at LIMIT %(limit)s FOR UPDATE SKIP LOCKED));

-- prune_requests --
DELETE FROM requests WHERE key = ANY (ARRAY(
  SELECT key FROM requests WHERE ended_at IS NOT NULL AND ended_at < %(before)s ORDER BY ended_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED));

-- heartbeat --
INSERT INTO heartbeat (id, at) VALUES (1, %(now)s) ON CONFLICT (id) DO UPDATE SET at = greatest(heartbeat.at + 1, excluded.at);

-- notify --
SELECT pg_notify(%(channel)s, text) FROM unnest(%(texts)s::text[]) AS text;
