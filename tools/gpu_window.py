"""A limited time on a machine with one NVIDIA GPU and no network: check, measure, train, and keep what was reached.

python3 gpu_window.py unpack FOLDER --home HOME       each folder of gpu_pack.py, in any order
python3 gpu_window.py run --home HOME --out OUT --until SECONDS [--name NAME] [--config lol] [-- words for smnet train]

`run` prints the environment, compares the network with stored numbers of PyTorch's, measures both frameworks on the
card, finds out how many steps a second it trains, and trains as many as fit until SECONDS after its start. OUT gets, at
least each minute: log.txt, metrics.jsonl, curves.png, latest.safetensors and .json, best.safetensors and .json; at the
end autotune.txt, XLA's choice of kernels: eight files of at most 16 MiB. Killed at any moment and called again with the
time that is left, it does not repeat what is done and trains on from the last checkpoint. Needs nothing but Python and
what was packed.

Training comes before everything: no failure of a check or a measurement stops it, together they take at most a third of
the time, and where training itself fails it is tried again in plainer ways (PLAINER).
"""

import argparse
import ctypes
import hashlib
import importlib.metadata
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")
MARK = "SMNET_WINDOW"  # in the environment of every process that a window starts

FILE_LIMIT = 16 << 20
RESERVE = 45.0  # seconds for the last evaluation, for writing and for copying
PROBE_STEPS = 100
PROBE_SECONDS = 120.0  # at least, for compiling; else PROBE_SHARE of what is left
PROBE_SHARE = 0.35
CHECKS_SHARE = 1 / 3  # of the time, for comparison and measurements at most
ATTEMPTS = 5
LOG_END = 4 << 20  # bytes of the log that are copied
AUTOTUNE = "--xla_gpu_dump_autotune_results_to="

# What `run` asks of smnet. A rehearsal does the same with a network that a CPU can train.
PARITY = (["verify", "--stored", "--no-training"], ["verify", "--stored"])
# Each prints only when it is through, and what is cut off is lost: what matters most comes first, in pieces, and what
# compiles for long last.
BENCHES = tuple(
    words.split() if only is None else [*words.split(), "--only", *only]
    for words, only in (
        ("bench step --batch 16 --repeats 10", ("smnet-jax bfloat16", "PyTorch bfloat16")),
        ("bench infer --variant lol --repeats 20 --tf32 on --no-memory",
         ("smnet-jax", "PyTorch channels_last", "PyTorch bfloat16")),
        ("bench step --batch 16 --repeats 10 --tf32 on", ("smnet-jax", "PyTorch channels_last")),
        ("bench step --batch 16 --repeats 10 --tf32 off", ("smnet-jax", "PyTorch channels_last")),
        ("bench infer --variant lol --repeats 20 --tf32 off", None),
        ("bench step --batch 16 --repeats 10 --tf32 on --memory", None),
    )
)  # fmt: skip
TRAIN = ["--dtype", "bfloat16", "--batch", "16", "--data-on", "device", "--steps-per-call", "25", "--log-steps", "50",
         "--schedule", "cosine", "--warmup", "200", "--clip", "1", "--ema", "0.999", "--holdout", "0.06"]  # fmt: skip
