"""All checks, in the order in which they are shown. A check's name is stable: scripts may look for it."""

from __future__ import annotations

from components.doctor import certificates, configuration, exchange, kafka, machine, ports, redis, secrets, software
from components.doctor.run import Check

CHECKS = (
    Check("software", "Software", software.look),
    Check("environment", "Set-up", configuration.look_at_environment),
    Check("configuration", "Set-up", configuration.look_at_crossbars_view, configuration.CROSSBAR_CHECK_S),
    Check("components", "Set-up", configuration.look_at_components),
    Check("realms", "Set-up", configuration.look_at_realms),
    Check("transports", "Set-up", configuration.look_at_transports),
    Check("directory", "Set-up", configuration.look_at_directory),
    Check("pages", "Set-up", configuration.look_at_folders),
    Check("revocations", "Set-up", configuration.look_at_revocations),
    Check("symbols", "Set-up", configuration.look_at_symbols),
    Check("token-keys", "Secrets", secrets.look_at_token_keys),
    Check("link-key", "Secrets", secrets.look_at_link_key),
    Check("bridge-secret", "Secrets", secrets.look_at_bridge_secret),
    Check("certificates", "Secrets", certificates.look),
    Check("ports", "Network", ports.look, 15.0),
    Check("redis", "Network", redis.look, 15.0),
    Check("kafka", "Network", kafka.look, 10.0),
    Check("exchange", "Network", exchange.look, 12.0),
    Check("clock", "Network", exchange.look_at_clock, 10.0),
    Check("open-files", "Machine", machine.look_at_open_files),
    Check("accept-queue", "Machine", machine.look_at_backlog),
    Check("outgoing-ports", "Machine", machine.look_at_ephemeral),
    Check("memory", "Machine", machine.look_at_memory),
    Check("cores", "Machine", machine.look_at_cores),
    Check("disk", "Machine", machine.look_at_disk),
)
"""The longer bounds are for what asks others, one after the other."""
