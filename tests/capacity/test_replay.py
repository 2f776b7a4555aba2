"""Exact cache answers, to six digits, on public block-hash traces; and small cases by hand."""

import json

import pytest

from capacity.caching.replay import Prompt, ReplayError, read_prompts, replay

# Per block, prefix hits, cold start, hits judged before the request is added: the traces' own README.
EXACT = {
    "mooncake_conversation_min00-30.jsonl.gz": {
        "infinite": 0.340903,
        "lru:1000": 0.043239,
        "lru:10000": 0.205429,
        "lru:50000": 0.337032,
        "ttl:60": 0.099178,
        "ttl:300": 0.276095,
        "ttl-fixed:300": 0.242865,
    },
    "mooncake_synthetic.jsonl.gz": {
        "infinite": 0.639604,
        "lru:1000": 0.082460,
        "lru:10000": 0.423493,
        "lru:50000": 0.639604,
        "ttl:60": 0.321652,
        "ttl:300": 0.584425,
        "ttl-fixed:300": 0.512952,
    },
    "agentic_sessions_a.jsonl.gz": {
        "infinite": 0.955269,
        "ttl:60": 0.773583,
        "ttl:300": 0.900796,
        "ttl-fixed:300": 0.777551,
    },
}


@pytest.mark.parametrize("name", EXACT)
def test_block_hit_ratios_equal_the_published_ones_to_six_digits(traces, name):
    prompts = read_prompts(traces / name)
    found = {policy: round(replay(prompts, policy).hit_ratio, 6) for policy in EXACT[name]}
    assert found == EXACT[name]


def test_ragpulse_is_judged_by_tokens(traces):
    prompts = read_prompts(traces / "ragpulse")
    found = [round(replay(prompts, policy).token_hit_ratio, 6) for policy in ("infinite", "ttl:60", "ttl:300")]
    assert found == [0.316367, 0.168431, 0.267821]


def prompt(at_s, *blocks):
    return Prompt(at_s, 0, blocks, range(1, len(blocks) + 1))


def test_the_first_miss_ends_the_prefix():
    assert replay([prompt(0, 1, 2, 3), prompt(1, 1, 9, 3)], "infinite").hit_blocks == 1


def test_a_block_lives_while_its_age_is_at_most_its_ttl():
    assert replay([prompt(0, 1), prompt(60, 1)], "ttl:60").hit_blocks == 1
    assert replay([prompt(0, 1), prompt(60.001, 1)], "ttl:60").hit_blocks == 0


def test_a_hit_renews_a_sliding_clock_and_not_a_fixed_one():
    thrice = [prompt(0, 1), prompt(50, 1), prompt(100, 1)]
    assert replay(thrice, "ttl:60").hit_blocks == 2
    assert replay(thrice, "ttl-fixed:60").hit_blocks == 1


def test_lru_forgets_what_was_touched_longest_ago():
    assert replay([prompt(0, 1), prompt(1, 2), prompt(2, 1), prompt(3, 3), prompt(4, 1)], "lru:2").hit_blocks == 2


def test_each_agentic_session_has_a_cache_of_its_own():
    two = [Prompt(0, 0, (1,), (1,)), Prompt(1, 1, (1,), (1,))]
    assert replay(two, "infinite").hit_blocks == 0


@pytest.mark.parametrize("policy", ["lru", "lru:0", "lru:1.5", "ttl:-3", "ttl:nan", "fifo:3", "infinite:2", ""])
def test_unknown_policies_are_refused_with_the_known_ones(policy):
    with pytest.raises(ReplayError, match="use infinite"):
        replay([], policy)


@pytest.mark.parametrize("text", ["", "{", json.dumps({"timestamp": 1})])
def test_a_file_that_is_no_trace_is_refused_with_its_name(tmp_path, text):
    file = tmp_path / "odd.jsonl"
    file.write_text(text)
    with pytest.raises(ReplayError, match="odd"):
        read_prompts(file)


def rag_row(at_s, *passages):
    sections = {
        "sys_prompt": [1, 2],
        "passages_ids": list(passages),
        "history": [],
        "web_search": [],
        "user_input": [9],
    }
    return {"timestamp": str(at_s), "input_length": 400, "hash_ids": sections}


@pytest.mark.parametrize("policy", ["infinite", "ttl:300", "lru:100"])
def test_a_flat_file_of_ragpulse_is_read_by_its_sections(tmp_path, policy):
    """Two of four blocks are the same at the same place; what follows another passage is another block."""
    path = tmp_path / "flat.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in (rag_row(0, 5), rag_row(1, 6))))
    result = replay(read_prompts(path), policy)
    assert (result.blocks, result.hit_blocks, result.tokens, result.hit_tokens) == (8, 2, 800, 200)


def test_a_flat_file_takes_its_block_lengths_from_the_files_beside_it(traces):
    flat, folder = (read_prompts(traces / "ragpulse" / name) for name in ("trace_days0-3.jsonl.gz", ""))
    assert [prompt.ends for prompt in flat] == [prompt.ends for prompt in folder]


def test_requests_of_sub_agents_are_part_of_their_session(tmp_path):
    def request(at_s, ids):
        return {"t": at_s, "in": 128, "hash_ids": ids}

    nested = {
        "t": 1.0,
        "agent": "search",
        "requests": [request(1.0, [1, 3]), {"sub": {"requests": [request(2, [1, 3])]}}],
    }
    path = tmp_path / "agents.jsonl"
    path.write_text(json.dumps({"block_size": 64, "requests": [request(0, [1, 2]), nested]}))
    result = replay(read_prompts(path), "infinite")
    assert (result.requests, result.hit_blocks) == (3, 3)


@pytest.mark.parametrize("ids", ['"abc"', "[[1]]", "null", "7"])
def test_what_is_no_list_of_blocks_is_refused_in_one_line(tmp_path, ids):
    path = tmp_path / "odd.jsonl"
    path.write_text(f'{{"timestamp": 1, "input_length": 5, "hash_ids": {ids}}}')
    with pytest.raises(ReplayError, match="not a block-hash trace"):
        read_prompts(path)
