"""Rows for `shop.yaml`: a shop whose customers click by device, price, product and country, with known odds.

Equal arguments give equal rows. Whole customers can be held out: each has about ten rows in a span.
"""

from datetime import UTC, date, datetime, time

import numpy as np
import pyarrow as pa

PRODUCTS = 40
COUNTRIES = np.array(["DE", "FR", "IT", "PL"])
DEVICES = np.array(["desktop", "mobile", "tablet"])
DAY_US = 86_400_000_000
SCHEMA = pa.schema(
    {
        "customer": pa.string(),
        "country": pa.string(),
        "device": pa.string(),
        "product": pa.string(),
        "price": pa.float64(),
        "visits": pa.int64(),
        "product_name": pa.string(),
        "clicked": pa.bool_(),
        "seen_at": pa.timestamp("us", tz="UTC"),
    }
)


def shop_span(span: date, rows: int = 600, seed: int = 0) -> pa.Table:
    """The rows of one day. Customers return on later days; a few are new on each; about half of the rows are clicks."""
    rng = np.random.default_rng([seed, span.toordinal()])
    customer = rng.integers(0, max(2, rows // 10), rows) + (span.toordinal() % 1000)
    product, device = rng.integers(0, PRODUCTS, rows), rng.integers(0, len(DEVICES), rows)
    country, price = customer % len(COUNTRIES), 5.0 + 3.0 * product
    logit = 1.5 * (device - 1) + (product % 5 - 2) * 0.8 - (price - 63.5) / 60 + np.where(country == device, 1.0, -0.3)
    clicked = rng.random(rows) < 1 / (1 + np.exp(-logit))
    visits = rng.poisson(5, rows)
    start = int(datetime.combine(span, time(), UTC).timestamp()) * 1_000_000
    columns = {
        "customer": [f"c{c}" for c in customer],
        "country": COUNTRIES[country],
        "device": DEVICES[device],
        "product": [f"p{p}" for p in product],
        "price": price,
        "visits": pa.array(visits, mask=rng.random(rows) < 0.05),
        "product_name": [f"Product {p}" for p in product],
        "clicked": clicked,
        "seen_at": pa.array(start + np.sort(rng.integers(0, DAY_US, rows)), pa.int64()).cast(SCHEMA.field("seen_at").type),
    }
    return pa.table(columns, schema=SCHEMA)
