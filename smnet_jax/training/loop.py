"""A training run from start to end, and from wherever it was killed to the end."""

import contextlib
import dataclasses
import errno
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np

from smnet_jax.checkpoints import partial, weights
from smnet_jax.data.sources import fingerprint
from smnet_jax.errors import InputError
from smnet_jax.hardware import model_flops, specs, trace
from smnet_jax.host import allocator, places, root_logger
from smnet_jax.host.atomic_files import replacing
from smnet_jax.network.initialisation import add_colour_path, initialise
from smnet_jax.training import config as configs
from smnet_jax.training import feed as feeds
from smnet_jax.training import hosts, inputs, lock, log, parallel, pictures, resident, schedule, timing
from smnet_jax.training.checkpoint import SCORE, Checkpoints
from smnet_jax.training.config import Config
from smnet_jax.training.optimizer import averaged
from smnet_jax.training.profile import Profile
from smnet_jax.training.profile import parse as steps_in_profile
from smnet_jax.training.schedule import Span
from smnet_jax.training.step import (
    TrainState,
    init_state,
    make_model,
    make_step,
)
from smnet_jax.training.validation import Validation


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended: steps done, whether that was all of them, the last evaluation's scores, and which signal (0:
    none here) stopped it."""

    step: int
    finished: bool
    scores: dict[str, float]
    signal: int


def train(config: Config, workdir: str | os.PathLike[str], resume_with: Collection[str] = ()) -> Outcome:
    """Train as `config` says, in `workdir`; the same call continues a run that was stopped or killed.

    A run continues with its own settings only, but for those that `resume_with` names (more epochs, another rate).

    `workdir`, a folder or gs://BUCKET/FOLDER, gets config.json, checkpoints/, metrics.jsonl, tensorboard/,
    pictures/STEP.png at each evaluation, best/ (weights with the highest PSNR) and at the end weights/ and curves.png.
    SIGTERM and SIGINT save a checkpoint and return. One run at a time works in it.
    Raises InputError for what the user can mend.
    """
    configs.check(config)
    workdir = places.place(workdir)
    if config.profile and places.is_remote(workdir):
        raise InputError(f"{workdir}: a profile is written to a folder of this machine; leave out --profile")
    log.make_workdir(workdir)
    parallel.prepare_cpu_devices(-(-config.devices // config.processes))
    hosts.join(config)
    with contextlib.ExitStack() as stack:
        stack.enter_context(root_logger.untouched())
        if hosts.is_writer():
            stack.enter_context(lock.held(workdir))
        stack.enter_context(_waited_for())
        run = Run(config, workdir, resume_with)
        stopped = stack.enter_context(_stop_signals())
        try:
            outcome = run.to_the_end(stopped)
        except BaseException as error:
            told = _unwritable(error, workdir)
            if jax.process_count() > 1 and isinstance(error, Exception):
                hosts.end_alone(told or error)
            with contextlib.suppress(Exception):  # what went wrong first is what is told
                run.close()
            if told is not None:
                raise told from error
            raise
        run.close()
        return outcome


def _unwritable(error: BaseException, workdir: Path) -> InputError | None:
    """What to tell of a disk that is full, or that no longer takes files."""
    if not isinstance(error, OSError) or error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
        return None
    return InputError(
        f"{error.filename or workdir}: cannot be written ({error.strerror}); make room or make it writable and give "
        "the same command again: it continues from the last finished checkpoint"
    )


@contextmanager
def _waited_for() -> Iterator[None]:
    """Python ends its pools when the main thread has ended, whichever other thread still trains: say what to do."""
    try:
        yield
    except RuntimeError as error:
        if "after interpreter shutdown" not in str(error):
            raise
        raise InputError("train: the program ended while its thread trained; wait for it with join()") from error


class Run:
    """The parts of a run. `step`, `state`, `history` (of evaluations) and `clock` change, the rest stays."""

    def __init__(self, config: Config, workdir: Path, resume_with: Collection[str] = ()):
        self.config, self.workdir = config, workdir
        self.step: int
        self.state: TrainState
        self.history: list[dict[str, Any]] = []
        self.clock = timing.Clock()
        self.profile = Profile(config.profile, workdir / "profile")
        self.mesh = parallel.make_mesh(config)
        data = inputs.open_data(config, progress=hosts.is_writer())
        self.pairs, evaluation = data.training, data.evaluation
        self.spans = schedule.plan(config, len(self.pairs))
        for span in self.spans:
            parallel.check_batch(span.stage.batch, span.stage.crop, self.mesh.shape, config.accumulate)
        self.total = self.spans[-1].stop
        self.model = make_model(config, self.mesh.devices.flat[0].platform)
        self.validation: Validation | None = None
        if evaluation is not None:
            self.validation = Validation(self.model.clone(implementation="auto"), evaluation, config.evaluate_pairs)
        wandb = configs.to_json(config) if config.log == "wandb" else None
        self.log = log.Log(workdir, self.total, write=hosts.is_writer(), wandb=wandb)
        self._trained = fingerprint(self.pairs)
        self._evaluated = "" if evaluation is None else f"{fingerprint(evaluation)} {config.evaluate_pairs}"
        self.checkpoints = Checkpoints(workdir, config.keep, self._evaluated)
        with contextlib.ExitStack() as failed:
            if jax.process_count() == 1:  # one of several could wait for ever
                failed.callback(self.checkpoints.close)  # a start that is refused leaves nothing of Orbax behind
            self.data_on = self._restore_or_start(resume_with)
            if config.steps_per_call > 1 and self.data_on == "host":
                raise InputError(
                    f"steps_per_call {config.steps_per_call}: the pairs are on the host, which sends them step by "
                    "step; leave it out, or start a run with --data-on device"
                )
            self.log.start(self.step)
            if hosts.is_writer():
                with replacing(workdir / "config.json") as temporary:
                    temporary.write_text(json.dumps(configs.to_json(config), indent=1) + "\n", encoding="utf-8")
            for note in [*data.notes, *(f"resumed with {told}" for told in self.checkpoints.changed)]:
                self.log.say(note)
            self.vgg = self._vgg()
            failed.pop_all()
        self._skipped_running = 0
        self._saved_at = time.monotonic()
        # Calls not told of yet: their first step, the pairs of each step (steps, N), and the scalars.
        self._pending: list[tuple[int, np.ndarray, dict[str, jax.Array]]] = []
        self._resident: tuple[int, resident.Pairs] | None = None

    def to_the_end(self, stopped: list[int]) -> Outcome:
        """Do the remaining steps; `stopped` becomes non-empty when a signal asks to stop."""
        for failure in self.checkpoints.unreadable:
            self.log.say(f"checkpoint passed over, it cannot be read: {failure}")
        self.log.say(self._headline())
        while self.step < self.total:
            if not self._do_span(schedule.span_at(self.spans, self.step), stopped):
                self.log.say(f"stopped at step {self.step}, all saved; the same command continues")
                return self._outcome(stopped)
        self._evaluate_and_save()
        with self.clock.part("checkpoint"):
            self.checkpoints.wait()
        self._write_results()
        return self._outcome([])

    def close(self) -> None:
        """Stop threads and files, whatever happened before."""
        self.profile.close()
        self.log.close()
        self.checkpoints.close()

    # The steps

    def _do_span(self, span: Span, stopped: list[int]) -> bool:
        """Train to the end of `span`; False if stopped before."""
        feed = self._feed(span)
        rate = schedule.learning_rate(self.config, self.spans)
        compiled = make_step(self.config, self.mesh, span.stage, rate, None, feed.augmentation).compiled
        fixed = feed.fixed(self.vgg)
        first = self.step
        clock = self.clock
        clock.work(span.stage.batch, self._step_flops(span), self._peak())
        self._saved_at = time.monotonic()
        try:
            while self.step < span.stop:
                count = self._steps_at_once(span, feed.most)
                with clock.part("input"):
                    batch, index = self._next_batch(feed, count)
                with clock.part("transfer"):
                    arrays = feeds.place(feed, batch, self.mesh)
                self.profile.before(self.step, self.state)
                # The first call compiles; those after it return at once, and the wait is for the call before.
                part: timing.Part = "compile" if self.step == first else "step"
                with clock.part(part), self.profile.annotate(self.step):
                    self.state, scalars = compiled(self.state, arrays, fixed)
                    self._pending.append((self.step, index, scalars))
                    if len(self._pending) > 1:
                        jax.block_until_ready(self._pending[-2][2])
                    self.profile.within(scalars)
                if self.profile.after(self.step):
                    with clock.part("compile"):
                        self._tell_profile(_program_text(compiled, self.state, arrays, fixed))
                if self.step == first:
                    jax.block_until_ready(scalars)
                    allocator.return_freed_memory()  # what compiling took
                self.step += count
                clock.step(count)
                if self._do_what_is_due(span, stopped):
                    return False
        finally:
            feed.close()
        return True

    def _do_what_is_due(self, span: Span, stopped: list[int]) -> bool:
        """After a step: the log, an evaluation, a checkpoint. Whether to stop here, with everything saved."""
        evaluate = self._evaluation_due(span, self.step)
        tell = self._log_due(span, self.step)
        # Signals and clocks differ between processes, so with several of them they are looked at together, and not at
        # every step.
        save, stop = self._checkpoint_due(self.step), False
        if tell or jax.process_count() == 1:
            late = 0 < 60 * self.config.checkpoint_minutes <= time.monotonic() - self._saved_at
            agreed = hosts.any_of({"save": late, "stop": bool(stopped)})
            save, stop = save or agreed["save"], agreed["stop"]
        if hosts.preempted(self.step):
            stopped.append(signal.SIGTERM)
            stop = True
        save = save and self.step < self.total  # the end is saved with its scores, and no step twice
        if tell or evaluate or save or stop:
            self._tell(span)
        if evaluate:
            self._evaluate_and_save()
        elif save or stop:
            self._save(None)
        if evaluate or save:
            self._saved_at = time.monotonic()
        if stop:
            with self.clock.part("checkpoint"):
                self.checkpoints.wait()
        return stop

    def _feed(self, span: Span) -> feeds.Feed:
        if self.data_on == "host":
            return feeds.FromHost(self.config, self.pairs, self.spans, span, self.step)
        size = span.stage.resize
        if self._resident is not None and self._resident[0] != size:
            self._resident = None  # first make room
        if self._resident is None:
            with self.clock.part("input"):
                pairs = resident.load(self.pairs, self.mesh, size)
            self._resident = size, pairs
        return feeds.FromDevice(self.config, self._resident[1], self.spans, span)

    def _steps_at_once(self, span: Span, most: int) -> int:
        """Steps of the next call: none beyond a step after which something is due, and single ones in a profile."""
        chosen = steps_in_profile(self.config.profile)

        def due(step: int) -> bool:
            return (
                self._log_due(span, step)
                or self._evaluation_due(span, step)
                or self._checkpoint_due(step)
                or step in chosen
                or step - 1 in chosen
            )

        return next((count for count in range(1, most) if due(self.step + count)), most)

    def _next_batch(self, feed: feeds.Feed, count: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        try:
            return feed.read(self.step, count)
        except InputError as error:  # a picture damaged or gone since it was checked
            if jax.process_count() > 1:  # the others would wait in vain for this one's part of a checkpoint
                raise
            self._save(None)
            self.checkpoints.wait()
            raise InputError(f"{error}; all is saved at step {self.step}, the same command continues") from error

    def _tell(self, span: Span) -> None:
        """Log the steps since the last time; stop if one was not finite and the config says so."""
        with self.clock.part("step"):
            calls = [(step, index, jax.device_get(scalars)) for step, index, scalars in self._pending]
        steps = [(step + k, pairs) for step, index, _ in calls for k, pairs in enumerate(index)]
        fetched = [
            {name: np.reshape(values, -1)[k] for name, values in scalars.items()}
            for _, index, scalars in calls
            for k in range(len(index))
        ]
        bad = [i for i, scalars in enumerate(fetched) if not scalars["finite"]]
        if bad and self.config.on_nan == "stop":
            step, pairs = steps[bad[0]]
            names = ", ".join(self.pairs[int(number)]["name"] for number in pairs)
            raise InputError(
                f"step {step}: the loss or its gradient is not finite; the batch: {names}; last good checkpoint: "
                f"{self._last_checkpoint()}; look at these pictures, lower --learning-rate, or go on with --on-nan skip"
            )
        for i, scalars in enumerate(fetched):
            self._skipped_running = 0 if scalars["finite"] else self._skipped_running + 1
            if self._skipped_running >= SKIPPED_RUNNING:
                raise InputError(
                    f"step {steps[i][0]}: {SKIPPED_RUNNING} updates running were not finite and skipped, so "
                    f"the run no longer learns; last good checkpoint: {self._last_checkpoint()}; lower --learning-rate"
                )
        self._pending.clear()
        good = [scalars for scalars in fetched if scalars["finite"]]
        values = {name: float(np.mean([s[name] for s in good])) for name in fetched[0] if name != "finite" and good}
        if good:
            values["learning_rate"] = float(good[-1]["learning_rate"])
        values |= {"epoch": span.epoch(self.step), **self.clock.rates(), "skipped": int(self.state.skipped)}
        self.log.record("train", self.step, values)
        shown = ("loss", *(name for name in fetched[0] if name in _TERMS))
        told = " ".join(f"{name} {values[name]:.4g}" for name in shown if name in values)
        told += f" | {values['images_per_second']:.3g} images/s, waiting {values['input_wait']:.0%}"
        told += f", MFU {specs.show(values['mfu'])}" if "mfu" in values else ""
        self.log.progress(self.step, told + (f", {values['skipped']} skipped" if values["skipped"] else ""))

    def _tell_profile(self, program: str) -> None:
        folder = self.profile.folder
        if hosts.is_writer():
            (folder / trace.PROGRAM).write_text(program)
            self.log.say(f"profile of the steps {self.config.profile}, in {folder}:\n{trace.table(trace.read(folder))}")

    def _step_flops(self, span: Span) -> int:
        config, stage = self.config, span.stage
        return model_flops.training_step(
            stage.batch,
            stage.size,
            variant=config.variant,
            width=config.width,
            blocks=config.blocks,
            loss=stage.loss,
            deep_supervision=bool(config.deep_supervision),
        )

    def _peak(self) -> float | None:
        """FLOP/s of all the run's devices at most, if known."""
        kind = self.mesh.devices.flat[0].device_kind
        one = specs.flops(kind, self.config.dtype, self.config.precision or None)
        return None if one is None else one * self.mesh.size

    # Evaluation and checkpoints

    def _log_due(self, span: Span, step: int) -> bool:
        return step % self.config.log_steps == 0 or step == span.stop

    def _checkpoint_due(self, step: int) -> bool:
        return bool(self.config.checkpoint_steps) and step % self.config.checkpoint_steps == 0

    def _evaluation_due(self, span: Span, step: int) -> bool:
        every = self.config.evaluate_epochs
        before, now = (int(span.epoch(each) / every + 1e-9) for each in (step - 1, step))
        return now > before and step < self.total  # the end is evaluated anyway

    def _evaluate_and_save(self) -> None:
        if self.history and self.history[-1]["step"] == self.step:  # resumed right here
            return
        scores: dict[str, float] = {}
        if self.validation is not None:
            self.log.progress(self.step, "evaluating")
            with self.clock.part("evaluation"):
                scores, triples = self.validation(self._released())
            allocator.return_freed_memory()  # its blocks are of other sizes than a step's, which would not fit
            self.log.record("evaluation", self.step, scores)
            self.log.say(
                f"step {self.step}, epoch {schedule.span_at(self.spans, self.step - 1).epoch(self.step):.4g}: "
                f"PSNR {scores['psnr']:.3f} dB, SSIM {scores['ssim']:.4f} "
                f"(input {scores['input_psnr']:.3f}, {scores['input_ssim']:.4f})"
            )
            if hosts.is_writer() and triples:
                sheet = pictures.contact_sheet(triples)
                pictures.write_png(self.workdir / "pictures" / f"{self.step:07d}.png", sheet)
                self.log.picture(self.step, "low_output_target", sheet)
            before = [h[SCORE] for h in self.history if h.get("evaluated", self._evaluated) == self._evaluated]
            if hosts.is_writer() and scores[SCORE] > max(before, default=-np.inf):
                self._write_weights("best")
            self.history.append({"step": self.step, "evaluated": self._evaluated, **scores})
        self._save({SCORE: scores[SCORE]} if np.isfinite(scores.get(SCORE, np.nan)) else None)

    def _save(self, scores: dict[str, float] | None) -> None:
        run = {"pairs": len(self.pairs), "trained": self._trained, "history": self.history, "data_on": self.data_on}
        with self.clock.part("checkpoint"):
            self.log.flush()
            self.checkpoints.save(self.state, self.config, run, scores)

    def _restore_or_start(self, resume_with: Collection[str]) -> resident.Place:
        """Sets the state; where the pairs are, which a run keeps, for crops are drawn otherwise in each place."""
        config = self.config
        # The weights to start from are read only where the run starts: they may be gone later.
        params = initialise(self.model, self.config.seed)["params"]
        restored = self.checkpoints.restore(init_state(self.config, params), self.config, self.mesh, resume_with)
        if restored is None:
            self.state = parallel.replicate(init_state(self.config, self._first_params(params)), self.mesh)
        else:
            self.state, run = restored
            # Older checkpoints may hold evaluations that came after them.
            self.history = [scores for scores in run["history"] if scores["step"] <= int(self.state.step)]
            if run["pairs"] != len(self.pairs) or run.get("trained", self._trained) != self._trained:
                raise InputError(
                    f"{self.workdir}: this run has {run['pairs']} training pairs, {self.config.data} has "
                    f"{len(self.pairs)} or other ones; restore the data or take another --workdir"
                )
            if any(scores.get("evaluated", self._evaluated) != self._evaluated for scores in self.history):
                self.log.say("the evaluation pairs are others than before: scores and best/ start anew")
            where = run.get("data_on", "host")
            if config.data_on not in ("auto", where):
                raise InputError(
                    f"{self.workdir}: this run draws its crops on the {where}; leave out --data-on {config.data_on}, "
                    "or take another --workdir"
                )
            config = dataclasses.replace(config, data_on=where)
        self.step = int(self.state.step)
        return resident.choose(config, self.pairs, self.spans, self.mesh)

    def _first_params(self, params: Any) -> Any:
        """What the run starts from; `params` are random ones of the network."""
        if self.config.init and self.config.init_partial:
            params, told = partial.fill(jax.tree.map(np.asarray, params), self.model, self.config.init)
            self.log.say(told)
        elif self.config.init:
            loaded = weights.read(self.config.init).params
            wanted, given = (jax.tree.map(np.shape, tree) for tree in (params, loaded))
            if wanted != given:
                raise InputError(
                    f"{self.config.init}: weights of another variant or width than the config's; --init-partial True "
                    "takes what fits"
                )
            params = loaded
        if self.config.colour_path:
            params = add_colour_path(params, self.config.colour_path)
        return params

    def _released(self) -> Any:
        state = self.state
        return state.average if self.config.ema else averaged(self.config, state.params, state.opt_state)

    def _last_checkpoint(self) -> str:
        self.checkpoints.wait()
        step = self.checkpoints.latest()
        return "none yet" if step is None else str(self.checkpoints.folder / str(step))

    # The ends

    def _vgg(self) -> Any:
        if all(span.stage.loss != "recipe" for span in self.spans):
            return {}
        from smnet_jax.vgg16 import load_vgg16  # 59 MB that the light loss does not need

        return parallel.replicate(load_vgg16(self.config.vgg or None), self.mesh)

    def _write_weights(self, name: str) -> None:
        params = jax.tree.map(lambda x: np.asarray(x.addressable_data(0)), self._released())
        about = {"source": {"name": f"smnet train, step {self.step}"}, "training": configs.to_json(self.config)}
        weights.save(self.workdir / name, self.model, params, about)

    def _write_results(self) -> None:
        if hosts.is_writer():
            self.log.say(f"time, {self.clock.told()}")
            self._write_weights("weights")
            pictures.curves(self.workdir / "curves.png", self.log.records())
            self.log.say(f"done: {self.workdir / 'weights'}, {self.workdir / 'curves.png'}")

    def _headline(self) -> str:
        parameters = sum(x.size for x in jax.tree.leaves(self.state.params))
        shape = " x ".join(f"{size} {name}" for name, size in self.mesh.shape.items())
        return (
            f"{self.config.variant}, width {self.config.width}: {parameters:,} parameters; {len(self.pairs)} pairs, "
            f"{self.total} steps; {shape} on {jax.device_count()} {jax.devices()[0].platform} devices"
            + ("" if self._peak() else f"; MFU n/a, the peak of {self.mesh.devices.flat[0].device_kind} is not known")
            + (f"; pairs on the device, {self.config.steps_per_call} steps a call" if self.data_on == "device" else "")
            + (f"; continuing after step {self.step}" if self.step else "")
        )

    def _outcome(self, stopped: list[int]) -> Outcome:
        last = {k: v for k, v in self.history[-1].items() if k not in ("step", "evaluated")} if self.history else {}
        return Outcome(self.step, self.step >= self.total, last, stopped[0] if stopped else 0)


SKIPPED_RUNNING = 100  # updates skipped one after the other under --on-nan skip, which then ends

_TERMS = frozenset({"ssim", "perceptual", "smooth_l1", "inner", "tv", "charbonnier", "chroma", "log_mse", "lpips"})


def _program_text(compiled: Callable[..., Any], *arguments: Any) -> str:
    """The compiled step as text: a second compilation, which the cache answers."""
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), arguments)
    return compiled.lower(*shapes).compile().as_text()  # type: ignore[attr-defined]


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """A list to which SIGTERM and SIGINT append themselves instead of killing; a second SIGINT interrupts as usual."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # Python lets no other one handle signals
        yield received
        return

    def remember(number: int, _: Any) -> None:
        received.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    # Of several processes one alone may be told to end: then JAX's own watch has the signal, and all stop together.
    numbers = (signal.SIGINT,) if hosts.watches_preemption() else (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, remember) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
