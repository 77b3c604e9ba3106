-- The spool, version 1. Times are milliseconds since 1970 (UTC).

CREATE TABLE submissions (
  key               INTEGER PRIMARY KEY,           -- order of arrival
  id                TEXT    NOT NULL UNIQUE,       -- "<transaction id>-<position>"
  state             TEXT    NOT NULL,              -- queued, sending, sent, failed, held
  account           TEXT    NOT NULL,
  client_key        TEXT    NOT NULL,              -- by what claims are fair
  priority          INTEGER NOT NULL DEFAULT 0,
  ready             INTEGER NOT NULL DEFAULT 1,    -- 1: may be claimed; 0: not before next_attempt_at
  next_attempt_at   INTEGER,
  request           INTEGER,                       -- the latest request; while sending, the fencing token
  attempts          INTEGER NOT NULL DEFAULT 0,
  failures          INTEGER NOT NULL DEFAULT 0,    -- attempts that count against the mail
  maybe_sent        INTEGER NOT NULL DEFAULT 0,    -- an attempt ended unknown
  payload_bytes     INTEGER NOT NULL,
  received_at       INTEGER NOT NULL,
  finished_at       INTEGER,
  envelope_sender   TEXT    NOT NULL,
  recipients        TEXT    NOT NULL,              -- JSON list
  notify_never      INTEGER NOT NULL,
  is_notice         INTEGER NOT NULL,
  from_address      TEXT    NOT NULL,
  subject           TEXT    NOT NULL,
  message_id_header TEXT    NOT NULL,
  client_address    TEXT    NOT NULL,
  client_helo       TEXT    NOT NULL,
  client_user       TEXT    NOT NULL,
  listener          TEXT    NOT NULL,
  outcome           TEXT,                          -- of the latest attempt
  reason            TEXT,
  text              TEXT,
  message_id        TEXT,                          -- the API's
  submitted_at      TEXT,
  suppression       TEXT
);

-- What may be claimed now, in the order of claiming.
CREATE INDEX submissions_ready ON submissions (account, client_key, priority DESC, key)
  WHERE state = 'queued' AND ready = 1;

-- What waits for its time.
CREATE INDEX submissions_waiting ON submissions (account, next_attempt_at)
  WHERE state = 'queued' AND ready = 0;

-- What pages show, in order of arrival; what is under way; how old the oldest queued one is.
CREATE INDEX submissions_state ON submissions (state, key);

-- What pruning looks for.
CREATE INDEX submissions_finished ON submissions (state, finished_at)
  WHERE finished_at IS NOT NULL;

-- Content stands apart, so that a change of state never rewrites it.
CREATE TABLE payloads (
  key     INTEGER PRIMARY KEY REFERENCES submissions (key),
  payload BLOB NOT NULL,
  raw     BLOB
);

-- AUTOINCREMENT: a key is the fencing token of its claim, and must not come back after pruning.
CREATE TABLE requests (
  key             INTEGER PRIMARY KEY AUTOINCREMENT,
  account         TEXT    NOT NULL,
  started_at      INTEGER NOT NULL,
  leased_until    INTEGER NOT NULL,                -- for people: the process that leased it counts by its own clock
  ended_at        INTEGER,                         -- NULL: under way, or its process died
  messages        INTEGER NOT NULL,
  bytes           INTEGER NOT NULL,
  under_way       INTEGER NOT NULL,                -- messages that are not recorded yet
  status          INTEGER,                         -- HTTP status
  request_id      TEXT,                            -- the API's
  error           TEXT,
  text            TEXT,
  connect_seconds REAL,
  answer_seconds  REAL
);

CREATE INDEX requests_ended ON requests (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE attempts (
  submission INTEGER NOT NULL REFERENCES submissions (key),
  number     INTEGER NOT NULL,                     -- from 1
  request    INTEGER NOT NULL REFERENCES requests (key),
  outcome    TEXT,                                 -- NULL: under way
  reason     TEXT,
  text       TEXT,
  PRIMARY KEY (submission, number)
) WITHOUT ROWID;

-- How much waits, kept by the same commits that change it, so that a start need not count.
CREATE TABLE depth (
  account  TEXT    NOT NULL,
  state    TEXT    NOT NULL,
  messages INTEGER NOT NULL,
  bytes    INTEGER NOT NULL,
  PRIMARY KEY (account, state)
) WITHOUT ROWID;

-- One row that a check writes, to know that a commit would reach the disk.
CREATE TABLE heartbeat (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  at INTEGER NOT NULL
);
