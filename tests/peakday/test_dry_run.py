"""`--dry-run` agrees with the run it describes, over options drawn at random: turns and tokens of its record."""

import json
import random
import subprocess
import sys

import pytest

from loadgen.schedule.estimate import ASSUMED_TPOT_S, ASSUMED_TTFT_S
from tests.loadgen.server import chat_chunk, response, serving, streamed, usage_chunk

ANSWER_TOKENS = 10
ANSWER_S = ASSUMED_TTFT_S + ANSWER_TOKENS * ASSUMED_TPOT_S


def server(path, _, body):
    """A model's own server at the assumed pace; usage by characters, or by token ids where those are sent."""
    if not path.endswith("completions"):
        return [(0.0, response(b"", "404 Not Found"))]
    asked = json.loads(body)
    prompt = asked.get("prompt", asked.get("messages"))
    if isinstance(prompt, list) and all(isinstance(one, int) for one in prompt):
        tokens = len(prompt)
    else:
        tokens = len(prompt if isinstance(prompt, str) else " ".join(str(one["content"]) for one in prompt)) // 4
    exact = "min_tokens" in asked
    limit = int(asked.get("max_tokens") or asked.get("max_completion_tokens") or ANSWER_TOKENS)
    answer = limit if exact else min(limit, ANSWER_TOKENS)
    pieces = [chat_chunk("word ") for _ in range(min(answer, ANSWER_TOKENS))]
    return streamed([*pieces, usage_chunk(tokens, answer), b"data: [DONE]\n\n"], first_s=ANSWER_S)


def drawn(seed, folder):
    """Options of one run: a rate with questions of its own, with the scenario's, a log with lengths, users, or the
    event; and what the requests of an openai target may hold besides.
    """
    rng = random.Random(seed)
    kind = ("rate", "questions", "arrivals", "users", "event")[seed % 5]
    return [*offered(kind, rng, folder), *(more(rng) if kind != "arrivals" else [])]


def more(rng):
    """Options of the requests, some of them."""
    words = [f"--max-tokens={rng.randint(1, ANSWER_TOKENS)}", f"--system={'be brief ' * rng.randint(1, 40)}",
             '--extra-body={"max_tokens": null, "max_completion_tokens": 6}', "--completions"]  # fmt: skip
    return rng.sample(words, rng.randint(0, 2))


def offered(kind, rng, folder):
    """How much is asked, by one of the ways there are."""
    if kind == "users":
        return [f"--users={rng.randint(2, 6)}", f"--for={rng.randint(6, 9)}s"]
    if kind == "event":
        start = rng.randint(0, 8)
        return [f"--window={start}s:{start + rng.randint(6, 10)}s", f"--scale={rng.choice((1.0, 0.5, 0.25))}"]
    if kind == "arrivals":
        log = folder / "log.csv"
        times = sorted(rng.uniform(0, 8) for _ in range(rng.randint(20, 60)))
        rows = [f"{at:.3f},{rng.randint(5, 400)},{rng.randint(2, 8)}" for at in times]
        log.write_text("\n".join(["timestamp_s,input_tokens,output_tokens", *rows]) + "\n")
        return ["--arrivals=log.csv", "--window=0s:10s"]
    words = [f"--rate={rng.uniform(2, 6):.1f}/s", f"--for={rng.randint(5, 8)}s"]
    if kind == "questions":
        asked = ["question,max_tokens,weight"] + [
            f"is it {' '.join(['really'] * rng.randint(1, 30))} red?,{rng.choice(('', 3))},{rng.randint(1, 3)}"
            for _ in range(12)
        ]
        (folder / "mine.csv").write_text("\n".join(asked) + "\n")
        words.append("--questions=mine.csv")
    return words


def printed(folder, *words):
    command = [sys.executable, "-m", "peakday", "run", "smoke", "--json", "--quiet", *words]
    command += ["--set", f"capacity.assumed_tokens.output_tokens={ANSWER_TOKENS}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)
    assert done.returncode in (0, 3), done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(15))
def test_what_is_foretold_is_what_the_record_holds(seed, tmp_path):
    """Turns within a tenth and three; prompt tokens a turn within a third, since four characters a token is a guess;
    answers within a quarter where questions have limits of their own, which chance mixes, and otherwise exactly.
    """
    words = drawn(seed, tmp_path)
    with serving(server) as target:
        words += ["--target", f"openai={target.url}/v1", "--model", "m", f"--seed={seed + 1}"]
        foretold = printed(tmp_path, *words, "--dry-run")
        totals = printed(tmp_path, *words)["totals"]
    assert totals["failed"] == 0
    assert totals["asked"] == pytest.approx(foretold["turns"], rel=0.1, abs=3)
    per_turn = totals["input_tokens"] / totals["completed"]
    assert foretold["input_tokens"] / foretold["turns"] == pytest.approx(per_turn, rel=1 / 3)
    mixed = any("arrivals" in word or "questions" in word for word in words)
    answers = totals["output_tokens"] / totals["completed"]
    assert foretold["output_tokens"] / foretold["turns"] == pytest.approx(answers, rel=0.25 if mixed else 1e-6)
    assert foretold["usd"] is totals["cost_usd"] is None
