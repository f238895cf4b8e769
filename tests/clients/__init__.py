"""Real clients, through the middleware and through the transport."""
