"""Peers: the Pareto mathematics of moocore and pymoo, on the points that tests/bench/pareto.ts wrote.

Takes the plan (JSON: kind, m, n, file of float64 rows; all objectives maximised) and prints one JSON line: for each work a list
of {peer, seconds, value}. A work is repeated until a batch takes 50 ms; seconds is the median of three more batches, a run each, of
this thread's CPU time. pymoo's own hypervolume is moocore's; its archive takes one point after the other, as ours does.
"""

import json
import sys
import time
from statistics import median

import moocore
import numpy as np
import pymoo
from pymoo.core.individual import Individual
from pymoo.core.population import Population
from pymoo.util.archive import MultiObjectiveArchive
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

MOOCORE = f"moocore {moocore.__version__}"
PYMOO = f"pymoo {pymoo.__version__}"


def timed(peer, work):
    value = work()
    runs = 1

    def batch():
        start = time.thread_time()
        for _ in range(runs):
            work()
        return time.thread_time() - start

    while batch() < 0.05:
        runs *= 2
    return {"peer": peer, "seconds": median([batch(), batch(), batch()]) / runs, "value": value}


def archive(points):
    """Indices that are left after all points were added one by one."""
    individuals = [Individual(F=-point, X=np.array([i])) for i, point in enumerate(points)]

    def work():
        members = MultiObjectiveArchive()
        for individual in individuals:
            members = members.add(Population.create(individual))
        return sorted(int(i) for i in members.get("X")[:, 0])

    return work


def measure(kind, m, n, file, **_):
    points = np.fromfile(file, dtype="<f8").reshape(n, m)
    if kind == "hypervolume":
        origin = np.zeros(m)
        return [timed(MOOCORE, lambda: moocore.hypervolume(points, ref=origin, maximise=True))]
    if kind == "sort":
        return [
            timed(MOOCORE, lambda: (moocore.pareto_rank(points, maximise=True) + 1).tolist()),
            timed(PYMOO, lambda: (NonDominatedSorting().do(-points, return_rank=True)[1] + 1).tolist()),
        ]
    return [timed(PYMOO, archive(points))]


def main():
    with open(sys.argv[1]) as file:
        works = json.load(file)
    print(json.dumps([measure(**work) for work in works]))


if __name__ == "__main__":
    main()
