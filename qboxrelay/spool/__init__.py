"""The durable spool: the only bridge between taking mail and sending it.

In: submissions (from intake), outcomes (from dispatch). Out: batches to attempt, the trail of what happened. Never: mail
parsing, HTTP, or an answer before the commit reached the disk.
"""
