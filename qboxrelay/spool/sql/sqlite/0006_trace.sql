-- Finding a mail by any of its ids or recipients, and by what rule it came in.

ALTER TABLE submissions ADD COLUMN sender_rule  TEXT NOT NULL DEFAULT '';  -- the one that it matched
ALTER TABLE submissions ADD COLUMN domain_state TEXT NOT NULL DEFAULT '';  -- of its sender domain, as the door saw it; empty: not checked

-- Ids come in no order: an index of them alone would dirty a page of its own for each row of a commit. Within parts of 4096 keys the pages
-- are few and in memory; a lookup seeks once a part, 250 times for a million.
CREATE INDEX submissions_message_id_header ON submissions (key >> 12, message_id_header);
CREATE INDEX submissions_message_id ON submissions (key >> 12, message_id) WHERE message_id IS NOT NULL;
CREATE INDEX requests_request_id ON requests (key >> 12, request_id) WHERE request_id IS NOT NULL;
CREATE INDEX attempts_request ON attempts (request);

-- A list has no order that an index could know: it is read as a whole, but without the rest of the rows.
CREATE INDEX submissions_recipients ON submissions (key, recipients);
