-- Who is to be told of mail that failed or is late, and what was asked for by RFC 3461.

ALTER TABLE submissions ADD COLUMN dsn TEXT NOT NULL DEFAULT '';  -- JSON of ENVID, NOTIFY and ORCPT; empty: nothing was asked
ALTER TABLE submissions ADD COLUMN notice TEXT;                   -- the latest kind of notice about it: delay, failure
ALTER TABLE submissions ADD COLUMN tell TEXT;                     -- whom to tell; NULL: nobody, or it was done

-- What somebody is to be told of, by addressee.
CREATE INDEX submissions_untold ON submissions (tell, key) WHERE tell IS NOT NULL;

-- How many notices somebody got lately.
CREATE INDEX submissions_notices ON submissions (recipients, received_at) WHERE is_notice = 1;
