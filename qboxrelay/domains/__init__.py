"""Facts about sender domains: what the Management API says of them, and what DNS says. The only importer of dnspython.

In: domain names. Out: facts with their age. Never: a verdict; that is policy's.
"""
