"""The HTTP side of Qboxmail: the Send API, and how its answers are read.

In: finished JSON. Out: outcomes. Never: MIME, the spool, or a token in a log. The only importer of httpx.
"""
