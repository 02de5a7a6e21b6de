"""Keeps a Wide & Deep recommender fresh. The library never imports Airflow; `widedeep.steps` reads like the README's diagram."""

__version__ = "0.1.0"
