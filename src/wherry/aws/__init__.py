"""The distributed engine: one CloudFormation stack for each app and environment. Nothing here is kept on this machine."""
