"""The nouns: frozen values that flow one way through the relay.

In: nothing. Out: types. Never: I/O, clocks, randomness, or an import of another part of the relay.
"""
