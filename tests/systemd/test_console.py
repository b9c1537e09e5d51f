# SPDX-License-Identifier: Apache-2.0
"""The console in Chromium, beside the gateway, with machines that really update themselves."""

from pathlib import Path

from harness.product import SOURCE, Machine
from harness.progress import progress

from .lab import Lab, Settings
from .suite import Group, case

_BROWSER = SOURCE / "ui" / "tests" / "real.mjs"


def _second_machine(lab: Lab) -> Machine:
    box = lab.run.container(f"{lab.name}other")
    machine = Machine(box, lab.gateway)
    box.boot()
    box.wait_running()
    machine.install(lab.gateway.join_token(), updater_settings=lab.settings.updater)
    machine.wait_online()
    return machine


@case(fresh=True)
def upgraded_from_the_browser(lab: Lab) -> str:
    """Somebody signs in for the first time, chooses both machines, upgrades them, and sees them come back."""
    assert lab.build.console.is_dir(), "this build has no console (-Dconsole=false)"
    other = _second_machine(lab)
    try:
        lab.release("1.1.0")
        code = lab.gateway.state / "setup-code"
        pictures = Path(lab.build.folder) / "ui" / "pictures"
        argv = ["node", str(_BROWSER), lab.gateway.url, str(code), "1.1.0", str(pictures)]
        names = [lab.machine.name, other.name]
        said = lab.gateway.inside(["env", f"HOME={lab.run.folder}", *argv, *names], timeout=180).stdout
        for line in said.splitlines():
            progress(f"  {line}")
        for machine in (lab.machine, other):
            assert machine.link("current") == machine.link("good") == "1.1.0", machine.name
            update = machine.gateway.updates(machine.agent_id)[0]
            assert update["phase"] == "succeeded" and "rollout" in update, update
    finally:
        lab.run.destroy(other.container)
    return "1.1.0"


GROUPS = [Group("console", (upgraded_from_the_browser,), Settings(), minutes=1)]
