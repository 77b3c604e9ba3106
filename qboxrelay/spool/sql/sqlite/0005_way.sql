-- Where a submission's way began, and its trace: NULL for what was stored before.

ALTER TABLE submissions ADD COLUMN stored_at INTEGER;    -- when the spool took it: received_at is when MAIL was said
ALTER TABLE submissions ADD COLUMN traceparent TEXT;     -- W3C Trace Context of the span that took it in; NULL: not traced
