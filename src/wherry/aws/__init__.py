"""The distributed engine: one CloudFormation stack for each app and environment. No state is kept on this machine."""
