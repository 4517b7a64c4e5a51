"""The act `kills` of flow.py: `kill -9` twenty times, while a real ERP is being written to.

Between Kilter and the ERP stands a relay that knows what is on its way, and brings it to its end,
whoever died. What is judged is read from the ERP and from the shop.
"""
import collections
import http.client
import http.server
import os
import random
import subprocess
import threading
import time
import urllib.parse

from house import log

KILLS = 20
LIFE = (0.1, 1.5)                        # seconds before a kill is aimed
QUIET = 160                              # until what may have happened has, or has not
AIM = 5                                  # ... and how long it waits for a request on its way


class Relay:
    """Counts requests that came and were not answered yet."""

    def __init__(self, url):
        target = urllib.parse.urlsplit(url).netloc
        self.flying, self.writes, self.lock = 0, 0, threading.Lock()
        relay = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def pass_on(self):
                body = self.rfile.read(int(self.headers.get('content-length') or 0))
                write = self.command != 'GET' and not self.path.split('?')[0].endswith(('search_read', 'read'))
                relay.count(1, write)
                try:
                    upstream = http.client.HTTPConnection(target, timeout=120)
                    kept = {k: v for k, v in self.headers.items() if k.lower() not in ('host', 'connection', 'content-length')}
                    upstream.request(self.command, self.path, body, kept)
                    answer = upstream.getresponse()
                    content = answer.read()
                    upstream.close()
                finally:
                    relay.count(-1, write)
                try:
                    self.send_response(answer.status)
                    for name, value in answer.getheaders():
                        if name.lower() not in ('connection', 'transfer-encoding', 'content-length', 'date', 'server'):
                            self.send_header(name, value)
                    self.send_header('content-length', str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                except ConnectionError:
                    self.close_connection = True     # who asked is dead

            do_GET = do_POST = do_PUT = do_DELETE = pass_on

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass                                 # a client that died in the middle of a request

        self.server = Server(('127.0.0.1', 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.netloc = '127.0.0.1:%d' % self.server.server_port

    def count(self, n, write):
        with self.lock:
            self.flying += n
            self.writes += n if write else 0

    def stop(self):
        self.server.shutdown()


def once(act, sales):
    """Nothing of class C was made twice: a customer by e-mail; an address by its order and what it is for."""
    mails = act.erp.search('party.contact_mechanism', [['type', '=', 'email']], ['value'])
    people = collections.Counter(m['value'] for m in mails if m['value'].startswith('ada'))
    fields = ['delivery', 'invoice', 'contact_mechanisms.type', 'contact_mechanisms.value']
    addresses = collections.Counter(
        (m['value'], a['delivery'], a['invoice'])
        for a in act.erp.search('party.address', [['contact_mechanisms', 'where', [['type', '=', 'other']]]], fields)
        for m in a['contact_mechanisms.'] if m['type'] == 'other')
    act.expect(people and len(addresses) >= sales, '%d customers and %d addresses of %d orders' % (
        len(people), len(addresses), sales))
    double = [k for k, n in (people + addresses).items() if n > 1]
    act.expect(not double, 'made twice: %s' % double)
    log('kills: %d customers, %d addresses, %d of them twice' % (len(people), len(addresses), len(double)))


def kills(act, orders):
    """`orders(act, n)` has people order."""
    seed = int(os.environ.get('KILTER_SEED') or time.time())
    chance = random.Random(seed)
    log('kills: KILTER_SEED=%d' % seed)
    url = act.erp.info['url']
    relay = Relay(url)
    with open(act.config) as f:
        text = f.read()
    own = urllib.parse.urlsplit(url).netloc
    act.expect(own in text, 'the config does not name the ERP')
    with open(act.config, 'w') as f:
        f.write(text.replace(own, relay.netloc))
    act.sync('first sync')
    flying = writes = 0
    command = [act.args.kilter, 'sync', '--config', act.config, '--json']
    started = time.time()
    for n in range(KILLS):
        orders(act, 1 + n % 2)
        product, price = chance.choice(sorted(act.erp.prices('retail-eur').items()))
        act.erp.set_prices('retail-eur', {product: price + 1})
        act.erp.connection.close()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=act.dir) as process:
            time.sleep(chance.uniform(*LIFE))
            until = time.time() + AIM
            while time.time() < until and process.poll() is None and not (relay.writes if n % 2 else relay.flying):
                time.sleep(0.001)
            struck, written, ended = relay.flying, relay.writes, process.poll()
            process.kill()
        flying, writes = flying + bool(struck and ended is None), writes + bool(written and ended is None)
    log('kills: %d kills in %.0f s, %d with a request on its way, %d with a write' % (
        KILLS, time.time() - started, flying, writes))
    act.expect(flying * 2 >= KILLS, 'only %d of %d kills struck a request' % (flying, KILLS))
    waits = act.sync('after the kills')
    if waits:                                # creates of class C: asked about once the ERP was quiet
        time.sleep(QUIET)
        asked = [w for w in act.sync('once it was quiet') if 'may exist' in w['reason']]
        for wait in asked:
            act.kilter('decide', str(wait['object']), 'create-again', '--reason', 'it is not there')
        log('kills: a person was asked about %d creates' % len(asked))
        waits = act.sync('after the answers')
    act.expect(not waits, 'something waits: %s' % waits[:3])
    sales = act.orders('DE')
    once(act, len(sales))
    act.aligned('DE')
    act.nothing_planned()
    relay.stop()
