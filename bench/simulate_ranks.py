#!/usr/bin/env python3
"""How long a training step takes on more ranks than there are here: the measured time of each launch, the real schedule of buckets, and a network.

    bench.ranks schedule > schedule.txt
    bench/simulate_ranks.py schedule.txt [--latency US] [--gigabits G] [--message US] [--shared] [--ranks N...]

Each rank makes one run. A bucket waits for the launch that writes it last and for the buckets before it. `same_bits`: partial sums to all
other ranks and their results back, a message for each; `fast`: a ring within which no message is smaller than a bucket's part, or a tree, whichever is faster.
--message is what a message costs its sender beside its bytes; with --shared all ranks share one link (namespaces of one machine).
What it leaves out: ranks that are late, and links that others use.
"""
import argparse
import math

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("schedule")
parser.add_argument("--latency", type=float, default=20)
parser.add_argument("--gigabits", type=float, default=10)
parser.add_argument("--message", type=float, default=2)
parser.add_argument("--shared", action="store_true")
parser.add_argument("--ranks", type=int, nargs="+", default=[1 << k for k in range(14)])
a = parser.parse_args()

launches, buckets, update = [], [], 0.0
with open(a.schedule) as file:
    for line in file:
        kind, *numbers = line.split()
        if kind == "launch":
            launches.append(float(numbers[1]) * 1e-9)
        elif kind == "bucket":
            buckets.append((int(numbers[0]), int(numbers[1])))
        elif kind == "update":
            update = float(numbers[0]) * 1e-9
done = [0.0]
for seconds in launches:
    done.append(done[-1] + seconds)
compute = done[-1]
latency, message, bandwidth = a.latency * 1e-6, a.message * 1e-6, a.gigabits * 1e9 / 8


def exchange(size, n, how):
    """Seconds of the link for one bucket."""
    bytes_each_way = size * (n - 1) / n / bandwidth * (n if a.shared else 1)
    if how == "same_bits":
        return 2 * (latency + (n - 1) * message + bytes_each_way)
    tree = 2 * math.ceil(math.log2(n)) * (latency + message + size / bandwidth * (n if a.shared else 1))
    return min(tree, 2 * ((n - 1) * (latency + message) + bytes_each_way))


def step(n, how, overlap=True):
    """Seconds of a step, and of communication."""
    free = total = 0.0
    for launch, size in buckets if n > 1 else []:
        seconds = exchange(size, n, how)
        total += seconds
        free = max(free, done[launch + 1] if overlap else compute) + seconds
    return max(compute, free) + update, total


print(f"compute {1e3 * compute:.1f} ms, update {1e3 * update:.1f} ms, {sum(b[1] for b in buckets) / 1e6:.1f} MB in {len(buckets)} buckets; "
      f"latency {a.latency} us, {a.message} us a message, {a.gigabits} Gbit/s{' shared by all ranks' if a.shared else ''}")
head = "ms | efficiency | communication ms | left ms | hidden |"
print(f"| ranks | same_bits {head} fast {head}\n|" + "---|" * 11)
alone = compute + update
for n in a.ranks:
    row = [str(n)]
    for how in ("same_bits", "fast"):
        seconds, total = step(n, how)
        exposed = seconds - alone
        row += [f"{1e3 * seconds:.1f}", f"{100 * alone / seconds:.0f} %", f"{1e3 * total:.1f}", f"{1e3 * exposed:.1f}"]
        row += [f"{100 * (1 - exposed / total):.0f} %" if total else ""]
    print("| " + " | ".join(row) + " |")
