-- What other parts know from outside and would have to ask for again after a restart.

CREATE TABLE facts (
  name    TEXT    PRIMARY KEY,
  value   BLOB    NOT NULL,
  version INTEGER NOT NULL          -- counts the times it was stored, so that a reader sees cheaply that it is another one
) WITHOUT ROWID;
