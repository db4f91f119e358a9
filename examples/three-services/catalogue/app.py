"""The shop's products, in PostgreSQL."""

import logging
import os
import signal
import sys
import time

import psycopg
from flask import Flask, jsonify, request
from opentelemetry import metrics
from opentelemetry.metrics import Observation
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

# A statement that takes longer is given up, so that a lock does not hold a connection for good.
STATEMENT_MS = 2000
# How long a request waits for a connection, seconds.
POOL_WAIT_S = 2.0

logging.basicConfig(level=logging.INFO)
log = logging.getLogger("catalogue")
# Says of each full queue that it is full; the metrics of the pool say so, too.
logging.getLogger("waitress.queue").setLevel(logging.ERROR)

app = Flask(__name__)
pool = ConnectionPool(
    os.environ["DATABASE_URL"],
    min_size=4,
    max_size=4,
    timeout=POOL_WAIT_S,
    # A database that was away is found again in a second or two, not in the default's minutes.
    reconnect_timeout=5,
    kwargs={
        "row_factory": dict_row,
        "autocommit": True,
        "connect_timeout": 3,
        "options": f"-c statement_timeout={STATEMENT_MS}",
    },
    open=True,
)

# Nobody instruments this pool, so the service does, by the names of the conventions.
OF_POOL = {"db.client.connection.pool.name": "catalogue"}
meter = metrics.get_meter("catalogue")
wait_time = meter.create_histogram("db.client.connection.wait_time", unit="s")


def of_pool(read):
    """A callback that reads one figure of the pool."""
    return [lambda _: [Observation(read(pool.get_stats()), OF_POOL)]]


meter.create_observable_up_down_counter(
    "db.client.connection.pending_requests",
    of_pool(lambda stats: stats.get("requests_waiting", 0)),
    unit="{request}",
)
meter.create_observable_up_down_counter(
    "db.client.connection.idle.count",
    of_pool(lambda stats: stats.get("pool_available", 0)),
    unit="{connection}",
)


def query(sql, *values):
    """All rows of a statement. How long it took to get a connection is measured, also when none
    came."""
    began = time.monotonic()
    try:
        lent = pool.getconn()
    finally:
        wait_time.record(time.monotonic() - began, OF_POOL)
    try:
        return lent.execute(sql, values).fetchall()
    finally:
        pool.putconn(lent)


@app.get("/health")
def health():
    query("SELECT 1")
    return jsonify(status="up")


@app.get("/products")
def products():
    return jsonify(query("SELECT sku, name, price_cents FROM products ORDER BY sku"))


@app.get("/products/<sku>")
def product(sku):
    rows = query(
        "SELECT sku, name, price_cents, stock, text FROM products WHERE sku = %s", sku
    )
    return jsonify(rows[0]) if rows else (jsonify(error=f"no product {sku}"), 404)


@app.get("/search")
def search():
    rows = query(
        "SELECT sku, name, price_cents FROM products WHERE text ILIKE %s ORDER BY sku",
        f"%{request.args.get('q', '')}%",
    )
    return jsonify(rows)


@app.post("/products/<sku>/reservations")
def reserve(sku):
    quantity = int(request.get_json()["quantity"])
    rows = query(
        "UPDATE products SET stock = stock - %s WHERE sku = %s AND stock >= %s"
        " RETURNING sku, price_cents",
        *(quantity, sku, quantity),
    )
    return jsonify(rows[0]) if rows else (jsonify(error=f"{sku} is sold out"), 409)


@app.errorhandler(psycopg.Error)
def no_database(error):
    """A full pool, a statement that took too long, or a database that is away."""
    log.error("%s %s: %s", request.method, request.path, error)
    return jsonify(error=f"the database does not answer: {type(error).__name__}"), 503


@app.after_request
def write_down(response):
    if request.path != "/health":
        log.info("%s %s: %s", request.method, request.path, response.status_code)
    return response


# Python would end at once otherwise, without sending the telemetry that it still has.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
