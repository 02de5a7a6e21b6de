"""Keeps a Wide & Deep recommender fresh. The library never imports Airflow; `widedeep.steps` reads like the README's diagram."""

import logging

logging.getLogger(__name__).addHandler(logging.NullHandler())  # whoever runs the library says where its story goes

__version__ = "0.1.0"
