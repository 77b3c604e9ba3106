-- What came in just now. Among its client's, and by its message id, each row of a commit would dirty a page of its own; so such rows take their
-- places there by the thousand, or when somebody claims. Until then they are few enough to be looked at one by one.

ALTER TABLE submissions ADD COLUMN fresh INTEGER NOT NULL DEFAULT 0;  -- 1: in the order of arrival only

CREATE INDEX submissions_fresh ON submissions (key, account) WHERE fresh = 1;

DROP INDEX submissions_ready;
CREATE INDEX submissions_ready ON submissions (account, client_key, priority DESC, key)
  WHERE state = 'queued' AND ready = 1 AND fresh = 0;

DROP INDEX submissions_message_id_header;
CREATE INDEX submissions_message_id_header ON submissions (key >> 12, message_id_header) WHERE fresh = 0;

DROP INDEX submissions_recipients;
CREATE INDEX submissions_recipients ON submissions (key, recipients, fresh) WHERE fresh = 0;
