"""Processes with several devices, which a CPU simulates."""

import os


def with_devices(count: int) -> dict[str, str]:
    """The environment of a process that sees `count` CPU devices."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={count}"
    return os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
