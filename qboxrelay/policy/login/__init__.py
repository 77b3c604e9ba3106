"""Who is this: logins of applications and devices (RFC 4954), checked against the users of the configuration.

In: a claim, made in whatever mechanism, and where it comes from. Out: a `Result`. Never: a hash computed on the event loop, more memory or
threads than stated, a difference in time between a user that exists and one that does not.
"""
