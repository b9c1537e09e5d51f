# SPDX-License-Identifier: Apache-2.0
"""Real systemd, real gateway, real agent and updater: one machine, when all goes well or badly.

    tests/systemd/run.py --list
    tests/systemd/run.py kill power        # cases whose names contain one of the words
    tests/systemd/run.py --slow            # also what takes minutes

A case is a function that takes a Lab, plays its story, and returns the version that the machine
must be at in the end. That it is really there, and whole, is checked after every case (settled.py).
"""
