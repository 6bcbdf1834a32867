"""Times every engine on the accelerator of this machine, in less than ten minutes, unattended.

python -m benchmarks.accelerator              writes benchmarks/results/<device>-accelerator.jsonl
python -m benchmarks.accelerator --tiny       the same at tiny sizes, to try it, on a CPU too
python -m benchmarks.accelerator --cases lstm_16 linear_scan --budget 120
python -m benchmarks.compare a.jsonl b.jsonl  compares two of its records

It needs JAX for the device, `pip install 'jax[cuda13]'` or `'jax[tpu]'`, and nothing else. Flax and
torch are timed too where they are installed. Send the file that it writes.
"""

import argparse
import contextlib
import dataclasses
import datetime
import os
import pathlib
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import jax

from benchmarks import contestants, energy, machine
from benchmarks.accelerator_cases import FULL, PEERS, TINY, Case, Maker, cases
from benchmarks.device_time import SECONDS, Repeated, measure
from benchmarks.record_file import FORMAT, REFERENCES, Writer
from benchmarks.workloads import DTYPES

ROOT = pathlib.Path(__file__).parent.parent
RESULTS, PART = ROOT / "benchmarks" / "results", pathlib.Path("runs/benchmarks")
BUDGET, GRACE = 540, 40  # seconds, and how many more what is running may take
TINY_SECONDS = 0.01
PARTIAL = "tiny", "cases", "peers", "dtypes", "leave_out"  # options that make a part of a record
OUT_OF_TIME = "out of time"


@dataclasses.dataclass
class Session:
    """One run of the command."""

    record: Writer
    stop: float  # on the monotonic clock
    is_tiny: bool = False
    leave_out: Sequence[str] = ()
    current: str = "the first case"
    longest: float = 0.0  # seconds that a case took
    peak: dict[str, float] = dataclasses.field(default_factory=dict)  # by dtype, flops a second
    copied: float | None = None  # bytes a second, read and written
    told: set[tuple[str, str]] = dataclasses.field(default_factory=set)  # who is left out, and why


def main(arguments: Sequence[str] | None = None) -> None:
    started = time.monotonic()
    # Or JAX would take most of the memory of a GPU at once, and leave torch none.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    options = parse(arguments)
    if jax.default_backend() == "cpu" and not options.tiny:
        sys.exit(f"JAX {jax.__version__} finds only a CPU here. {advice()}")
    missing = contestants.missing(options.peers)
    for peer, package in missing.items():
        print(f"{peer} is not timed: {package} is not installed. pip install {package}")
    peers = [peer for peer in options.peers if peer not in missing]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with Writer(options.out) as record:
        record.write("machine", **about(options))
        session = Session(record, started + options.budget, options.tiny, options.leave_out)
        with watch(session, options.budget + GRACE):
            for case in cases(TINY if options.tiny else FULL, options.dtypes, peers):
                if case.workload.startswith((*REFERENCES, *options.cases)):
                    run(case, session)
            record.write("end", seconds=round(time.monotonic() - started, 1), reason="done")
    print(f"{time.monotonic() - started:.0f} s. The record to send: {options.out}")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options, with defaults filled in."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.accelerator",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--tiny", action="store_true", help="tiny sizes, which say nothing of speed")
    add("--cases", nargs="+", metavar="NAME", default=[""], help="beginnings of names of workloads")
    add("--peers", nargs="*", choices=PEERS, default=list(PEERS), help="all by default")
    add("--dtypes", nargs="+", choices=DTYPES, default=list(DTYPES), help="all by default")
    add("--leave-out", nargs="+", metavar="NAME", default=[], help="such as 'jaxrnn cudnn'")
    add("--budget", type=_seconds, default=BUDGET, help=f"seconds; {BUDGET} by default")
    add("--out", type=pathlib.Path, help="the file to write")
    options = parser.parse_args(arguments)
    if options.out is None:
        is_part = any(vars(options)[name] != parser.get_default(name) for name in PARTIAL)
        options.out = (PART if is_part else RESULTS) / f"{machine.slug()}-accelerator.jsonl"
    return options


def _seconds(text):
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 up, got {text!r}")
    return int(text)


def advice() -> str:
    """What to install, by what the machine seems to have."""
    tiny = "To try the command here: --tiny."
    if shutil.which("nvidia-smi"):
        return f"It has an NVIDIA driver: pip install 'jax[cuda13]' (or cuda12). {tiny}"
    if any(pathlib.Path("/dev").glob("accel*")):
        return f"It seems to have a TPU: pip install 'jax[tpu]'. {tiny}"
    return f"For a GPU, pip install 'jax[cuda13]'; for a TPU, pip install 'jax[tpu]'. {tiny}"


