"""The worker of `mode: managed` on ECS: it receives, runs the job's command, and deletes what succeeded.

It runs inside the job's own image, as one file (`executors/agent.py` packs it): standard library alone, Python 3.10
or later, and of wherry only `messages`, `mapping` and `errors`.
"""
