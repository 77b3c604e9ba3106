"""The spool on a PostgreSQL server, shared by any number of relays.

In: the port's calls. Out: the port's answers. Never: knowledge that one relay keeps for itself and another one needs.
"""
