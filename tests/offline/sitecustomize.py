"""Guards every Python child of the tests: Python imports this as it starts, from `PYTHONPATH`."""

import loopback_only

loopback_only.install()
