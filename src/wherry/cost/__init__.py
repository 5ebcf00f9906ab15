"""What jobs cost on AWS: prices with their dates, and the sums made of them. Pure; amounts are `Decimal` US dollars.

::

    prices.toml ─ table ─> Tariff ┐
    Deployment (aws/billing.py)   ├─ bill ─> parts, each with the prices that it is made of
    durations, numbers of runs    ┘

What is not known is said, never guessed: an unknown region is refused, a missing price leaves its part without an
amount, an unverified one marks it.
"""
