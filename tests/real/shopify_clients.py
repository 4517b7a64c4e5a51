#!/usr/bin/env python3
"""The vendor's own clients, Python and JavaScript, drive the twin of Shopify.

    shopify_clients.py --kilter PATH [--venv DIR]

Makes a virtual environment below .local/, installs shopify/requirements.txt into it, starts
`kilter twin shopify --plan plus --seed 7` and calls it as an app would: a token by client
credentials, products page by page, stock set against what was read, a webhook whose signature
Python's own hmac checks. Then shopify/client.mjs does the same by the JavaScript client, at a twin
of its own, with that client's own check of the signature. Exit code 1 if anything differs from what
is stated here.

What is adapted, and why:
  address   the client calls https://SHOP.myshopify.com/admin/api/VERSION. The twin speaks plain http on
            loopback, so ShopifyResource.site is set to http://127.0.0.1:PORT/admin/api/VERSION after
            the session was activated. Nothing else of the client is changed.
  token     the client knows the authorization code grant only; the client credentials grant is one
            request of urllib's.
  webhook   the client has no check for a webhook's signature: hmac, hashlib and base64 do it. They also
            recompute the vectors that Kilter's own check is held against (crates/kilter/tests/it/vectors).
"""
import argparse
import base64
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
import uuid

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
NODE = ROOT / ".local" / "shopify-node"
VERSION = "2026-10"
CLIENT_ID = "twin_client"
CLIENT_SECRET = "hush"
PRODUCTS = 7
PAGE = 3
WAIT_SECONDS = 10


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kilter", required=True, help="the built binary")
    parser.add_argument("--venv", default=str(ROOT / ".local" / "shopify-clients"))
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def prepare(args):
    """Runs this file again, with the client installed."""
    python = pathlib.Path(args.venv) / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", args.venv], check=True)
    install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check",
               "-r", str(HERE / "shopify" / "requirements.txt")]
    subprocess.run(install, check=True)
    prepare_node()
    again = [str(python), __file__, "--kilter", args.kilter, "--venv", args.venv, "--inside"]
    return subprocess.run(again, check=False).returncode


def prepare_node():
    """The JavaScript client, as its lock file says, below .local/."""
    NODE.mkdir(parents=True, exist_ok=True)
    lock, done = HERE / "shopify" / "package-lock.json", NODE / "node_modules" / "done.json"
    for path in [HERE / "shopify" / "package.json", lock, HERE / "shopify" / "client.mjs"]:
        shutil.copy(path, NODE / path.name)
    if not done.exists() or done.read_bytes() != lock.read_bytes():
        subprocess.run(["npm", "ci", "--silent", "--no-fund", "--no-audit"], cwd=NODE, check=True)
        shutil.copy(lock, done)


