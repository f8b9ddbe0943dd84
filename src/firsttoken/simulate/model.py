"""Continuous batching as a discrete-event model: no clock, no I/O, time is an argument.

The scheduler follows vLLM's: each step computes first what the running requests need (one token
each, or the next chunk of a prompt), then admits waiting requests in order while a token budget,
a limit on sequences and free KV blocks last.  When blocks run out, the newest running request
loses its blocks and is computed again later.  The duration of a step is linear in what it
computes; see docs/simulate.md for the formula and for what a real engine does besides.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from firsttoken.simulate.blocks import BlockPool, chain_hashes
from firsttoken.simulate.parameters import Parameters

__all__ = ["Emission", "Request", "Scheduler", "Slowdown", "Step", "step_duration"]


@dataclass(frozen=True, slots=True)
class Slowdown:
    """Factors on the cost of prompt tokens, and on everything else in a step."""

    prefill: float = 1.0
    decode: float = 1.0


@dataclass(slots=True, eq=False)
class Request:
    """One sequence: its prompt, the answer that it will get, and how far it is.

    ``output`` is decided before the request starts: the model has no influence on what is said,
    only on when.  Times are seconds of the caller's clock; None until they happened.
    """

    prompt: Sequence[int]
    output: Sequence[int]
    fails: bool = False  # ends with an error where its first token would be
    queued: float = 0.0
    scheduled: float | None = None
    first_token: float | None = None
    last_token: float | None = None
    generated: int = 0
    cached: int = 0  # prompt tokens taken from the prefix cache at the first admission
    preemptions: int = 0
    computed: int = 0
    blocks: list[int] = field(default_factory=list)
    hashes: list[int] = field(default_factory=list)
    remembered: int = 0

    @property
    def known(self) -> int:
        """Tokens whose keys and values must be computed before the next one is sampled."""
        return len(self.prompt) + self.generated

    def tokens(self, start: int, end: int) -> Sequence[int]:
        """Tokens ``start`` to ``end`` of prompt and answer together."""
        split = len(self.prompt)
        if end <= split:
            return self.prompt[start:end]
        return [
            *self.prompt[start:split],
            *self.output[max(0, start - split) : end - split],
        ]


@dataclass(frozen=True, slots=True)
class Step:
    """One forward pass: how many tokens of which request, and how long it takes."""

    work: tuple[tuple[Request, int], ...]
    prefill_tokens: int
    decode_sequences: int
    duration: float
    preempted: int
    queried_tokens: int  # looked up in the prefix cache by requests admitted in this step
    hit_tokens: int


@dataclass(frozen=True, slots=True)
class Emission:
    """What a step gave a request: its ``first`` token or a later one; ``ends`` with the last."""

    request: Request
    first: bool
    ends: bool
    previous: float | None  # time of the token before


def step_duration(
    parameters: Parameters, slowdown: Slowdown, prefill: int, sequences: int, context: int
) -> float:
    """Seconds of a step with ``prefill`` prompt tokens and ``sequences`` that decode.

    ``context`` is the number of tokens that the decoding sequences attend to, summed.
    """
    decode = (
        parameters.decode_base_s
        + parameters.decode_s_per_sequence * sequences
        + parameters.decode_s_per_context_token * context
    )
    return decode * slowdown.decode + parameters.prefill_s_per_token * prefill * slowdown.prefill


class Scheduler:
    """Waiting and running requests over one pool of blocks; ``plan`` and ``complete`` alternate."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self.pool = BlockPool(parameters.kv_blocks, caching=parameters.prefix_caching)
        self.waiting: deque[Request] = deque()
        self.running: list[Request] = []

    @property
    def busy(self) -> bool:
        """Whether any request waits or runs."""
        return bool(self.waiting or self.running)

    def withhold(self, share: float) -> None:
        """Keep a share of the blocks from use, but never those that the longest request needs."""
        needed = -(-self.parameters.max_model_len // self.parameters.block_size)
        self.pool.withheld = min(round(self.pool.total * share), self.pool.total - needed)

    def add(self, request: Request, now: float) -> None:
        """Queue a request."""
        request.queued = now
        if self.pool.caching:
            request.hashes = chain_hashes(request.prompt, self.parameters.block_size)
        self.waiting.append(request)

    def abort(self, request: Request) -> None:
        """Forget a request and free its blocks; nothing happens when it has ended already."""
        if request in self.running:
            self.running.remove(request)
            self._release(request)
        elif request in self.waiting:
            self.waiting.remove(request)

    def plan(self, now: float, slowdown: Slowdown) -> Step | None:
        """Choose the work of the next step; None when there is none that could be done."""
        budget = self.parameters.max_num_batched_tokens
        work, preempted = self._plan_running(budget)
        budget -= sum(tokens for _, tokens in work)
        queried = hits = 0
        if not preempted:
            admitted, queried, hits = self._admit(budget, now)
            work += admitted
        if not work:
            return None
        prefill = sequences = context = 0
        for request, tokens in work:
            if request.generated and tokens == 1:
                sequences += 1
                context += request.known
            else:
                prefill += tokens
        duration = step_duration(self.parameters, slowdown, prefill, sequences, context)
        return Step(tuple(work), prefill, sequences, duration, preempted, queried, hits)

    def complete(self, step: Step, now: float) -> list[Emission]:
        """Apply a finished step; returns what each request got that reached its next token."""
        emissions = []
        for request, tokens in step.work:
            if not request.blocks:  # aborted while the step ran
                continue
            request.computed += tokens
            if request.computed < request.known:
                continue
            emissions.append(self._sample(request, now))
        if any(emission.ends for emission in emissions):
            ended = {id(emission.request) for emission in emissions if emission.ends}
            self.running = [request for request in self.running if id(request) not in ended]
        return emissions

    def _sample(self, request: Request, now: float) -> Emission:
        previous, first = request.last_token, request.first_token is None
        if request.fails:
            self._release(request)
            return Emission(request, first=False, ends=True, previous=None)
        request.generated += 1
        request.last_token = now
        if first:
            request.first_token = now
        ends = request.generated >= len(request.output)
        if ends:
            self._release(request)
        return Emission(request, first, ends, previous)

    def _plan_running(self, budget: int) -> tuple[list[tuple[Request, int]], int]:
        work: list[tuple[Request, int]] = []
        preempted = index = 0
        while index < len(self.running) and budget > 0:
            request = self.running[index]
            tokens = min(request.known - request.computed, budget)
            while not self._grow(request, request.computed + tokens):
                victim = self.running.pop()
                self._preempt(victim)
                preempted += 1
                if victim is request:
                    return work, preempted
            work.append((request, tokens))
            self._remember(request, request.computed + tokens)
            budget -= tokens
            index += 1
        return work, preempted

    def _admit(self, budget: int, now: float) -> tuple[list[tuple[Request, int]], int, int]:
        work: list[tuple[Request, int]] = []
        queried = hits = 0
        while self.waiting and budget > 0 and len(self.running) < self.parameters.max_num_seqs:
            request = self.waiting[0]
            known = request.known
            # The last token is always computed: its output is the next token.
            cached = self.pool.cached(request.hashes[: (known - 1) // self.parameters.block_size])
            found = len(cached) * self.parameters.block_size
            tokens = min(known - found, budget)
            blocks = self.pool.acquire(cached, self._blocks_for(found + tokens) - len(cached))
            if blocks is None:
                break
            self.waiting.popleft()
            request.blocks = blocks
            request.computed = found
            request.remembered = len(cached)
            if request.scheduled is None:
                request.scheduled = now
                request.cached = found
                if self.pool.caching:
                    queried += known
                    hits += found
            self.running.append(request)
            work.append((request, tokens))
            self._remember(request, found + tokens)
            budget -= tokens
        return work, queried, hits

    def _blocks_for(self, tokens: int) -> int:
        return -(-tokens // self.parameters.block_size)

    def _grow(self, request: Request, tokens: int) -> bool:
        missing = self._blocks_for(tokens) - len(request.blocks)
        if missing <= 0:
            return True
        new = self.pool.acquire((), missing)
        if new is None:
            return False
        request.blocks += new
        return True

    def _remember(self, request: Request, computed: int) -> None:
        """Enter the blocks that this step makes full into the prefix cache.

        As in vLLM they count from the planning on, so that requests of one step share them.
        """
        size = self.parameters.block_size
        full = computed // size
        if not self.pool.caching or full <= request.remembered:
            return
        if full > len(request.hashes):
            known = len(request.hashes)
            parent = request.hashes[-1] if known else 0
            fresh = request.tokens(known * size, full * size)
            request.hashes += chain_hashes(fresh, size, parent=parent)
        for index in range(request.remembered, full):
            self.pool.remember(request.blocks[index], request.hashes[index])
        request.remembered = full

    def _preempt(self, request: Request) -> None:
        self._release(request)
        request.computed = 0
        request.preemptions += 1
        self.waiting.appendleft(request)

    def _release(self, request: Request) -> None:
        self.pool.release(request.blocks)
        request.blocks = []
