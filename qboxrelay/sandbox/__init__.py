"""An emulated Qboxmail: Send API, Management API, and an inbox page.

In: HTTP requests as a client of Qboxmail makes them. Out: the documented answers, or the faults that were asked for. Never: an import
of the relay: it is the other side of the wire, and tests rely on that independence.
"""
