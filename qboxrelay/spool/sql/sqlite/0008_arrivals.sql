-- What came in just now is written once, with its content: one statement, which is a commit by itself. It gets its row among the submissions,
-- with its places in every order, when somebody claims, or when it is much.

ALTER TABLE payloads ADD COLUMN arrival TEXT;  -- JSON of what its row will hold; see `fresh.py`. NULL for what came in before, or from another spool

-- How far this has gone, written with the rows: content with a greater key has none yet.
CREATE TABLE lined_up (
  id  INTEGER PRIMARY KEY CHECK (id = 1),
  key INTEGER NOT NULL
);

INSERT INTO lined_up (id, key)
SELECT 1, max(coalesce((SELECT max(key) FROM submissions), 0), coalesce((SELECT max(key) FROM payloads), 0),
              coalesce((SELECT max(submission) FROM acts INDEXED BY acts_deleted WHERE act = 'delete'), 0));

-- The column `fresh` marked such rows before. Nobody reads it any more: to drop it would write every row anew.
DROP INDEX submissions_fresh;

DROP INDEX submissions_ready;
CREATE INDEX submissions_ready ON submissions (account, client_key, priority DESC, key)
  WHERE state = 'queued' AND ready = 1;

DROP INDEX submissions_message_id_header;
CREATE INDEX submissions_message_id_header ON submissions (key >> 12, message_id_header);

DROP INDEX submissions_recipients;
CREATE INDEX submissions_recipients ON submissions (key, recipients);
