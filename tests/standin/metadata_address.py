"""Where an ECS task finds its credentials and metadata."""

ADDRESS = "169.254.170.2"