# Tried one after the other where training fails before its first checkpoint: more words, and fewer of XLA's features.
PLAINER: tuple[tuple[list[str], dict[str, str]], ...] = (
    ([], {}),
    (["--data-on", "host", "--steps-per-call", "1"], {"XLA_FLAGS": "", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}),
    (["--data-on", "host", "--steps-per-call", "1", "--dtype", "float32", "--batch", "8"],
     {"XLA_FLAGS": "", "XLA_PYTHON_CLIENT_PREALLOCATE": "false", "JAX_ENABLE_COMPILATION_CACHE": "false"}),
)  # fmt: skip
REHEARSAL_BENCHES = (
    ["bench", "step", "--width", "4", "--crop", "12", "--batch", "2", "--loss", "l1_ssim", "--repeats", "2",
     "--only", "smnet-jax", "--memory"],
)  # fmt: skip
REHEARSAL = ["--width", "4", "--blocks", "1", "--crop", "16", "--batch", "2", "--loss", "l1_ssim", "--devices", "1",
             "--data-on", "device", "--steps-per-call", "5", "--log-steps", "10", "--schedule", "cosine",
             "--ema", "0.99", "--holdout", "0.4", "--evaluate-pairs", "1"]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    taking = commands.add_parser("unpack")
    taking.add_argument("folder", type=Path)
    taking.add_argument("--home", type=Path, required=True)
    running = commands.add_parser("run")
    running.add_argument("--home", type=Path, required=True, help="where `unpack` put everything")
    running.add_argument("--out", type=Path, required=True)
    running.add_argument("--until", type=float, required=True, metavar="SECONDS", help="after the start of this call")
    running.add_argument("--name", default="lol", help="of the run: another name is another run")
    running.add_argument("--config", default="lol", help="recipe of smnet train")
    running.add_argument("--rate", type=float, metavar="R", help="steps a second, if known: saves compiling twice")
    running.add_argument("--bench-seconds", type=float, default=90, help="for the measurements at most; 0: none")
    running.add_argument("--parity-seconds", type=float, default=30, help="for the comparison at most; 0: none")
    running.add_argument("--copy-seconds", type=float, default=45, help="between copies to --out")
    running.add_argument("--rehearse", action="store_true", help="tiny settings, for a CPU")
    arguments, words = sys.argv[1:], []
    if "--" in arguments:
        place = arguments.index("--")
        arguments, words = arguments[:place], arguments[place + 1 :]
    args = parser.parse_args(arguments)
    if args.command == "unpack":
        return unpack(args.folder, args.home)
    return Window(args, words).run()


# Unpacking


def unpack(folder: Path, home: Path) -> int:
    """Take a folder in; once all are there, put the files together, over older ones. Says what is still missing."""
    pieces = home / "pieces"
    shutil.copytree(folder, pieces, dirs_exist_ok=True)
    if not (pieces / "manifest.json").exists():
        print("folder 1 is still to come")
        return 0
    manifest = json.loads((pieces / "manifest.json").read_text())
    missing = 0
    for name, about in manifest.items():
        parts = [pieces / f"{name}.piece{number}" for number in range(about["pieces"])]
        to = home / name
        if to.exists() and hashlib.sha256(to.read_bytes()).hexdigest() == about["sha256"]:
            continue
        if not all(part.exists() for part in parts):
            missing += 1
            continue
        content = b"".join(part.read_bytes() for part in parts)
        if hashlib.sha256(content).hexdigest() != about["sha256"]:
            print(f"{name}: was damaged on the way; unpack its folders again")
            return 1
        to.parent.mkdir(parents=True, exist_ok=True)
        temporary = to.with_name(to.name + ".tmp")
        temporary.write_bytes(content)
        temporary.replace(to)
        for part in parts:
            part.unlink()
    if missing:
        print(f"{missing} of {len(manifest)} files are still to come")
        return 0
    install(home)
    print(f"all {len(manifest)} files are there")
    return 0


def install(home: Path) -> None:
    """The code into home/src, and into home/site the wheels of what this Python does not have."""
    source = home / "src"
    shutil.rmtree(source, ignore_errors=True)
    with tarfile.open(home / "code.tar") as archive:
        archive.extractall(source, filter="data")
    shutil.copytree(source / "configs", source / "smnet_jax" / "configs")
    for wheel in sorted((home / "wheels").glob("*.whl")):
        name = wheel.name.split("-")[0]
        try:
            importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            with zipfile.ZipFile(wheel) as packed:
                packed.extractall(home / "site")


# The window


