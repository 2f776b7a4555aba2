"""How many interactions, calls and tokens, and when?"""
