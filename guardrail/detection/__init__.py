"""Text → findings. Nothing here changes text, and no finding holds any."""
