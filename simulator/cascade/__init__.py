"""Several models in one system: requests are planned calls to pools that share one clock."""
