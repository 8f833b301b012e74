"""Links to other routers: what services register and publish at one is there for the clients of all.

Each router joins each other one as a client of role ``peer``, and fetches: it calls what is registered there, and subscribes
to what its own clients follow. So a link needs nothing of the other side but that it listens, goes one hop and carries
nothing of the market. Crossbar's own router-to-router links are not used: they answer a call whose callee failed with an empty
result, deliver twice what two subscriptions match, forward patterns as exact topics, hold up the start of a node whose peer is
down, never retry a peer whose first join was refused, carry everything, and register under the role ``trusted``.
"""
