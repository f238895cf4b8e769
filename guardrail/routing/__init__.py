"""Which endpoint serves a request: local first, the cloud where every category may go."""
