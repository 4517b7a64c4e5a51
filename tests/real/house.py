"""What every act of flow.py stands on: an ERP of its own, shops, one kilter.toml, and what is compared.

Reads the ERP and the twins, never Kilter's store. It starts them, and ends what it started.
"""
import base64
import collections
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from decimal import ROUND_HALF_UP, Decimal

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, 'tryton'))
import drive  # noqa: E402

SHARED = os.environ.get('KILTER_SHARED') or os.path.join(HERE, '..', '..', '..', 'shared')
TOLERANCE = Decimal('0.01')              # of a rounding line, for each line of the order
HALF_PLACE = Decimal('0.00005')          # ... or half of the last place of Tryton's net price, for each piece, and its tax
GUEST = 'guest@shop.example'


def log(text):
    print('%s  %s' % (time.strftime('%H:%M:%S'), text), flush=True)


class Twin:
    """A shop: its own process, its back office."""

    kind = 'woocommerce'

    def __init__(self, kilter, name, settings):
        self.name, self.settings = name, settings
        pairs = [x for k, v in settings.items() for x in ('--set', '%s=%s' % (k, v))]
        self.process = subprocess.Popen([kilter, 'twin', self.kind, '--port', '0', *pairs],
                                        stdout=subprocess.PIPE, text=True)
        self.url = re.search(r'http://\S+', self.process.stdout.readline()).group().rstrip('/')
        self.process.stdout.readline()

    def table(self):
        """Its connection in kilter.toml, line by line."""
        name, s = self.name.lower(), self.settings
        return ['[connection.%s]' % name, 'connector = "woocommerce"', 'url = "%s"' % self.url,
                'consumer_key = "ck_test"', 'consumer_secret = "cs_test"',
                'locale = "%s"' % s['locale'], 'currency = "%s"' % s['currency'],
                'price_list = "retail-%s"' % s['currency'].lower(),
                'guest_email = "%s"' % GUEST,
                'locations = ["berlin"%s]' % (', "leeds"' if self.name == 'UK' else ''),
                '[connection.%s.orders]' % name, 'prefix = "%s"' % self.name,
                'since = "2020-01-01T00:00:00Z"',
                '[connection.%s.lookup.taxes]' % name, '"%s" = "1"' % s['tax_rate']]

    def office(self, page, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + '/_twin/' + page, data,
                                         {'content-type': 'application/json'})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)

    def state(self):
        return self.office('state')

    def refund(self, order, body):
        """Made as a person in the shop makes it: no gateway is asked."""
        key = base64.b64encode(b'ck_test:cs_test').decode()
        request = urllib.request.Request(
            '%s/wp-json/wc/v3/orders/%d/refunds' % (self.url, order), json.dumps({**body, 'api_refund': False}).encode(),
            {'content-type': 'application/json', 'authorization': 'Basic ' + key})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)

    def items(self, state=None):
        """{sku: product or variation} of what a customer can buy."""
        state = state or self.state()
        rows = [p for p in state['products'] if p['type'] == 'simple'] + state['variations']
        return {p['sku']: p for p in rows if p['sku']}

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Act:
    """One ERP, its shops, one kilter.toml."""

    def __init__(self, args, name, variant, shops):
        self.name, self.args, self.problems = name, args, []
        self.dir = tempfile.mkdtemp(prefix='kilter-flow-%s-' % name)
        self.instance = 'flow-%s-%d' % (name, os.getpid())
        started = time.time()
        out = subprocess.run([os.path.join(HERE, 'tryton', 'start.sh'), args.tryton, '0', variant,
                              self.instance], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if out.returncode:
            raise SystemExit('the ERP did not start:\n' + out.stderr[-3000:])
        self.erp = drive.Erp(out.stdout.strip().splitlines()[-1])
        log('%s: ERP with %s serves, %.0f s' % (name, variant, time.time() - started))
        self.shops = {}
        for open_shop in shops:
            shop = open_shop(args.kilter)
            self.shops[shop.name] = shop
        self.config = os.path.join(self.dir, 'kilter.toml')
        with open(self.config, 'w') as f:
            f.write(self.toml(variant))

    def toml(self, variant):
        i = self.erp.info
        table = lambda d: '{ ' + ', '.join('"%s" = "%s"' % kv for kv in d.items()) + ' }'  # noqa: E731
        unique = not variant.endswith('-plain')
        out = ['locations = ["berlin", "leeds"]', '[kilter]', 'store = "kilter.sqlite"']
        for name, currency in (('retail-eur', 'EUR'), ('retail-gbp', 'GBP')):
            out += ['[price_list.%s]' % name, 'currency = "%s"' % currency, 'tax = "included"']
        out += ['[connection.erp]', 'connector = "tryton"',
                'url = "%s"' % i['url'].rsplit('/', 1)[0], 'database = "%s"' % i['database'],
                'key = "%s"' % i['key'], 'company = "%s"' % i['company'],
                'unit = "%s"' % i['uoms']['unit'],
                'warehouse = "%s"' % i['warehouses']['WH1']['id'], 'no_shipment_cost = "yes"',
                'order_key = "%s"' % ('unique' if unique else 'plain')]
        if unique:
            out.append('web_shop = "%s"' % i['web_shops']['DE'])
        out += ['line_lists = "retail-gbp"', 'list_price_lists = "retail-eur"',
                'locales = { de_DE = "de", en_GB = "en" }',
                'price_lists = ' + table(i['price_lists']),
                'locations = ' + table({'berlin': i['warehouses']['WH1']['id'],
                                        'leeds': i['warehouses']['WH2']['id']}),
                '[connection.erp.lookup]',
                'taxes = ' + table(i['taxes']),
                'services = ' + table({'shipping': i['services']['SHIPPING'], 'fee': i['services']['FEE']}),
                'currencies = ' + table(i['currencies']), 'countries = ' + table(i['countries'])]
        for shop in self.shops.values():
            out += shop.table()
        out += ['[own]']
        for entity in ('product', 'variant', 'price', 'stock', 'shipment'):
            out += ['[own.%s]' % entity, '"*" = "erp"']
        for entity in ('customer', 'refund'):
            out += ['[own.%s]' % entity, '"*" = "origin"']
        out += ['[own.order]', '"*" = "origin"', 'fulfilment = "erp"']
        return '\n'.join(x for x in out if x != '[own]') + '\n'

    def kilter(self, *args, timeout=None):
        self.erp.connection.close()              # the server ends an idle one after 75 s
        out = subprocess.run([self.args.kilter, *args, '--config', self.config, '--json'],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.dir,
                             timeout=timeout or self.args.timeout)
        try:
            answer = json.loads(out.stdout[out.stdout.index('{'):])
        except ValueError:
            raise SystemExit('kilter %s: %s\n%s\n%s' % (args, out.returncode, out.stdout[-2000:],
                                                        out.stderr[-4000:]))
        return out.returncode, answer

    def killed(self, what, reached):
        """Starts a sync and kills it (`kill -9`) as soon as `reached()` says so."""
        self.erp.connection.close()
        command = [self.args.kilter, 'sync', '--config', self.config, '--json']
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.dir) as process:
            until, seen = time.time() + self.args.timeout, reached()
            while not seen and process.poll() is None and time.time() < until:
                time.sleep(0.05)
                seen = reached()
            ended = process.poll()
            process.kill()
        self.expect(seen and ended is None, '%s: it was not killed in the middle, for it ended with %s' % (what, ended))
        log('%s: %s: killed with %s there' % (self.name, what, seen))

    def sync(self, what):
        started = time.time()
        code, answer = self.kilter('sync')
        waits = collections.Counter((w['connection'], w['resource'], w['wait'], re.sub(r'[\d.]+', '#', w['reason'])[:90])
                                    for w in answer['waits'])
        log('%s: %s: %.1f s, calls (writes) %s' % (
            self.name, what, time.time() - started,
            ', '.join('%s %d (%d)' % (n, c, w) for n, (c, w) in sorted(answer['calls'].items()))))
        for wait, n in waits.most_common(4):
            log('    %5d × %s' % (n, ' '.join(wait)))
        self.expect(code == 0, '%s: sync answers %d: %s' % (what, code, answer['faults']))
        return answer['waits']

    def expect(self, holds, text):
        if not holds:
            self.problems.append(text)
            log('%s: WRONG: %s' % (self.name, text))
        return holds

    def nothing_planned(self):
        code, answer = self.kilter('plan')
        size = len(answer.get('operations', answer.get('changes', [])))
        self.expect(code == 0, 'the next plan is not empty (exit %d, %d operations): %s' % (
            code, size, json.dumps(answer)[:600]))
        log('%s: the next plan: exit %d' % (self.name, code))

    def aligned(self, shop, without=()):
        """Price, sellable figure and presence of every variant, by the ERP's own numbers."""
        erp = self.erp
        twin, currency = self.shops[shop], self.shops[shop].settings['currency'].lower()
        goods, prices = erp.goods(), erp.prices('retail-' + currency)
        stock = [erp.quantities(w) for w in (('WH1', 'WH2') if shop == 'UK' else ('WH1',))]
        items, wrong = twin.items(), collections.Counter()
        first = {}
        for code, product in goods.items():
            if code in without:
                continue
            item = items.get(code)
            if item is None:
                wrong['missing'] += 1
                first.setdefault('missing', code)
                continue
            price = Decimal(str(item['regular_price'] or '-1'))
            sellable = max(0, int(sum(Decimal(str(s.get(product, 0))) for s in stock)))
            if price != prices.get(product):
                wrong['price'] += 1
                first.setdefault('price', (code, str(price), str(prices.get(product))))
            if item['stock_quantity'] != sellable:
                wrong['stock'] += 1
                first.setdefault('stock', (code, item['stock_quantity'], sellable))
        self.expect(not wrong, '%s: %s, as %s' % (shop, dict(wrong), first))
        log('%s: shop %s: %d of %d variants as in the ERP' % (
            self.name, shop, len(goods) - len(without) - sum(wrong.values()), len(goods)))

    def of_line(self, line):
        """What one line of a shop's order may be off by in the ERP: core: sync/document, tolerance."""
        total, tax = Decimal(line['total']), Decimal(line['total_tax'])
        taxed = 1 + (tax / total if total else 0)
        return max(TOLERANCE, HALF_PLACE * abs(Decimal(line.get('quantity') or 1)) * taxed)

    def orders(self, shop, absent=()):
        """Every order of a shop is in the ERP exactly once, with its total."""
        sales = self.erp.sales()
        by = collections.defaultdict(list)
        for sale in sales:
            # DE-32-GRK9BX: the shop's prefix, its number, and a check that tells equal numbers apart.
            if sale['origin'] is None:           # else it is a return: see refunds
                by[re.sub(r'-[0-9A-Z]{6}$', '', sale['reference'] or '')].append(sale)
        rounded, sums, found = 0, Decimal(0), 0
        for order in self.shops[shop].state()['orders']:
            reference = '%s-%s' % (shop, order['number'])
            hits = by.pop(reference, [])
            if order['id'] in absent:
                self.expect(not hits, 'order %s is in the ERP and should not be' % reference)
                continue
            if not self.expect(len(hits) == 1, 'order %s is in the ERP %d times' % (reference, len(hits))):
                continue
            found += 1
            sale = hits[0]
            lines = [li for li in sale['lines'] if li['description'] == 'Rounding' and not li.get('product')]
            self.expect(len(lines) <= 1, '%s has %d rounding lines' % (reference, len(lines)))
            rounding = sum((Decimal(li['amount']) for li in lines), Decimal(0))
            rounded += bool(lines)
            limit = sum((self.of_line(li) for kind in ('line_items', 'shipping_lines', 'fee_lines')
                         for li in order.get(kind, [])), Decimal(0)) or TOLERANCE
            self.expect(abs(rounding) <= limit, '%s: rounding of %s' % (reference, rounding))
            self.expect(Decimal(sale['total_amount']) == Decimal(order['total']), '%s: total %s, %s in the shop' % (
                reference, sale['total_amount'], order['total']))
            self.expect(sale['state'] in ('processing', 'done'), '%s: %s' % (reference, sale['state']))
            want = sum(li['quantity'] for li in order['line_items'])
            have = sum(li['quantity'] for li in sale['lines']
                       if li.get('product') and li['product']['code'] not in ('SHIPPING', 'FEE'))
            self.expect(want == have, '%s: %s pieces, %s in the shop' % (reference, have, want))
            sums += Decimal(order['total'])
        self.expect(not by, 'sales that no shop has: %s' % list(by)[:5])
        log('%s: %d orders of %s are in the ERP once, %d with a rounding line, together %s; %d sales in all' % (
            self.name, found, shop, rounded, sums, len(sales)))
        return sales

    def refunds(self, shop):
        """Every refund of a shop is one return in the ERP: its money, and the pieces that came back."""
        state, sales = self.shops[shop].state(), self.erp.sales()
        returns = collections.defaultdict(list)
        for sale in sales:
            if sale['origin'] is not None:
                returns[re.sub(r'-[0-9A-Z]{6}$', '', sale['reference'] or '')].append(sale)
        for refund in state['refunds']:
            reference = '%s-R%s' % (shop, refund['id'])
            hits = returns.pop(reference, [])
            if not self.expect(len(hits) == 1, 'refund %s is in the ERP %d times' % (reference, len(hits))):
                continue
            sale = hits[0]
            self.expect(Decimal(sale['total_amount']) == -Decimal(refund['amount']), '%s: %s, %s in the shop' % (
                reference, sale['total_amount'], refund['amount']))
            of = [s for s in sales if sale['origin'] == 'sale.sale,%d' % s['id']]
            self.expect([re.sub(r'-[0-9A-Z]{6}$', '', s['reference']) for s in of] == [
                '%s-%s' % (shop, refund['parent_id'])], '%s is of %s' % (reference, of))
            self.expect(sale['state'] in ('processing', 'done'), '%s: %s' % (reference, sale['state']))
        self.expect(not returns, 'returns that no shop has: %s' % list(returns)[:5])
        log('%s: %d refunds of %s are in the ERP once' % (self.name, len(state['refunds']), shop))

    def stop(self):
        for shop in self.shops.values():
            shop.stop()
        subprocess.run([os.path.join(HERE, 'tryton', 'stop.sh'), self.args.tryton, self.instance])
        if self.args.keep:
            log('%s: kept in %s' % (self.name, self.dir))
        else:
            shutil.rmtree(self.dir, ignore_errors=True)
            shutil.rmtree(os.path.join(self.args.tryton, 'run', self.instance), ignore_errors=True)


def address(name, email, country='DE', **more):
    first, _, last = name.partition(' ')
    return {'first_name': first, 'last_name': last, 'email': email, 'address_1': '5 Side St',
            'postcode': '10117', 'city': 'Berlin', 'country': country, **more}
