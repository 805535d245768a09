#!/usr/bin/env python3
"""Ranks that hang, and volumes that lose a rank: `lost.py TRAINING TILES MPIEXEC...`, MPIEXEC with its options but for the number of ranks.

A rank of a training is stopped, not killed: the others name it after their patience of 3 s, and the run ends. A rank of a volume's tiles is killed: the run ends and names
it, and the slabs that the sink has had are the first of those of an undisturbed run, byte for byte.
"""
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

training, tiles, mpiexec = sys.argv[1], sys.argv[2], sys.argv[3:]


def start(ranks, *command):
    return subprocess.Popen([*mpiexec, "-np", str(ranks), *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(run):
    try:
        return run.communicate(timeout=40)[0]
    except subprocess.TimeoutExpired:
        run.kill()
        sys.exit("a run went on for 40 s without one of its ranks")


def when(condition, what):
    begun = time.time()
    while not condition():
        if time.time() - begun > 40:
            sys.exit(f"no {what} in 40 s")
        time.sleep(0.005)


def signalled(run, file, victim, which, wanted):
    """Sends it to that rank; the run must fail and say what is wanted. How long that took."""
    with open(f"{file}.pid{victim}") as pid:
        os.kill(int(pid.read()), which)
    begun = time.time()
    output = finish(run)
    if run.returncode == 0 or not re.search(wanted, output):
        sys.exit(f"rank {victim} got {which.name}, status {run.returncode}; wanted {wanted}:\n{output}")
    return time.time() - begun


def begun(file, ranks):
    return all(os.path.exists(f"{file}.pid{k}") and open(f"{file}.pid{k}").read().endswith("\n") for k in range(ranks))


def size(path):
    return os.path.getsize(path) if os.path.exists(path) else 0


with tempfile.TemporaryDirectory() as folder:
    for victim in (0, 2):
        file = f"{folder}/hang{victim}"
        run = start(3, training, "until", "100000", file, "3")
        when(lambda: begun(file, 3) and os.path.exists(file), "checkpoint")
        took = signalled(run, file, victim, signal.SIGSTOP, rf"waited 3\d\d\d ms for (rank {victim}|other ranks)\b")
        print(f"rank {victim} of 3 stopped: the others ended in {took:.1f} s")

    whole = f"{folder}/whole"
    run = start(1, tiles, "slow", whole)
    output = finish(run)
    if run.returncode != 0:
        sys.exit(output)
    with open(whole + ".slabs0", "rb") as f:
        expected = f.read()
    for victim in (0, 1):
        file = f"{folder}/tiles{victim}"
        run = start(3, tiles, "slow", file)
        when(lambda: begun(file, 3) and size(file + ".slabs0") > len(expected) // 8, "slab")
        took = signalled(run, file, victim, signal.SIGKILL, rf"rank {victim}\b")
        with open(file + ".slabs0", "rb") as f:
            kept = f.read()
        if not (len(expected) // 8 < len(kept) < len(expected)) or not expected.startswith(kept):
            sys.exit(f"rank {victim} was killed; {len(kept)} of {len(expected)} bytes were kept, and they are {'' if expected.startswith(kept) else 'not '}the first")
        print(f"rank {victim} of 3 killed: ended in {took:.1f} s, {len(kept)} of {len(expected)} bytes of slabs kept")
