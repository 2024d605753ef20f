"""Channels between the agents of a job: what is signed, what is sent, without any IO.

| layer, outermost first | module       | what it gives                                 |
|------------------------|--------------|-----------------------------------------------|
| statements             | `statements` | whose certificate a channel has, signed       |
| frames                 | `framing`    | bounded, numbered pieces of a byte stream     |
| resumption             | `resuming`   | a stream that survives cut links              |
| TLS 1.3                | (an adapter) | secrecy and authenticity between both agents  |
| connections            | `multiplex`  | messages and byte streams inside one channel  |

Frames and resumption lie *outside* of TLS: whoever carries them can forge them, and thereby break a
channel, which he can do anyway; what he cannot do is to have one end read what the other did not
write, in that order.
"""
