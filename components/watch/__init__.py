"""The market in a terminal: follows a gateway over plain JSON (``/ws/trade``), and shows what is so.

``messages``, ``feed_misses``, ``board``, ``sparkline`` and ``screen`` are pure; ``follow`` talks to the gateway, ``terminal``
to who looks.
"""
