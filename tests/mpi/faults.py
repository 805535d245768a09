#!/usr/bin/env python3
"""Ranks that end too early: `faults.py LIVES PROGRAM MPIEXEC...`, MPIEXEC with its options but for the number of ranks.

A training over 1 to 4 ranks is killed LIVES times, each time one rank at a random moment; each run must end within 30 s and name the rank.
(A rank that is killed in its first tenths of a second, while it joins MPI, can leave Open MPI 4.1's mpirun behind without ranks, in 1 of 61
runs: that is not tested here.) What comes after goes on with another number of ranks, and the end must be that of a training that nobody killed, byte for byte.
"""
import glob
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

lives, program, mpiexec = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
seed = random.randrange(1 << 30)
random.seed(seed)
print("seed", seed)
steps = 40 + 24 * lives


def start(ranks, *arguments):
    return subprocess.Popen([*mpiexec, "-np", str(ranks), program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(run):
    try:
        return run.communicate(timeout=30)[0]
    except subprocess.TimeoutExpired:
        run.kill()
        sys.exit("a run went on for 30 s without one of its ranks:\n" + run.communicate()[0])


with tempfile.TemporaryDirectory() as folder:
    whole, file = folder + "/whole", folder + "/run"
    undisturbed = start(1, "until", str(steps), whole)
    output = undisturbed.communicate(timeout=120)[0]
    if undisturbed.returncode != 0:
        sys.exit(output)
    killed, slowest = 0, 0.0
    for life in range(lives):
        ranks = random.randint(2, 4)
        for old in glob.glob(file + ".pid*"):
            os.remove(old)
        run = start(ranks, "until", str(steps), file)
        victim = random.randrange(ranks)
        path = f"{file}.pid{victim}"
        begun = time.time()
        while not (os.path.exists(path) and open(path).read().endswith("\n")):
            if time.time() - begun > 30:
                sys.exit("no rank in 30 s")
            time.sleep(0.002)
        time.sleep(random.uniform(0, 0.8))
        try:
            os.kill(int(open(path).read()), signal.SIGKILL)
        except ProcessLookupError:
            pass  # it had reached the end
        else:
            begun = time.time()
            output = finish(run)
            slowest = max(slowest, time.time() - begun)
            if "reached the end" in output:
                break
            killed += 1
            if run.returncode == 0:
                sys.exit(f"rank {victim} was killed, and the run was a success:\n{output}")
            if not re.search(rf"rank {victim}\b", output):
                sys.exit(f"rank {victim} was killed, and nobody says so:\n{output}")
            continue
        finish(run)
        break
    for ranks in (3, 1):  # the second finds nothing left to do
        run = start(ranks, "until", str(steps), file)
        output = run.communicate(timeout=120)[0]
        if run.returncode != 0:
            sys.exit(output)
    if open(whole + ".end", "rb").read() != open(file + ".end", "rb").read():
        sys.exit("the end differs from that of a training that nobody killed")
    print(f"{killed} runs with a killed rank ended within {slowest:.1f} s")
    run = start(3, "leave")
    output = finish(run)
    if run.returncode == 0 or "this rank has had enough" not in output:
        sys.exit("a rank left with an exception, and nobody says so:\n" + output)