def about(options: argparse.Namespace) -> dict[str, object]:
    """The first line of the record: the machine, the versions and the options."""
    device = jax.devices()[0]
    return machine.describe() | {
        "format": FORMAT,
        "date": datetime.date.today().isoformat(),
        "platform": device.platform,
        "platform_version": device.client.platform_version,
        "num_devices": jax.device_count(),
        "memory_bytes": memory("bytes_limit"),
        "driver": energy.driver(),
        "matmul_precision": jax.config.jax_default_matmul_precision,
        "xla_flags": os.environ.get("XLA_FLAGS"),
        "is_tiny": options.tiny,
        "budget_seconds": options.budget,
    }


def memory(key: str) -> int | None:
    """A figure of the memory of the device; None where it does not tell."""
    return (jax.devices()[0].memory_stats() or {}).get(key)


@contextlib.contextmanager
def watch(session: Session, seconds: float) -> Iterator[None]:
    """Ends the process where something takes far too long, such as a program that never compiles.

    Python cannot interrupt what XLA does; what has been measured is in the file.
    """

    def give_up():
        session.record.write("end", seconds=seconds, reason=f"stopped in {session.current}")
        print(f"Stopped after {seconds} s in {session.current}. What was timed is in the record.")
        sys.stdout.flush()
        os._exit(0)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


# --- One case ---


def run(case: Case, session: Session) -> None:
    """Compiles all contestants side by side, and times them one after the other."""
    started = time.monotonic()
    session.current = f"{case.workload} {case.kind}"
    is_late = session.stop - started < session.longest
    makers = {}
    for name, maker in case.contestants.items():
        if is_late or name in session.leave_out:
            leave_out(case, name, OUT_OF_TIME if is_late else "by --leave-out", session)
        else:
            makers[name] = maker
    for name, program in compiled(case, makers, session).items():
        if time.monotonic() > session.stop:
            leave_out(case, name, OUT_OF_TIME, session)
            continue
        with leaving_out(case, name, session):
            fields = figures(case, program, session)
            session.record.write("time", **key(case, name), **fields)
            print(f"{session.current:40} {name:22} {fields['milliseconds']:10.4f} ms", flush=True)
    session.longest = max(session.longest, time.monotonic() - started)


def key(case: Case, name: str) -> dict[str, str]:
    """The fields that tell a line from others."""
    return {"workload": case.workload, "pass": case.kind, "contestant": name}


def leave_out(case: Case, name: str, reason: str, session: Session) -> None:
    session.record.write("left out", **key(case, name), reason=reason)
    if (name, reason) not in session.told:
        print(f"{session.current:40} {name:22} left out: {reason}", flush=True)
    session.told.add((name, reason))


@contextlib.contextmanager
def leaving_out(case: Case, name: str, session: Session) -> Iterator[None]:
    """Within this block, an error of any kind is written down: the others can still be timed."""
    try:
        yield
    except Exception as error:
        leave_out(case, name, str(error).split("\n")[0] or repr(error), session)


def compiled(case: Case, makers: dict[str, Maker], session: Session) -> dict[str, Repeated]:
    """The programs of all who can run the case."""
    traced, programs = {}, {}
    for name, maker in makers.items():
        with leaving_out(case, name, session):
            traced[name] = maker()
    with ThreadPoolExecutor(machine.cores()) as pool:
        pending = {name: pool.submit(compile_it) for name, compile_it in traced.items()}
    for name, program in pending.items():
        with leaving_out(case, name, session):
            programs[name] = program.result()
    return programs


def figures(case: Case, program: Repeated, session: Session) -> dict[str, object]:
    """What is measured of one contestant."""
    seconds = TINY_SECONDS if session.is_tiny else SECONDS
    times = measure(program, seconds, energy.joules)
    low, median, high = times.seconds
    found = {
        "milliseconds": 1e3 * median,
        "milliseconds_quartiles": [1e3 * low, 1e3 * high],
        "microseconds_per_step": 1e6 * median / case.steps,
        "runs": times.runs,
        "calls": times.calls,
        "joules": times.joules,
        "planned_bytes": program.planned_bytes,
        "peak_bytes_so_far": memory("peak_bytes_in_use"),
        "compile_seconds": program.compile_seconds,
    }
    return found | speed(case, median, session) | case.sizes


def speed(case: Case, seconds: float, session: Session) -> dict[str, object]:
    """Flops and bytes a second, relative to the large product and the copy that ran first."""
    found = {}
    if case.flops:
        rate, dtype = case.flops / seconds, case.sizes["dtype"]
        if case.workload.startswith("product"):
            session.peak[dtype] = rate
        found |= {"flops": case.flops, "part_of_peak": part(rate, session.peak.get(dtype))}
    if case.moved_bytes:
        rate = case.moved_bytes / seconds
        if case.workload.startswith("copy"):
            session.copied = rate
        found |= {"moved_bytes": case.moved_bytes, "part_of_copy": part(rate, session.copied)}
    return found


def part(rate: float, of: float | None) -> float | None:
    return rate / of if of else None


if __name__ == "__main__":
    main()
