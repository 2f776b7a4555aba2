"""Logs and traces of LLM services: one reader of every form, as single calls or as sessions of turns."""
