"""The AWS-compatible endpoint on loopback over the embedded engine."""
