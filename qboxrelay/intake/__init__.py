"""Taking one message: mime ▸ policy ▸ compose ▸ spool.

In: an envelope and the bytes that followed it. Out: the reply, after the commit. Never: an import of dispatch, or a 250 before
the message is safe.
"""
