"""Text and substitutions give text, and back: whole, streamed, or inside streamed JSON."""
