"""Taking mail while the database server takes none: a file of this machine, moved to the server once it is back.

In: mail that the server did not take. Out: the same mail, in the server, in order of arrival. Never: mail sent from here.
"""
