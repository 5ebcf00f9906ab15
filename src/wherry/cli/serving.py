"""Builds a gateway for a workspace: the one place that brings the engine's parts and the gateway's together."""
