"""Policy: what may happen to each category of data, as Cedar policies decide it."""
