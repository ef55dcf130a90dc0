"""Published measurements as claims, and what the model says of each."""
