"""What can go wrong, as exceptions whose text is one clear line."""

from __future__ import annotations

from host.errors import Exit, PeakdayError


class AssistantError(PeakdayError):
    """Base of every error of this package."""

    page = "assistant"

    exit_code = Exit.ENVIRONMENT


class StoreError(AssistantError):
    """Where the assistant writes refused, did not answer, or holds what nobody of us wrote."""


class RequestError(AssistantError):
    """A request rejected before any model is asked. `field` names the key at fault, where there is one."""

    def __init__(self, status: int, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.field = field

    def body(self) -> dict[str, object]:
        """The JSON body of docs/api.md."""
        error: dict[str, object] = {"code": self.code, "message": str(self)}
        if self.field is not None:
            error["field"] = self.field
        return {"error": error}


class ModelError(AssistantError):
    """A model call that failed.

    `status` is the HTTP status to pass on: 429 and 503 as the provider gave them, 504 for a wait that ended, 502 for
    everything else a provider does. `code` is the provider's own name for it, or `connect_error`, `cut_stream`,
    `bad_crc`, `timeout`. `streaming`: the answer had begun (HTTP 200) when it failed.
    `attempts`: how often the client itself asked, more than once where it retries by itself.
    """

    attempts = 1

    def __init__(self, status: int, code: str, message: str, streaming: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.streaming = streaming

    @property
    def call_status(self) -> str:
        """The word for it in a record's `status` column."""
        if self.status == 429:
            return "throttled"
        if self.code == "timeout":
            return "timeout"
        return "stream_error" if self.streaming else "http_error"

    @property
    def for_customer(self) -> str:
        """What a customer is told of it: nothing of the provider's own text."""
        if self.status == 429:
            return "the assistant is busy; please ask again in a moment"
        if self.code == "timeout":
            return "the answer took too long; please ask again"
        return "the assistant could not answer; please ask again"

    @property
    def may_spill(self) -> bool:
        """Whether another model or region may serve what this one could not: throttled, unavailable, unreachable."""
        return not self.streaming and (self.status in (429, 503) or self.code == "connect_error")

    @property
    def region_down(self) -> bool:
        """Whether the region itself could not serve: unreachable, or out of service. Throttling is not that."""
        return not self.streaming and (self.status == 503 or self.code == "connect_error")
