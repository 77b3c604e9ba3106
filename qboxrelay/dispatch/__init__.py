"""Sending what the spool holds: claim, batch, send, record.

In: batches from the spool. Out: outcomes into the spool. Never: mail parsing, an import of intake, or an outcome that is lost
while the process lives.
"""
