"""The prompt cache of a provider, against a brute-force oracle and by hand."""

from hypothesis import given
from hypothesis import strategies as st

from emulator.bedrock.prompt_cache import TTL_S, Boundary, CacheUse, Point, PromptCache

MINIMUM = 50
LOOKBACK = 3


class Oracle:
    """The rules in their plainest form: a list of (whole prefix, readable from, expires, ttl), searched anew."""

    def __init__(self) -> None:
        self.entries: list[list] = []

    def live(self, prefix, now_s):
        return [entry for entry in self.entries if entry[0] == prefix and entry[1] <= now_s <= entry[2]]

    def request(self, blocks, points, now_s):
        """Tokens (read, written 5m, written 1h) of a request of (content, tokens) blocks with (index, ttl) points."""

        def tokens(index):
            return sum(size for _, size in blocks[: index + 1])

        points = [(index, ttl) for index, ttl in points if index >= 0 and tokens(index) >= MINIMUM]
        reachable = {
            near for index, _ in points for near in range(max(0, index - LOOKBACK), index + 1)
            if self.live(tuple(blocks[: near + 1]), now_s)
        }  # fmt: skip
        # the last point is tried first, with its look-back; a later point's look-back reaches furthest
        hit = -1
        for index, _ in reversed(points):
            near = [place for place in reachable if index - LOOKBACK <= place <= index]
            if near:
                hit = max(near)
                break
        for place in {hit, *(index for index, _ in points if index <= hit)} - {-1}:
            for entry in self.live(tuple(blocks[: place + 1]), now_s):
                entry[2] = now_s + TTL_S[entry[3]]
        written = {"5m": 0, "1h": 0}
        done = tokens(hit) if hit >= 0 else 0
        for index, ttl in points:
            if index > hit:
                written[ttl] += tokens(index) - done
                done = tokens(index)
        fresh = [(tuple(blocks[: index + 1]), ttl) for index, ttl in points if index > hit]
        return (tokens(hit) if hit >= 0 else 0, written["5m"], written["1h"]), fresh

    def prefill_ended(self, fresh, now_s):
        for prefix, ttl in fresh:
            self.entries = [entry for entry in self.entries if entry[0] != prefix]
            self.entries.append([prefix, now_s, now_s + TTL_S[ttl], ttl])


blocks = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([10, 30, 60])), min_size=1, max_size=8)
calls = st.lists(
    st.tuples(blocks, st.lists(st.tuples(st.integers(0, 7), st.sampled_from(["1h", "5m"])), max_size=4),
              st.sampled_from([0.0, 1.0, 200.0, 299.0, 300.0, 301.0, 3601.0]), st.sampled_from([0.0, 0.5])),
    min_size=1, max_size=12,
)  # fmt: skip


def boundaries(blocks):
    """Boundaries whose hash is the prefix itself."""
    total, found = 0, []
    for index, (_, size) in enumerate(blocks):
        total += size
        found.append(Boundary(repr(blocks[: index + 1]).encode(), total))
    return found


@given(calls)
def test_the_cache_equals_the_oracle_on_random_conversations(calls):
    """Reads and writes by TTL agree over edits, repeats, pauses around the TTL, and requests in flight together."""
    cache, oracle, now_s = PromptCache(MINIMUM, LOOKBACK), Oracle(), 0.0
    in_flight: list[tuple[float, CacheUse, list]] = []
    for blocks, points, pause_s, prefill_s in calls:
        now_s += pause_s
        for ended in [entry for entry in in_flight if entry[0] <= now_s]:
            cache.store(ended[1], ended[0])
            oracle.prefill_ended(ended[2], ended[0])
            in_flight.remove(ended)
        points = sorted({index: (index, ttl) for index, ttl in points if index < len(blocks)}.values())
        use = cache.look_up(boundaries(blocks), [Point(*point) for point in points], now_s)
        expected, fresh = oracle.request(blocks, points, now_s)
        assert (use.read, use.write_5m, use.write_1h) == expected
        in_flight.append((now_s + prefill_s, use, fresh))


def chain(*sizes):
    """Blocks of these sizes, each different."""
    return boundaries([(chr(97 + index), size) for index, size in enumerate(sizes)])


def test_a_prefix_below_the_minimum_is_silently_not_cached():
    """49 tokens are never written, 50 are."""
    cache = PromptCache(50, 0)
    assert cache.look_up(chain(49), [Point(0)], 0.0) == CacheUse()
    assert cache.look_up(chain(50), [Point(0)], 0.0).write_5m == 50


def test_a_herd_before_the_first_prefill_ends_misses():
    """A hundred equal requests at once all write; only what comes after the first token reads."""
    cache = PromptCache(50, 0)
    uses = [cache.look_up(chain(80), [Point(0)], 0.0) for _ in range(100)]
    assert sum(use.write for use in uses) == 8000
    cache.store(uses[0], 0.4)
    assert cache.look_up(chain(80), [Point(0)], 0.4).read == 80


def test_a_hit_renews_the_ttl():
    """Read every 299 s the entry lives for an hour; 301 s without a read end it."""
    cache = PromptCache(50, 0)
    cache.store(cache.look_up(chain(80), [Point(0)], 0.0), 0.0)
    assert all(cache.look_up(chain(80), [Point(0)], 299.0 * turn).read == 80 for turn in range(1, 13))
    assert cache.look_up(chain(80), [Point(0)], 299.0 * 12 + 301).read == 0


def test_an_entry_can_be_aged_by_hand():
    """Advanced by 299 s it is still read, by two more it is gone; so a test of a TTL need not wait for it."""
    cache = PromptCache(50, 0)
    cache.store(cache.look_up(chain(80), [Point(0)], 0.0), 0.0)
    cache.age(299.0)
    assert cache.look_up(chain(80), [Point(0)], 0.5).read == 80
    cache.age(301.0)
    assert cache.look_up(chain(80), [Point(0)], 0.5).read == 0


def test_the_look_back_finds_an_entry_that_no_longer_has_a_point():
    """The tail point of the last call is gone from this one, yet its entry lies within the look-back."""
    cache = PromptCache(50, 2)
    cache.store(cache.look_up(chain(60, 10), [Point(1)], 0.0), 0.0)
    use = cache.look_up(chain(60, 10, 10, 10), [Point(3)], 1.0)
    assert (use.read, use.write) == (70, 20)


def test_expired_entries_are_swept_away():
    """Memory stays flat: of a million prefixes only the live ones are kept."""
    cache = PromptCache(0, 0)
    for number in range(20_000):
        cache.store(CacheUse(entries=((number.to_bytes(4), "5m"),)), float(number))
    assert len(cache) < 5_000
