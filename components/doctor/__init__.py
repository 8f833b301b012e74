"""What may be wrong with a machine and a node's set-up, looked at from outside, and what to do about it.

One file a subject: what looks, and beside it what judges what was seen. Judging is pure; nothing that looks changes anything.
"""
