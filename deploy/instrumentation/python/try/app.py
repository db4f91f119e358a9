"""A service of ten lines: it logs, and asks the next one if there is one."""
import json, logging, os, urllib.request
from flask import Flask

logging.basicConfig(level=logging.INFO)
app = Flask(__name__)

@app.get("/")
def answer():
    logging.getLogger("service").info("asked")
    next_one = os.environ.get("NEXT")
    return {"service": "python", "next": next_one and json.load(urllib.request.urlopen(next_one))}
