"""AWS for our end-to-end tests: MiniStack and a Docker engine, corrected to what AWS really does (README.md)."""
