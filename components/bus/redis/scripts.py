"""What Redis does in one piece: its keys, and the Lua scripts that alone change them.

The stream's ids are ``<epoch>-<number>`` of the batch in the entry. So a reader's place in the stream is that of the batch it
has read last, on whichever server it asks, also on one that has started anew and been written to again; and what Redis does
not allow, an id that is no greater than the last, is no batch either. All keys share a hash tag, a single slot of a cluster.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha1
from typing import Any

from components.core.batch import Standing

BATCHES = b"{crosstick}:batches"
"""Stream; an entry has ``t``, when it was written in ms by the server's clock, and ``b``, the encoded batch."""

NEWEST = b"{crosstick}:newest"
"""Hash: topic → ``<seq> <payload>``, of the epoch that stands."""

STATE = b"{crosstick}:state"
"""Hash: ``epoch`` and ``number`` of the last batch, ``token`` of the last lead and the ``server`` (run id) that gave it."""

LEAD = b"{crosstick}:lead"
"""Who leads, for as long as the lease lasts."""

STANDBY = b"{crosstick}:standby"
"""A feed that is ready to lead and does not, for a while after it has asked for the lead."""

STATUS = b"{crosstick}:status"
"""Stream of one entry, ``s``: the feed's last status. Gone when none has come for ``STATUS_KEPT_MS``."""

STATUS_KEPT_MS = 5000
"""As long as a feed counts as heard."""


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script and the keys that it is given."""

    text: str
    keys: tuple[bytes, ...]

    @property
    def sha(self) -> str:
        """By which Redis knows it."""
        return sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def call(self, *arguments: Any) -> tuple[Any, ...]:
        """Return the command that runs it."""
        return ("EVALSHA", self.sha, len(self.keys), *self.keys, *arguments)


# ARGV: owner, lease in ms, "1" to leave the lead to another feed for the time being, should nobody hold it, "1" if ready to
# lead, and for how many ms that is remembered. Who is not ready leaves the lead to another that is.
# What a Redis without memory refuses here it refuses again where the lead is taken.
TAKE_LEAD = Script(
    """
local ready = ARGV[4] == '1'
if ready then redis.pcall('SET', KEYS[4], ARGV[1], 'PX', ARGV[5])
elseif redis.call('GET', KEYS[4]) == ARGV[1] then redis.call('DEL', KEYS[4]) end
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return {'held', holder} end
if ARGV[3] == '1' then return {'wait'} end
local standby = redis.call('GET', KEYS[4])
if not ready and standby then return {'wait'} end
if standby == ARGV[1] then redis.call('DEL', KEYS[4]) end
local state = redis.call('HMGET', KEYS[2], 'token', 'server', 'epoch', 'number')
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local same = state[2] == server
local now = redis.call('TIME')
local before = tonumber(state[1] or '0')
local token = string.format('%.0f', math.max(before + 1, now[1] * 1000000 + now[2]))
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('HSET', KEYS[2], 'token', token, 'server', server)
return {'lead', token, string.format('%.0f', before), same and 1 or 0, state[3] or '0', state[4] or '0',
    redis.call('HGETALL', KEYS[3])}
""",
    (LEAD, STATE, NEWEST, STANDBY),
)

# ARGV: owner, token, lease in ms. A lease that has run out is had again, as long as nobody else has led.
RENEW = Script(
    """
if redis.call('HGET', KEYS[2], 'token') ~= ARGV[2] then return 0 end
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
if holder then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return 1
""",
    (LEAD, STATE),
)

# ARGV: owner.
RELEASE = Script(
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0",
    (LEAD,),
)

# ARGV: token, epoch, number, most entries, encoded batch, then topic and newest event by turns, a topic once.
WRITE = Script(
    """
local state = redis.call('HMGET', KEYS[1], 'token', 'epoch', 'number')
if state[1] ~= ARGV[1] then return {'fenced'} end
local stands, at = tonumber(state[2] or '0'), tonumber(state[3] or '0')
local epoch, number = tonumber(ARGV[2]), tonumber(ARGV[3])
if epoch < stands then return {'older'} end
local begins = epoch > stands
if begins then at = 0 end
if number <= at then return {'had'} end
if number > at + 1 then return {'hole', string.format('%.0f', at)} end
local now = redis.call('TIME')
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], ARGV[2] .. '-' .. ARGV[3],
    't', string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000)), 'b', ARGV[5])
if begins then redis.call('DEL', KEYS[3]) end
for start = 6, #ARGV, 4000 do redis.call('HSET', KEYS[3], unpack(ARGV, start, math.min(start + 3999, #ARGV))) end
redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'number', ARGV[3])
return {'ok'}
""",
    (STATE, BATCHES, NEWEST),
)

# ARGV: token, epoch, number, then topic and newest event by turns. What the stream has beyond that number is of nobody's use.
RESTORE = Script(
    """
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
if not redis.call('HGET', KEYS[1], 'epoch') then redis.call('DEL', KEYS[2]) end
redis.call('DEL', KEYS[3])
for start = 4, #ARGV, 4000 do redis.call('HSET', KEYS[3], unpack(ARGV, start, math.min(start + 3999, #ARGV))) end
redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'number', ARGV[3])
return 1
""",
    (STATE, BATCHES, NEWEST),
)

# ARGV: token, status, how long it is kept in ms.
TELL_STATUS = Script(
    """
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
redis.call('XADD', KEYS[2], 'MAXLEN', 1, '*', 's', ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return 1
""",
    (STATE, STATUS),
)

# Everything that reading begins with, as it stood at one moment.
LOOK = Script(
    """
local state = redis.call('HMGET', KEYS[1], 'epoch', 'number')
local status = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)
return {state[1] or '0', state[2] or '0', redis.call('HGETALL', KEYS[2]), status, redis.call('TIME')}
""",
    (STATE, NEWEST, STATUS),
)

OF_WRITER = (TAKE_LEAD, RENEW, RELEASE, WRITE, RESTORE, TELL_STATUS)
OF_READER = (LOOK,)


def newest_arguments(standing: Standing) -> list[Any]:
    """Return the events of a standing as ``RESTORE`` takes them."""
    arguments: list[Any] = []
    for topic, (seq, payload) in standing.newest.items():
        arguments += topic, b"%d %b" % (seq, payload)
    return arguments


def parse_newest(fields: list[bytes]) -> dict[str, tuple[int, bytes]]:
    """Return the events of ``NEWEST`` from Redis' list of fields and values.

    Raises:
        ValueError: a value is not what ``WRITE`` makes.
    """
    newest = {}
    for topic, value in zip(fields[::2], fields[1::2], strict=True):
        seq, _, payload = value.partition(b" ")
        newest[topic.decode()] = int(seq), payload
    return newest
