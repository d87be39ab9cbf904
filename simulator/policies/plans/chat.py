"""A cloud model asks a local one that has read the document (Minion, arXiv:2502.15964, section 4)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulator.policies.plans.plan import Call, Query, at_least, chosen


class Chat:
    """`rounds` messages from the `remote` pool, each answered by the `local` one, which alone reads the document.

    Both read the conversation so far and their instructions, `remote_prompt_tokens` and `local_prompt_tokens`. A
    message of the remote has `question_tokens`, one of the local `reply_tokens`; then the remote writes the answer.
    """

    def __init__(
        self,
        pools: tuple[str, ...],
        *,
        local: str | None = None,
        remote: str | None = None,
        rounds: int = 1,
        question_tokens: int = 150,
        reply_tokens: int = 200,
        remote_prompt_tokens: int = 400,
        local_prompt_tokens: int = 200,
    ) -> None:
        self._local = chosen(local, pools, 0, "local")
        self._remote = chosen(remote, pools, 1, "remote")
        at_least(1, {"rounds": rounds, "question_tokens": question_tokens, "reply_tokens": reply_tokens})
        at_least(0, {"remote_prompt_tokens": remote_prompt_tokens, "local_prompt_tokens": local_prompt_tokens})
        self._rounds, self._question, self._reply = rounds, question_tokens, reply_tokens
        self._remote_prompt, self._local_prompt = remote_prompt_tokens, local_prompt_tokens
        self.pools = (self._local, self._remote)

    def rounds(self, query: Query, rng: np.random.Generator) -> Iterator[tuple[Call, ...]]:
        """Question and reply in turn, then the answer."""
        said = 0
        document = ("document", query.index), query.document_tokens
        for _ in range(self._rounds):
            remote = query.prompt_tokens + self._remote_prompt + said
            yield (Call(self._remote, remote, self._question, "ask", shown=False),)
            said += self._question
            local = query.document_tokens + self._local_prompt + said
            yield (Call(self._local, local, self._reply, "reply", shown=False, shared=document),)
            said += self._reply
        yield (Call(self._remote, query.prompt_tokens + self._remote_prompt + said, query.output_tokens),)
