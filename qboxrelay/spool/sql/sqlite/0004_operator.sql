-- What operators do by hand, beside a relay that may be running.

ALTER TABLE submissions ADD COLUMN retried_at INTEGER;   -- when an operator last asked for another try: its age counts from then

-- One row for each act on each submission. AUTOINCREMENT: a running relay asks what came after the last one it saw.
CREATE TABLE acts (
  key        INTEGER PRIMARY KEY AUTOINCREMENT,
  at         INTEGER NOT NULL,
  act        TEXT    NOT NULL,   -- retry, release, hold, delete, pause, resume
  by         TEXT    NOT NULL,   -- who did it, as far as the program knows
  submission INTEGER NOT NULL,   -- 0: about an account
  id         TEXT    NOT NULL,   -- of the submission; empty: about an account
  account    TEXT    NOT NULL,   -- empty: all
  before     TEXT    NOT NULL    -- the state it was in
);

CREATE INDEX acts_id ON acts (id);
CREATE INDEX acts_at ON acts (at);
-- A key must not come back while somebody may still mean the deleted one.
CREATE INDEX acts_deleted ON acts (submission) WHERE act = 'delete';

-- Accounts that send nothing until an operator resumes them.
CREATE TABLE pauses (
  account TEXT    PRIMARY KEY,   -- empty: all
  at      INTEGER NOT NULL,
  by      TEXT    NOT NULL,
  why     TEXT    NOT NULL
) WITHOUT ROWID;