class Listener(http.server.BaseHTTPRequestHandler):
    heard = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        Listener.heard.append(({k.lower(): v for k, v in self.headers.items()}, body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def post(url, body, headers):
    request = urllib.request.Request(url, body, headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def token(base):
    form = urllib.parse.urlencode({
        "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "grant_type": "client_credentials",
    }).encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    given = post(f"{base}/admin/oauth/access_token", form, kind)
    assert given["expires_in"] == 86399, given
    return given["access_token"]


def client(base, access):
    import shopify

    session = shopify.Session("twin.myshopify.com", VERSION, access)
    shopify.ShopifyResource.activate_session(session)
    shopify.ShopifyResource.site = f"{base}/admin/api/{VERSION}"
    graphql = shopify.GraphQL()

    def ask(query, **variables):
        reply = json.loads(graphql.execute(query, variables))
        assert "errors" not in reply, reply
        return reply["data"]

    return ask


def seed(base):
    locations = post(f"{base}/_twin/seed", b'{"locations":[{"name":"main"}]}', {})["locations"]
    place = f"gid://shopify/Location/{locations['main']}"
    products = [{
        "title": f"Product {n}",
        "productOptions": [{"name": "Title", "values": [{"name": "Default Title"}]}],
        "variants": [{
            "optionValues": [{"optionName": "Title", "name": "Default Title"}], "sku": f"SKU-{n}",
            "price": "9.90", "inventoryItem": {"tracked": True},
            "inventoryQuantities": [{"locationId": place, "name": "available", "quantity": n}],
        }],
    } for n in range(PRODUCTS)]
    post(f"{base}/_twin/seed", json.dumps({"products": products}).encode(), {})
    return place


def page_through(ask):
    query = """query($after: String) { products(first: %d, after: $after) {
        nodes { id title variants(first: 1) { nodes { sku inventoryItem { id } } } }
        pageInfo { hasNextPage endCursor } } }""" % PAGE
    found, after, pages = [], None, 0
    while True:
        page = ask(query, after=after)["products"]
        found += page["nodes"]
        pages += 1
        if not page["pageInfo"]["hasNextPage"]:
            return found, pages
        after = page["pageInfo"]["endCursor"]


def change_stock(ask, item, place):
    read = """query($i: ID!, $l: ID!) { inventoryItem(id: $i) { inventoryLevel(locationId: $l) {
        quantities(names: ["available"]) { quantity } } } }"""
    write = """mutation($input: InventorySetQuantitiesInput!, $key: String!) {
        inventorySetQuantities(input: $input) @idempotent(key: $key) {
            inventoryAdjustmentGroup { id } userErrors { code message } } }"""

    def current():
        level = ask(read, i=item, l=place)["inventoryItem"]["inventoryLevel"]
        return level["quantities"][0]["quantity"]

    def put(quantity, seen):
        row = {"inventoryItemId": item, "locationId": place, "quantity": quantity,
               "changeFromQuantity": seen}
        given = {"name": "available", "reason": "correction", "quantities": [row]}
        done = ask(write, input=given, key=str(uuid.uuid4()))
        return done["inventorySetQuantities"]["userErrors"]

    seen = current()
    assert put(seen + 5, seen) == []
    stale = put(seen + 9, seen)
    assert stale[0]["code"] == "CHANGE_FROM_QUANTITY_STALE", stale
    assert current() == seen + 5


def webhook(ask, address, item):
    subscribe = """mutation($uri: String!) { webhookSubscriptionCreate(topic: INVENTORY_LEVELS_UPDATE,
        webhookSubscription: { uri: $uri, format: JSON }) { userErrors { message } } }"""
    done = ask(subscribe, uri=address)
    assert done["webhookSubscriptionCreate"]["userErrors"] == [], done


def signature(secret, body):
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest())


def vectors():
    """The vectors of Kilter's own test, computed once more."""
    import tomllib

    text = (ROOT / "crates" / "kilter" / "tests" / "it" / "vectors" / "hmac.toml").read_text()
    found = tomllib.loads(text)["vector"]
    assert len(found) >= 3, found
    for vector in found:
        given = signature(vector["secret"], vector["body"].encode()).decode()
        assert given == vector["signature"], (vector, given)
    return len(found)


def heard():
    until = time.time() + WAIT_SECONDS
    while time.time() < until:
        if Listener.heard:
            return Listener.heard[0]
        time.sleep(0.05)
    raise AssertionError("no webhook came")


def start(args):
    command = [args.kilter, "twin", "shopify", "--plan", "plus", "--seed", "7"]
    twin = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return twin, re.search(r"http://\S+", twin.stdout.readline()).group(0)


def drive_node(args):
    twin, base = start(args)
    try:
        seed(base)
        subprocess.run(["node", "client.mjs", base], cwd=NODE, check=True)
    finally:
        twin.terminate()
        twin.wait()


def drive(args):
    twin, base = start(args)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        place = seed(base)
        ask = client(base, token(base))
        assert ask("{ shop { plan { shopifyPlus } } }")["shop"]["plan"]["shopifyPlus"]
        found, pages = page_through(ask)
        assert len(found) == PRODUCTS and pages == -(-PRODUCTS // PAGE), (len(found), pages)
        item = found[3]["variants"]["nodes"][0]["inventoryItem"]["id"]
        webhook(ask, f"http://127.0.0.1:{server.server_address[1]}/hook", item)
        change_stock(ask, item, place)
        headers, body = heard()
        given = headers["x-shopify-hmac-sha256"].encode()
        assert hmac.compare_digest(signature(CLIENT_SECRET, body), given), "the signature is wrong"
        assert headers["x-shopify-topic"] == "inventory_levels/update", headers
        assert json.loads(body)["available"] == 3 + 5, body
    finally:
        twin.terminate()
        twin.wait()
        server.shutdown()
    print(f"the vendor's Python client: {len(found)} products in {pages} pages, stock, a webhook, "
          f"{vectors()} signature vectors: good")


def main():
    args = arguments()
    args.kilter = os.path.abspath(args.kilter)
    if not args.inside:
        return prepare(args)
    drive(args)
    drive_node(args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
