"""Every write a person can make to what belongs to no cluster."""
