"""The SMTP door: listeners and sessions (RFC 5321), on aiosmtpd.

In: connections. Out: envelopes with their content for intake, replies for the client. Never: a permanent code for a fault of ours,
exception text in a reply, or mail without its final dot. The only importer of aiosmtpd.
"""
