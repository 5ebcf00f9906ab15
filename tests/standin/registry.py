"""ECR with a real registry behind it."""


def install() -> None:
    pass
