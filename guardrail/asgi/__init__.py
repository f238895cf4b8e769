"""Pure-ASGI shells: they read, send and record what an exchange commands, and decide nothing."""
