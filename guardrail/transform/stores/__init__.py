"""Where vaults are kept."""
