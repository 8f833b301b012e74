"""The seam: what is put into Crossbar's router and its transports, and so leans on private names of Crossbar and Autobahn.

Written against the versions that ``pyproject.toml`` pins; ``tests/router/test_seam.py`` fails loudly when an upgrade moves
something. ``connections`` and ``rawsocket`` are inside the transports, ``client_session`` inside the session,
``gateway_router`` and ``router_seam`` inside router, broker and dealer.
"""
