"""A cloud model writes small jobs, a local one does them over chunks of the document (MinionS, arXiv:2502.15964)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulator.policies.plans.plan import Call, Query, at_least, chosen
from simulator.policies.plans.tiers import share


class MinionS:
    """Rounds of decompose, execute and aggregate over a document that only the `local` pool reads (section 5).

    The `remote` pool reads the question and `decompose_prompt_tokens` of instructions and writes `code_tokens` of
    code, which makes a job of each chunk of `chunk_tokens` tokens, each of `tasks` tasks and each of `samples`
    samples. A job reads its chunk and `task_tokens` and writes `job_output_tokens`; calls over one chunk share it. A
    job is kept, by chance, with probability `kept`; what it wrote goes back. The remote then reads the conversation so
    far, `aggregate_prompt_tokens` and all kept outputs, and writes `verdict_tokens`, in the last round the answer. From
    the second of `rounds` on it reads what it has kept in mind, `scratchpad_tokens`, besides.
    """

    def __init__(
        self,
        pools: tuple[str, ...],
        *,
        local: str | None = None,
        remote: str | None = None,
        rounds: int = 1,
        chunk_tokens: int = 1000,
        tasks: int = 1,
        samples: int = 1,
        kept: float = 0.2,
        decompose_prompt_tokens: int = 1000,
        code_tokens: int = 500,
        task_tokens: int = 300,
        job_output_tokens: int = 100,
        aggregate_prompt_tokens: int = 500,
        verdict_tokens: int = 200,
        scratchpad_tokens: int = 200,
    ) -> None:
        self._local = chosen(local, pools, 0, "local")
        self._remote = chosen(remote, pools, 1, "remote")
        counts = {
            "rounds": rounds, "chunk_tokens": chunk_tokens, "tasks": tasks, "samples": samples,
            "code_tokens": code_tokens, "job_output_tokens": job_output_tokens, "verdict_tokens": verdict_tokens,
        }  # fmt: skip
        extra = {
            "decompose_prompt_tokens": decompose_prompt_tokens, "task_tokens": task_tokens,
            "aggregate_prompt_tokens": aggregate_prompt_tokens, "scratchpad_tokens": scratchpad_tokens,
        }  # fmt: skip
        at_least(1, counts)
        at_least(0, extra)
        self._rounds, self._chunk, self._each = rounds, chunk_tokens, tasks * samples
        self._kept = share("kept", kept)
        self._instructions, self._code = decompose_prompt_tokens, code_tokens
        self._task, self._output = task_tokens, job_output_tokens
        self._aggregate, self._verdict, self._scratchpad = aggregate_prompt_tokens, verdict_tokens, scratchpad_tokens
        self.pools = (self._local, self._remote)

    def rounds(self, query: Query, rng: np.random.Generator) -> Iterator[tuple[Call, ...]]:
        """Three rounds of calls a round of the protocol; a request without a document has one chunk of no tokens."""
        jobs = tuple(self._jobs(query))
        for number in range(self._rounds):
            known = self._scratchpad if number else 0
            last = number + 1 == self._rounds
            plan = query.prompt_tokens + self._instructions + known
            yield (Call(self._remote, plan, self._code, "decompose", shown=False),)
            yield jobs
            findings = int(rng.binomial(len(jobs), self._kept)) * self._output
            read = plan + self._code + self._aggregate + findings
            written = query.output_tokens if last else self._verdict
            yield (Call(self._remote, read, written, "answer" if last else "aggregate", shown=last),)

    def _jobs(self, query: Query) -> Iterator[Call]:
        for start in range(0, max(query.document_tokens, 1), self._chunk):
            size = min(self._chunk, query.document_tokens - start)
            shared = ("chunk", query.index, start), size
            for _ in range(self._each):
                yield Call(self._local, max(1, size + self._task), self._output, "job", shown=False, shared=shared)
