# SPDX-License-Identifier: Apache-2.0
"""Real agent and real gateway on loopback, without systemd; and a peer of our own that misbehaves."""
