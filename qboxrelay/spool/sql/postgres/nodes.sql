-- What relays on one spool agree on: who there is, turns of a token, conditions of accounts, who leads. `now` and `seconds` are NULL, but in tests
-- that bring their own time.

-- enter_node --
-- No row: another relay has the name. One that was killed holds no lock any more; one whose host is gone has not been heard of for long.
INSERT INTO nodes AS n (name, instance, version, started_at, seen_at) VALUES (%(name)s, %(instance)s, %(version)s, server_ms(%(now)s), server_ms(%(now)s))
ON CONFLICT (name) DO UPDATE SET instance = excluded.instance, version = excluded.version, started_at = excluded.started_at, seen_at = excluded.seen_at,
  stopped_at = NULL, leads = false, accepted = 0, sent = 0, accepted_per_second = 0, sent_per_second = 0
WHERE %(locked)s OR n.stopped_at IS NOT NULL OR n.instance = excluded.instance OR n.seen_at < excluded.seen_at - %(silent_ms)s
RETURNING name

-- beat --
UPDATE nodes SET seen_at = server_ms(%(now)s), leads = %(leads)s, accepted = %(accepted)s, sent = %(sent)s,
  accepted_per_second = %(accepted_per_second)s, sent_per_second = %(sent_per_second)s
WHERE name = %(name)s AND instance = %(instance)s RETURNING name

-- leave_node --
UPDATE nodes SET seen_at = server_ms(%(now)s), stopped_at = server_ms(%(now)s), leads = false WHERE name = %(name)s AND instance = %(instance)s

-- forget_nodes --
DELETE FROM nodes WHERE seen_at < server_ms(%(now)s) - %(age_ms)s

-- forget_rates --
DELETE FROM rates WHERE turn_at < server_seconds(%(seconds)s) - %(age)s

-- nodes --
SELECT name, version, started_at, seen_at, stopped_at, leads, accepted, sent, accepted_per_second, sent_per_second,
  server_ms(%(now)s) - seen_at AS silent_ms
FROM nodes ORDER BY name

-- take_turn --
-- The next free turn, at once or later, and the version of what is known of the account; no row where it is too far off for who asks, and stays free. Where the server's clock was set back, no turn is further off than `furthest`. Not worth waiting for a disk:
-- a server that crashes is away for longer than the turns that it forgets.
INSERT INTO rates AS r (token, turn_at, gap) VALUES (%(token)s, server_seconds(%(seconds)s), %(interval)s + %(late)s)
ON CONFLICT (token) DO UPDATE SET turn_at = greatest(server_seconds(%(seconds)s), least(r.turn_at + r.gap, server_seconds(%(seconds)s) + %(furthest)s)),
  slowness = greatest(1, r.slowness - %(faster)s), gap = %(interval)s * greatest(1, r.slowness - %(faster)s) + %(late)s
WHERE greatest(0, least(r.turn_at + r.gap - server_seconds(%(seconds)s), %(furthest)s)) <= %(within)s
RETURNING turn_at - server_seconds(%(seconds)s) AS wait, coalesce((SELECT version FROM conditions WHERE account = %(account)s), 0) AS version,
  set_config('synchronous_commit', 'off', true) AS quick

-- next_turn --
-- When it comes, without taking it. What the server's clock was set back by goes off here, too, or nobody might ever be near enough to take it.
UPDATE rates SET turn_at = least(turn_at, server_seconds(%(seconds)s) + %(furthest)s - gap) WHERE token = %(token)s
RETURNING turn_at + gap - server_seconds(%(seconds)s) AS wait, coalesce((SELECT version FROM conditions WHERE account = %(account)s), 0) AS version,
  set_config('synchronous_commit', 'off', true) AS quick

-- slow_down --
UPDATE rates SET slowness = least(%(slowest)s, 2 * slowness), gap = gap * least(%(slowest)s, 2 * slowness) / slowness WHERE token = %(token)s

-- conditions --
SELECT account, condition, reason, token, version, server_ms(%(now)s) - since AS lasted_ms,
  greatest(0, until - server_ms(%(now)s), CASE WHEN prober <> %(node)s THEN probe_until - server_ms(%(now)s) ELSE 0 END) AS wait_ms
FROM conditions

-- set_condition --
-- A late answer that asks for less does not hide what is waited for already.
INSERT INTO conditions AS c (account, condition, reason, token, since, until, version)
VALUES (%(account)s, %(condition)s, %(reason)s, %(token)s, server_ms(%(now)s), server_ms(%(now)s) + %(wait_ms)s, 1)
ON CONFLICT (account) DO UPDATE SET condition = excluded.condition, reason = excluded.reason, token = excluded.token,
  since = CASE WHEN c.condition = excluded.condition THEN c.since ELSE excluded.since END, until = excluded.until, prober = '', probe_until = 0,
  version = c.version + 1
WHERE c.condition = 'running' OR c.token <> excluded.token OR c.until <= excluded.until
RETURNING version, pg_notify(%(channel)s, '')

-- clear_condition --
-- Unless another node heard worse meanwhile.
UPDATE conditions SET condition = 'running', reason = '', since = server_ms(%(now)s), until = 0, prober = '', probe_until = 0, version = version + 1
WHERE account = %(account)s AND version = %(version)s AND condition <> 'running'
RETURNING version, pg_notify(%(channel)s, '')

-- claim_probe --
UPDATE conditions SET prober = %(node)s, probe_until = server_ms(%(now)s) + %(lease_ms)s
WHERE account = %(account)s AND condition <> 'running' AND until <= server_ms(%(now)s)
  AND (prober = %(node)s OR probe_until <= server_ms(%(now)s))
RETURNING version

-- watch_settings --
-- A node that is stopped, or whose host is gone, loses what it holds: the server ends its session.
SELECT set_config('idle_session_timeout', %(idle_ms)s::text, false) WHERE current_setting('idle_session_timeout', true) IS NOT NULL

-- try_lock --
SELECT pg_try_advisory_lock(hashtextextended(%(what)s, 0)) AS locked
