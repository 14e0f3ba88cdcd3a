"""Counts its visitors in Redis."""

import os

from flask import Flask
from redis import Redis

app = Flask(__name__)
store = Redis(host=os.environ.get("REDIS_HOST", "redis"), port=int(os.environ.get("REDIS_PORT", "6379")))


@app.get("/")
def visit():
    return f"You are visitor number {store.incr('visitors')}.\n"


@app.get("/health")
def health():
    return {"status": "ok"}


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=int(os.environ.get("PORT", "5000")))