class Window:
    """One call of `run`."""

    def __init__(self, args: argparse.Namespace, words: list[str]):
        self.started = time.monotonic()
        self.args, self.home, self.out = args, args.home.absolute(), args.out.absolute()
        self.workdir = self.home / "runs" / args.name
        self.words = words
        self.stopped = False
        self.cut_off = False  # whether the last command was
        self.out.mkdir(parents=True, exist_ok=True)
        self.kept = self.home / "runs" / f"{args.name}.json"  # what a call of this window has found out
        self.found = json.loads(self.kept.read_text()) if self.kept.exists() else {}
        self.log = self.home / f"{args.name}.log"

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        self.say(f"until {self.args.until:.0f} s" + (", again" if self.found else ""))
        for left in self.out.glob(".*"):  # of a copy that was cut off
            left.unlink()
        for process in end_leftovers(self.home):
            self.say(f"process {process} of an earlier call ended")
        for name, work in (("environment", self.environment), ("parity", self.parity), ("benches", self.benches)):
            if name not in self.found and not self.stopped:
                self.attempt(work)
                self.keep(name, True)
                self.attempt(self.copy_log)
        code = self.attempt(self.train) if not self.stopped else 1
        self.attempt(self.copy)
        kernels = self.home / "autotune.txt"
        if kernels.exists() and kernels.stat().st_size <= FILE_LIMIT:  # last: a ninth file may have been there
            shutil.copyfile(kernels, self.out / kernels.name)
        self.say(f"over, after {self.past():.0f} s")
        self.attempt(self.copy_log)
        return 1 if code is None else code

    def attempt(self, work: Callable[[], Result]) -> Result | None:
        """Do it; where it fails, say so and go on with the next."""
        try:
            return work()
        except Exception as error:
            self.say(f"{work.__name__} failed: {type(error).__name__}: {error}")
            return None

    # What is done

    def environment(self) -> None:
        """Who is here; and whether XLA knows the option that this program gives it, for it ends a process over one that
        it does not."""
        told = (
            "import jax, flax, optax, numpy; d = jax.devices()[0]; "
            "print(jax.devices(), d.device_kind, d.memory_stats()); "
            "print(*(f'{m.__name__} {m.__version__}' for m in (jax, flax, optax, numpy))); "
            "x, k = jax.numpy.ones((1, 4, 8, 8)), jax.numpy.ones((4, 4, 3, 3)); "
            "print('a convolution:', jax.lax.conv(x, k, (1, 1), 'SAME').sum())"
        )
        if self.smnet_python(told, 60):
            self.say("that failed: once more without this program's own option of XLA")
            self.keep("autotune", False)
            if self.smnet_python(told, 60):
                self.say("that failed too; what follows may, but is tried")
        self.smnet_python("import torch; print('torch', torch.__version__, torch.cuda.is_available())", 60)
        if shutil.which("nvidia-smi"):
            self.call(["nvidia-smi", "--query-gpu=name,memory.total,driver_version,power.limit", "--format=csv"], 20)
        else:
            self.say("nvidia-smi is not here")

    def parity(self) -> None:
        self.one_after_the_other(PARITY, self.args.parity_seconds)

    def benches(self) -> None:
        self.one_after_the_other(REHEARSAL_BENCHES if self.args.rehearse else BENCHES, self.args.bench_seconds)

    def one_after_the_other(self, commands: Sequence[list[str]], seconds: float) -> None:
        """`seconds` for all of them, at most up to a third of the window."""
        end = min(self.past() + seconds, CHECKS_SHARE * self.args.until)
        for words in commands:
            if end - self.past() > 2 and not self.stopped:
                self.smnet(words, end - self.past())

    def train(self) -> int:
        """Train until the time is over or all steps are done, in a plainer way where nothing comes of it."""
        if self.args.rate:
            self.keep("rate", self.args.rate)
        code = 1
        for _ in range(ATTEMPTS):
            if self.stopped or self.left() <= 0:
                break
            if "rate" not in self.found and not self.probe():
                # What was compiled when its time was over is kept: a second time it is quicker.
                again = self.cut_off and not self.found.get("probed again")
                if again:
                    self.keep("probed again", True)
                if self.stopped or not (again or self.plainer()):
                    break
                continue
            before = self.done()
            code = self.train_once()
            if code == 0:
                break
            if self.done() == 0:
                shutil.rmtree(self.workdir, ignore_errors=True)
                if not self.plainer():
                    break
            elif self.done() == before:
                if self.found.get("evaluations") is False:
                    break
                self.keep("evaluations", False)
                self.say("no step further than before: on without evaluations")
        if code:
            self.say("what was reached is in the last checkpoint" if self.done() else "nothing was trained")
        return code

    def plainer(self) -> bool:
        """Go on in the next of PLAINER; False after the last. A rate that was given stays."""
        level = self.found.get("level", 0) + 1
        if level == len(PLAINER):
            return False
        self.keep("level", level)
        if not self.args.rate:
            self.found.pop("rate", None)
        self.found.pop("steps", None)
        words, environment = PLAINER[level]
        self.say(f"training failed; on in a plainer way: {' '.join(words)} {environment}")
        return True

    def train_once(self) -> int:
        """Plan the steps, train them, and end it in time. 0: all done, or stopped with everything saved."""
        total = self.found.get("steps") or self.steps_in(self.left())
        done = self.done()
        extra: list[str] = []
        if done and total - done > 1.05 * self.steps_in(self.left()):
            # Less time than was planned for: the schedule ends where it must, rather than being cut.
            total, extra = done + self.steps_in(self.left()), ["--resume-with", "steps"]
        self.keep("steps", total)
        self.say(f"{total} steps at {self.found['rate']:.2f} a second, {done} done, {self.left():.0f} s left for them")
        epochs = max(0.01, self.epochs_in(50 * self.found["rate"]))  # between evaluations: 50 s
        if self.found.get("evaluations") is False:
            epochs = 1e6
        each = ["--steps", str(total), "--evaluate-epochs", f"{epochs:.4g}", "--checkpoint-minutes", "0.7"]
        words = ["train", self.args.config, *self.train_words(self.workdir), *each, *extra]
        process = self.start([sys.executable, "-P", "-m", "smnet_jax", *words], **self.plain_environ())
        copied = time.monotonic()
        while process.poll() is None:
            time.sleep(0.2)
            if self.stopped or self.past() > self.args.until - RESERVE / 2:
                self.say("time is over: saving")
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(RESERVE / 3)
                except subprocess.TimeoutExpired:
                    end_group(process)
            elif time.monotonic() - copied > self.args.copy_seconds and self.left() > 0:
                # Not longer than until the process has to be told to stop.
                self.attempt(lambda: self.copy(until=self.args.until - RESERVE / 2))
                copied = time.monotonic()
        self.say(f"training ended with code {process.returncode} at step {self.done()}")
        return 0 if process.returncode in (0, 128 + signal.SIGTERM) else 1

    def probe(self) -> bool:
        """Train a little elsewhere, for the rate. It compiles; what it compiled is kept for the run itself."""
        folder = self.home / "runs" / f"{self.args.name}-probe"
        shutil.rmtree(folder, ignore_errors=True)
        words = [*self.train_words(folder), "--steps", str(PROBE_STEPS), "--evaluate-epochs", "1e6"]
        seconds = min(self.left(), max(PROBE_SECONDS, PROBE_SHARE * self.left()))
        self.smnet(["train", self.args.config, *words], seconds, **self.plain_environ())
        records = [r for r in read_log(folder / "metrics.jsonl") if r["kind"] == "train" and r.get("step_seconds")]
        if records:
            self.keep("rate", 1 / min(r["step_seconds"] for r in records))
        return bool(records)

    def epochs_in(self, steps: float) -> float:
        """About how often that many steps go through the pairs."""
        words = self.train_words(self.workdir)
        batch = int(words[len(words) - words[::-1].index("--batch")]) if "--batch" in words else 10
        return steps * batch / max(1, len(list((self.home / "data" / "train" / "low").glob("*"))))

    def steps_in(self, seconds: float) -> int:
        """Steps that surely fit, with evaluations and checkpoints between them and compiling before."""
        return max(1, int(0.85 * self.found["rate"] * max(0.0, seconds)))

    def done(self) -> int:
        """Steps of the newest checkpoint."""
        steps = [int(p.name) for p in (self.workdir / "checkpoints").glob("*") if p.name.isdigit()]
        return max(steps, default=0)

    def train_words(self, workdir: Path) -> list[str]:
        own = REHEARSAL if self.args.rehearse else TRAIN
        plainer = PLAINER[self.found.get("level", 0)][0]
        if self.args.rehearse and "--batch" in plainer:
            plainer = plainer[: plainer.index("--batch")]
        return ["--workdir", str(workdir), "--data", str(self.home / "data"), *own, *plainer, *self.words]

    def plain_environ(self) -> dict[str, str]:
        return PLAINER[self.found.get("level", 0)][1]

    def left(self) -> float:
        """Seconds for training."""
        return self.args.until - self.past() - RESERVE

    # What is kept

    def copy_log(self) -> None:
        """The end of the log, and the metrics."""
        log = self.log.read_bytes()
        (self.out / "log.txt").write_bytes(log[-LOG_END:])
        metrics = self.workdir / "metrics.jsonl"
        if metrics.exists() and metrics.stat().st_size <= FILE_LIMIT:
            replace(metrics, self.out / metrics.name)

    def copy(self, until: float | None = None) -> None:
        """Bring --out up to date, until the second `until` at most."""
        self.copy_log()
        until = self.args.until if until is None else until
        if self.done():
            self.copy_weights(self.workdir / "best", "best")
            latest = self.home / "latest"
            shutil.rmtree(latest, ignore_errors=True)
            # On the CPU: the card is busy.
            self.smnet(["convert", str(self.workdir), str(latest)], min(40, until - self.past()), JAX_PLATFORMS="cpu")
            self.copy_weights(latest, "latest")
            self.smnet_python(
                "import sys; from pathlib import Path; from smnet_jax.training import log, pictures; "
                f"pictures.curves(Path({str(self.out / 'curves.png')!r}), log.read(Path({str(self.workdir)!r}) / "
                "'metrics.jsonl'))", min(40, until - self.past()), JAX_PLATFORMS="cpu",
            )  # fmt: skip

    def copy_weights(self, folder: Path, name: str) -> None:
        arrays = next(iter(folder.glob("*.safetensors")), None)
        about = next(iter(folder.glob("*.json")), None)
        if arrays is None or about is None:
            return
        if arrays.stat().st_size > FILE_LIMIT:
            self.say(f"{arrays}: larger than {FILE_LIMIT >> 20} MiB, not copied")
            return
        replace(arrays, self.out / f"{name}.safetensors")
        replace(about, self.out / f"{name}.json")

    def keep(self, name: str, value: object) -> None:
        self.found[name] = value
        self.kept.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.kept.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.found))
        temporary.replace(self.kept)

    # Processes

    def smnet(self, words: list[str], seconds: float, **environment: str) -> int:
        return self.call([sys.executable, "-P", "-m", "smnet_jax", *words], seconds, **environment)

    def smnet_python(self, program: str, seconds: float, **environment: str) -> int:
        return self.call([sys.executable, "-P", "-c", program], seconds, **environment)

    def call(self, command: list[str], seconds: float, **environment: str) -> int:
        """Run to the end, or for `seconds` or the rest of the window; everything it says is in the log."""
        process = self.start(command, **environment)
        self.cut_off = False
        end = min(self.past() + seconds, self.args.until)
        while process.poll() is None and self.past() < end and not self.stopped:
            time.sleep(0.1)
        if process.poll() is None:
            self.cut_off = True
            end_group(process)
            self.say("... cut off: its time is over")
        elif process.returncode:
            self.say(f"... ended with code {process.returncode}")
        return process.returncode

    def start(self, command: list[str], **environment: str) -> subprocess.Popen:
        self.say("$ " + " ".join(word if len(word) < 200 else word[:80] + "..." for word in command[1:]))
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env=self.environ(environment),
                start_new_session=True, preexec_fn=die_with_parent,
            )  # fmt: skip

    def environ(self, more: dict[str, str]) -> dict[str, str]:
        # What was packed, wherever this is called: -P keeps Python from looking into the current folder first.
        paths = [str(self.home / "src"), str(self.home / "site")]
        flags = os.environ.get("XLA_FLAGS", "")
        if self.found.get("autotune", True) and more.get("JAX_PLATFORMS") != "cpu":
            flags += f" {AUTOTUNE}{self.home / 'autotune.txt'}"
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONUNBUFFERED": "1",
            "XLA_FLAGS": flags.strip(),
            "JAX_COMPILATION_CACHE_DIR": str(self.home / "cache"),
            MARK: str(self.home),
            **({"JAX_PLATFORMS": "cpu"} if self.args.rehearse else {}),
            **more,
        }

    # Time and words

    def past(self) -> float:
        return time.monotonic() - self.started

    def say(self, text: str) -> None:
        line = f"[{self.past():.0f} s] {text}"
        print(line, flush=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a") as log:
            log.write(line + "\n")

    def _stop(self, *_: object) -> None:
        self.stopped = True


def die_with_parent() -> None:
    """Have Linux kill this process when the window is: it would hold the card and the run's folder."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def end_group(process: subprocess.Popen) -> None:
    """Kill a process and what it has started: a bench measures memory in processes of its own, which hold the card."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def end_leftovers(home: Path) -> list[int]:
    """Kill what the processes of an earlier call have started and left behind, where this call was killed."""
    ended = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={home}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                os.kill(int(folder.name), signal.SIGKILL)
                ended.append(int(folder.name))
        except OSError:  # gone, or another user's
            continue
    return ended


def read_log(path: Path) -> list[dict]:
    """The whole lines of a metrics.jsonl."""
    records = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records


def replace(path: Path, to: Path) -> None:
    """Copy so that what is at `to` is whole at any moment."""
    temporary = to.with_name(f".{to.name}")
    shutil.copyfile(path, temporary)
    temporary.replace(to)


if __name__ == "__main__":
    sys.exit(main())
