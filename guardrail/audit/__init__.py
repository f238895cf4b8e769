"""The durable record of what was decided and what left: no text, no name, nothing dropped."""
