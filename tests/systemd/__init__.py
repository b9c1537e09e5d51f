# SPDX-License-Identifier: Apache-2.0
"""Real systemd, real gateway, real agent and updater: one machine, when all goes well or badly.

    tests/systemd/run.py --list
    tests/systemd/run.py kill power        # cases whose names contain one of the words
    tests/systemd/run.py --slow            # also what takes minutes

Environment: FLEET_TEST_BUILD names the build directory, FLEET_TEST_SLOW=1 is --slow, and
FLEET_TEST_MACHINE_ENVIRONMENT is the environment of all services on the machines. A build with
sanitizers (CC=clang FLEET_MESON_OPTIONS="-Db_sanitize=address,undefined -Db_lundef=false
-Dgrpc-static=false" tools/build build-asan) wants ASAN_OPTIONS=detect_leaks=0 there, since their
search for leaks does not go together with the sandboxes.

A case is a function that takes a Lab, plays its story, and returns the version that the machine
must be at in the end. That it is really there, and whole, is checked after every case (settled.py).
"""
