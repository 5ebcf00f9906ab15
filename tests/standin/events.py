"""EventBridge and Scheduler."""


def install() -> None:
    pass


def fire(**_) -> bool:
    return False
