"""May this message enter, as whom, through which account: pure rules over gathered facts.

In: settings and values. Out: verdicts, or `Refusal`. Never: I/O.
"""
