"""Answers: a model's bytes in, safe bytes out; whole, line by line, or event by event."""
