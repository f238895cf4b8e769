"""Where audit events are kept: one module per database."""
