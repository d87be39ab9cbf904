"""Fine-tuning tokens fill every iteration up to a latency limit."""

from __future__ import annotations

from simulator.policies.finetuning.views import Outlook


class CoServing:
    """As many tokens as keep the predicted iteration within `latency_ms`, in multiples of `step_tokens`.

    Requests are scheduled first, so that they are served as without fine-tuning; an iteration that they make longer
    than the limit takes none. Without requests an iteration keeps the limit too, for one may come meanwhile. The
    limit is the scenario's TPOT objective unless given.

    FlexLLM: Oliaro, Miao et al., arXiv:2402.18789, the hybrid token scheduler.
    """

    def __init__(
        self, *, latency_ms: float | None = None, step_tokens: int = 16, objective_tpot_ms: float | None = None
    ) -> None:
        limit = objective_tpot_ms if latency_ms is None else latency_ms
        if limit is None:
            raise ValueError("latency_ms is missing, and so is objectives.tpot_ms: give either")
        if not limit > 0:
            raise ValueError(f"latency_ms is {limit}: give milliseconds above 0")
        if step_tokens < 1:
            raise ValueError(f"step_tokens is {step_tokens}: give 1 or more")
        self.limit_s, self.step_tokens = limit / 1e3, step_tokens

    def alone(self, outlook: Outlook, *, serving: bool) -> int:
        """The same beside no requests; `step_tokens` at least, so that fine-tuning always goes on where it can."""
        if serving:
            return 0
        return self.beside(outlook) or min(self.step_tokens, outlook.pass_tokens)

    def beside(self, outlook: Outlook) -> int:
        """The largest multiple within the limit, or what is left of the pass, by bisection."""
        most = min(outlook.window_tokens, outlook.pass_tokens)
        if outlook.seconds(most) <= self.limit_s:
            return most
        low, high = 0, -(-most // self.step_tokens)
        while high - low > 1:
            middle = (low + high) // 2
            if outlook.seconds(middle * self.step_tokens) <= self.limit_s:
                low = middle
            else:
                high = middle
        return low * self.step_tokens

    def holds_for(self) -> int:
        """One: the slack differs from one iteration to the next."""
        return 1

    def served(self, iterations: int) -> None:
        """Nothing is counted."""
