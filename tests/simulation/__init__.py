"""Deterministic simulation: the real consumer, publisher, relay, sweeper and redrive, several of each, on one virtual clock.

    outcome = simulate(Settings(seed=7))

Tables and broker are in memory (`tables.py`, `broker.py`). Whatever crosses to them passes a point where the scheduler may let anybody
else go on, or kill the process that is there. All chance comes from the seed, so a seed is a run, to the byte of its trace.

What it can't reach: a switch within a statement (each is atomic here, as are the several rows that one locks), two statements that
PostgreSQL would run on one snapshot taken before a wait, errors that only the real driver or client can make, threads within one process.
"""
