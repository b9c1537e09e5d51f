# SPDX-License-Identifier: Apache-2.0
"""All groups: what works, what fails, what is refused, what is forbidden."""

from . import (
    test_access,
    test_console,
    test_disk,
    test_faulty,
    test_gateway,
    test_kill,
    test_life,
    test_policy,
    test_revive,
    test_rollout,
    test_tamper,
    test_units,
    test_update,
)

_MODULES = (
    test_update,
    test_faulty,
    test_gateway,
    test_kill,
    test_life,
    test_policy,
    test_disk,
    test_revive,
    test_rollout,
    test_tamper,
    test_access,
    test_console,
    test_units,
)
GROUPS = [group for module in _MODULES for group in module.GROUPS]

assert len({group.name for group in GROUPS}) == len(GROUPS)
