"""From the bytes of a mail to a `Message`.

In: bytes as they came through DATA. Out: `parse.parse(raw) -> Message`, or `Refusal`. Never: I/O, policy, knowledge of the
envelope, or any other exception: whatever the bytes are, a message or a refusal comes out, in bounded time and memory.
"""
