"""What the relay says of itself: logs and metrics.

In: events and figures. Out: lines and series. Never: a decision about mail, message content, or a secret.
"""
