# SPDX-License-Identifier: Apache-2.0
"""Removes all traces of a run, by its id: of one that ends, and of one that was killed.

Each trace can be told from its name alone, so nothing needs to have been written down by the run
before it died: the control group, the mounts and files below the run's folder, the network
namespaces, and what systemd-nspawn keeps in /run.
"""

import shutil
from contextlib import AbstractContextManager
from pathlib import Path

from .cgroup import run_group
from .mounts import mounts_below, unmount_below
from .netns import Network
from .progress import progress
from .state import FileLock, locked, state_folder

_NSPAWN_STATE = Path("/run/systemd/nspawn")
_LOCK_NAME = "lock"


def new_run_folder(run_id: str) -> tuple[Path, FileLock]:
    """Makes a run's folder, and locks it for as long as this process lives."""
    with _runs_locked():
        folder = _run_folder(run_id)
        folder.mkdir(parents=True)
        lock = FileLock(folder / _LOCK_NAME)
        assert lock.try_acquire()
        return folder, lock


def remove_run(run_id: str) -> None:
    """Ends and removes whatever there is of a run. Finds nothing to do the second time."""
    group = run_group(run_id)
    if group.path.exists():
        group.kill()
        group.remove()
    folder = _run_folder(run_id)
    unmount_below(folder)
    Network(run_id).destroy()
    for path in _nspawn_traces(run_id):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    # The lock goes last, and with the folder: until then the run counts as there. Another run may be cleaning
    # up the same one at this moment; what is left over in the end, traces() tells.
    shutil.rmtree(folder, ignore_errors=True)


def clean_stale_runs() -> list[str]:
    """Removes the runs whose process is gone, and returns their ids."""
    cleaned = []
    runs = state_folder() / "runs"
    with _runs_locked():
        for folder in sorted(runs.iterdir()):
            if not folder.is_dir():
                continue
            lock = FileLock(folder / _LOCK_NAME)
            try:
                if not lock.try_acquire():
                    continue
            except FileNotFoundError:
                continue  # gone by itself in the meantime
            try:
                progress(f"removing what a killed run has left: {folder.name}")
                remove_run(folder.name)
                cleaned.append(folder.name)
            finally:
                lock.release()
    return cleaned


def remove_idle_roots() -> int:
    """Removes the cached base roots, unless a run is there that may stand on one of them."""
    roots = state_folder() / "roots"
    with _runs_locked(), locked(roots / "build.lock", 60, "the base roots"):
        if any(path.is_dir() for path in (state_folder() / "runs").iterdir()):
            return 0
        found = [path for path in roots.iterdir() if path.is_dir()]
        for path in found:
            # The marker first: a root half removed must not count as there.
            path.with_name(f"{path.name}.ok").unlink(missing_ok=True)
            shutil.rmtree(path)
        return len(found)


def traces(run_id: str) -> list[str]:
    """Everything that still bears the id of a run, in words."""
    found = []
    if run_group(run_id).path.exists():
        found.append(f"control group {run_group(run_id).path}")
    found += [f"mount {point}" for point in mounts_below(_run_folder(run_id))]
    netns = Path("/run/netns")
    if netns.is_dir():
        found += [f"network namespace {p.name}" for p in netns.iterdir() if run_id in p.name]
    found += [f"file {path}" for path in _nspawn_traces(run_id)]
    if _run_folder(run_id).exists():
        found.append(f"folder {_run_folder(run_id)}")
    found += [f"process {line}" for line in _processes_naming(run_id)]
    return found


def _runs_locked() -> AbstractContextManager[int]:
    return locked(state_folder() / "runs" / "lock", 120, "the list of runs")


def _run_folder(run_id: str) -> Path:
    return state_folder() / "runs" / run_id


def _nspawn_traces(run_id: str) -> list[Path]:
    return sorted(_NSPAWN_STATE.glob(f"*/{run_id}-*"))


def _processes_naming(run_id: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if run_id in words:
            found.append(f"{path.parent.name}: {words}")
    return found
