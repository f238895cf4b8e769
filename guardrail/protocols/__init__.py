"""JSON, SSE and NDJSON payloads give text units, and take the rewritten text back."""
