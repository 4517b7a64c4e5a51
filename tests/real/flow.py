#!/usr/bin/env python3
"""The whole flow against a real Tryton 8.2 (standard library only).

    flow.py --kilter PATH [--scale ci|full] [--only small,plain,luma,retail] [--tryton DIR] [--keep]

Shops are Kilter's twins of WooCommerce, the ERP is real. Four acts, each with an ERP of its own:

    small   one German shop: align, orders with tax included, coupon, shipping, fee; shipped in the ERP; given back
    plain   the same orders where the ERP cannot hold a web id unique (class C)
    luma    1,847 variants into a German and a British shop (needs ../shared)
    retail  the invoices of an online shop as orders (needs ../shared; ci: the first 60)

What is judged is read from the ERP and the twins, never from Kilter's store. Exit code 1 if anything
differs from what is stated here. Where ../shared is absent, luma and retail are skipped, and said.

Rules for the invoices of `retail`, which are messy as real ones are:
  case pairs   a shop takes 85123A and 85123a for one SKU: both are held until a person decides; order lines
               with either code are left out, and counted. An order without another line is left out.
  non-goods    POST, DOT, M, D, C2, BANK CHARGES: a fee line with the code as its name.
  prices       the line's own, tax of 20 % included; the quantity as it stands.
  write-offs   (price 0, no customer): an order at price 0 over the absolute quantity, for the guest.
  no customer  the setting `guest_email` names who buys.
  cancelled    C… with its whole sale in the file: the shop's order is set to cancelled before it is
               read, and never reaches the ERP. Part of a sale, or a sale before the file begins: no order, left out.
"""
import argparse
import base64
import collections
import csv
import json
import os
import re
import shutil
import signal
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
NON_GOODS = {'POST', 'DOT', 'M', 'D', 'C2', 'BANK CHARGES'}
TOLERANCE = Decimal('0.01')              # of a rounding line, for each line of the order
HALF_PLACE = Decimal('0.00005')          # ... or half of the last place of Tryton's net price, for each piece, and its tax
GUEST = 'guest@shop.example'


def log(text):
    print('%s  %s' % (time.strftime('%H:%M:%S'), text), flush=True)


class Twin:
    """A shop: its own process, its back office."""

    def __init__(self, kilter, name, settings):
        self.name, self.settings = name, settings
        pairs = [x for k, v in settings.items() for x in ('--set', '%s=%s' % (k, v))]
        self.process = subprocess.Popen([kilter, 'twin', 'woocommerce', '--port', '0', *pairs],
                                        stdout=subprocess.PIPE, text=True)
        self.url = re.search(r'http://\S+', self.process.stdout.readline()).group().rstrip('/')
        self.process.stdout.readline()

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
        for shop in shops:
            settings = {'DE': {'currency': 'EUR', 'locale': 'de_DE', 'tax_rate': '19'},
                        'UK': {'currency': 'GBP', 'locale': 'en_GB', 'tax_rate': '20'}}[shop]
            self.shops[shop] = Twin(args.kilter, shop, {**settings, 'prices_include_tax': 'true'})
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
        for name, shop in self.shops.items():
            s = shop.settings
            out += ['[connection.%s]' % name.lower(), 'connector = "woocommerce"', 'url = "%s"' % shop.url,
                    'consumer_key = "ck_test"', 'consumer_secret = "cs_test"',
                    'locale = "%s"' % s['locale'], 'currency = "%s"' % s['currency'],
                    'price_list = "retail-%s"' % s['currency'].lower(),
                    'guest_email = "%s"' % GUEST,
                    'locations = ["berlin"%s]' % (', "leeds"' if name == 'UK' else ''),
                    '[connection.%s.orders]' % name.lower(), 'prefix = "%s"' % name,
                    'since = "2020-01-01T00:00:00Z"',
                    '[connection.%s.lookup.taxes]' % name.lower(), '"%s" = "1"' % s['tax_rate']]
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


def german_orders(act, n):
    """Orders as people place them: coupon, shipping, a fee, two sizes, a guest."""
    shop = act.shops['DE']
    skus = [s for s, p in sorted(shop.items().items()) if (p['stock_quantity'] or 0) > n]
    assert len(skus) > 3, 'the shop has too little'
    for k in range(n):
        pick = [skus[(k * 3 + j) % len(skus)] for j in range(1 + k % 3)]
        body = {'lines': [{'sku': s, 'quantity': 1 + (k + j) % 2} for j, s in enumerate(dict.fromkeys(pick))],
                'billing': address('Ada%d Byron' % (k % 7), '' if k % 5 == 4 else 'ada%d@example.com' % (k % 7)),
                'payment_method': 'stripe'}
        if k % 2:
            body['shipping_total'] = '4.12'
        if k % 3 == 1:
            body['fee'] = '1.68'
        if k % 4 == 2:
            body['coupon_percent'] = 10
        shop.office('orders', body)


def small(act, n=8):
    act.sync('first sync')
    act.aligned('DE')
    act.nothing_planned()
    german_orders(act, n)
    act.sync('%d orders' % n)
    sales = act.orders('DE')
    act.aligned('DE')
    act.nothing_planned()
    # The ERP ships half of them; the shop shows the numbers, and only that.
    shipped = {}
    for sale in sales[:n // 2]:
        for done in act.erp.ship(sale['id'], 'JD%05d' % sale['id']):
            shipped[re.sub(r'-[0-9A-Z]{6}$', '', sale['reference'])] = done['tracking']
    prices = {p: v + 1 for p, v in list(act.erp.prices('retail-eur').items())[3:8]}
    act.erp.set_prices('retail-eur', prices)
    act.sync('%d shipments, %d prices' % (len(shipped), len(prices)))
    for order in act.shops['DE'].state()['orders']:
        meta = next((m['value'] for m in order['meta_data'] if m['key'] == '_kilter_tracking'), [])
        want = shipped.get('DE-%s' % order['number'])
        act.expect([m['number'] for m in meta] == ([want] if want else []),
                   'order %s shows %s for %s' % (order['number'], meta, want))
        act.expect(order['status'] == ('completed' if want else 'processing'),
                   'order %s is %s' % (order['number'], order['status']))
    log('%s: %d orders show their tracking' % (act.name, len(shipped)))
    act.aligned('DE')
    act.orders('DE')
    act.nothing_planned()
    given_back(act)
    beyond(act)
    conformance(act)


def given_back(act):
    """Two refunds: a piece that came back, with its money; and money alone, for an order with several lines."""
    shop = act.shops['DE']
    orders = shop.state()['orders']
    line = next(li for o in orders for li in o['line_items'] if li['quantity'] > 1)
    one = next(o for o in orders if line in o['line_items'])
    other = next(o for o in orders if len(o['line_items']) > 1 and o is not one)
    sku, quantity = line['sku'], line['quantity']
    product = act.erp.goods()[sku]
    before = act.erp.quantities('WH1')[product]
    share = lambda v: str((Decimal(v) / quantity).quantize(Decimal('0.01'), ROUND_HALF_UP))  # noqa: E731
    shop.refund(one['id'], {'reason': 'Too small', 'line_items': [{
        'id': line['id'], 'quantity': 1, 'refund_total': share(line['total']),
        'refund_tax': [{'id': 1, 'refund_total': share(line['total_tax'])}]}]})
    shop.refund(other['id'], {'reason': 'For the wait', 'amount': '3.33'})
    act.sync('2 refunds')
    act.refunds('DE')
    act.orders('DE')
    after = act.erp.quantities('WH1')[product]
    act.expect(after == before + 1, '%s: %s in the ERP after one came back to %s' % (sku, after, before))
    act.aligned('DE')
    act.nothing_planned()


def beyond(act):
    """The other side of the tolerance: a total that rounding does not explain stays a draft, and is said."""
    shop = act.shops['DE']
    sku = sorted(shop.items())[0]
    # 0.19995 a piece has five places: 0.2000 is 1.50 too much, and no more than 1.00 may be rounding.
    order = shop.office('orders', {'lines': [{'sku': sku, 'quantity': 30000, 'subtotal': '5998.50', 'total': '5998.50'}],
                                   'billing': address('Ada0 Byron', 'ada0@example.com')})
    waits = act.sync('an order beyond the tolerance')
    act.expect(any('may be rounding' in w['reason'] and w['wait'] == 'held' for w in waits), 'it is not held: %s' % waits)
    sales = [s for s in act.erp.sales() if (s['reference'] or '').startswith('DE-%s-' % order['number'])]
    act.expect([s['state'] for s in sales] == ['draft'], 'it is not one draft: %s' % [s['state'] for s in sales])
    act.expect(not any(li['description'] == 'Rounding' for s in sales for li in s['lines']), 'it was rounded')
    log('%s: an order beyond the tolerance is held as a draft' % act.name)


def conformance(act):
    """The story that every connector is told, to the real ERP: it has no twin. Last, for it orders something."""
    code, told = act.kilter('connector', 'test', 'tryton', '--against', act.config, '--connection', 'erp')
    for step in told['steps']:
        log('%s: story: %-7s %s: %s' % (act.name, step['end'], step['name'], step['why']))
    ends = {step['name']: step['end'] for step in told['steps']}
    act.expect(code == 0 and 'failed' not in ends.values(), 'the story ended with %d' % code)
    for name in ('reads page by page', 'creates', 'loses its token'):
        act.expect(ends[name] == 'ok', 'the story left out: %s' % name)


def plain(act):
    small(act, 6)


def luma(act):
    act.sync('first sync')
    act.aligned('DE')
    act.aligned('UK')
    act.nothing_planned()


def invoices():
    """[(number, date, lines)] in the file's order."""
    out = collections.OrderedDict()
    path = os.path.join(SHARED, 'data', 'retail', 'online-retail-10k.csv')
    with open(path, encoding='utf-8-sig', newline='') as f:
        for row in csv.DictReader(f, delimiter=';'):
            row['Quantity'] = int(row['Quantity'])
            row['UnitPrice'] = Decimal(row['UnitPrice'].replace(',', '.'))
            out.setdefault(row['InvoiceNo'], []).append(row)
    return out


def cancelled_sales(all_invoices):
    """{sale: its cancellation}: the same customer takes back exactly what the sale held."""
    content = lambda rows, sign: tuple(sorted((r['StockCode'], sign * r['Quantity']) for r in rows))  # noqa: E731
    sales, found = {}, {}
    for number, rows in all_invoices.items():
        if not number.startswith('C'):
            sales[(rows[0]['CustomerID'], content(rows, 1))] = number
        elif sale := sales.get((rows[0]['CustomerID'], content(rows, -1))):
            found[sale] = number
    return found


COUNTRIES = {'United Kingdom': 'GB', 'France': 'FR', 'Australia': 'AU', 'Netherlands': 'NL', 'Germany': 'DE',
             'Norway': 'NO', 'EIRE': 'IE', 'Switzerland': 'CH', 'Spain': 'ES', 'Poland': 'PL', 'Portugal': 'PT',
             'Italy': 'IT', 'Belgium': 'BE', 'Lithuania': 'LT', 'Japan': 'JP', 'Iceland': 'IS', 'Denmark': 'DK',
             'Cyprus': 'CY', 'Sweden': 'SE', 'Austria': 'AT', 'Israel': 'IL', 'Finland': 'FI'}


def place(act, rows, items, counts):
    """An invoice as an order of the shop; its id, or None where nothing is left of it."""
    lines, fees = [], []
    for r in rows:
        net = (r['UnitPrice'] * abs(r['Quantity']) / Decimal('1.2')).quantize(Decimal('0.0001'), ROUND_HALF_UP)
        if r['StockCode'].upper() in NON_GOODS:
            fees.append({'name': r['StockCode'], 'total': str(net if r['Quantity'] > 0 else -net)})
        else:
            item = items.get(r['StockCode'])
            if item is None:
                counts['lines left out: case pair'] += 1
                continue
            lines.append({'sku': item['sku'], 'quantity': abs(r['Quantity']),
                          'subtotal': str(net), 'total': str(net)})
    if not lines:
        return None
    customer = rows[0]['CustomerID']
    person = address('Customer %s' % (customer or 'unknown'), '%s@retail.example' % customer if customer else '',
                     COUNTRIES[rows[0]['Country']])
    return act.shops['UK'].office('orders', {'lines': lines, 'fee_lines': fees, 'billing': person})['id']


def retail(act):
    act.sync('first sync')
    folded = collections.Counter(c.lower() for c in act.erp.goods())
    pairs = {c for c in act.erp.goods() if folded[c.lower()] > 1}
    items = act.shops['UK'].items()
    act.expect(len(pairs) == 54 and not pairs & set(items), '%d codes of case pairs, %d of them in the shop' % (
        len(pairs), len(pairs & set(items))))
    act.aligned('UK', without=pairs)
    found, counts, placed, absent = invoices(), collections.Counter(), {}, set()
    cancelled = cancelled_sales(found)
    chosen = list(found.items())[:act.args.invoices or (60 if act.args.scale == 'ci' else None)]
    for number, rows in chosen:
        if number.startswith('C'):
            counts['cancellation with its whole sale' if number in cancelled.values()
                   else 'cancellation left out'] += 1
            continue
        order = place(act, rows, items, counts)
        if order is None:
            counts['nothing left of it'] += 1
            continue
        counts['write-off at 0' if all(r['UnitPrice'] == 0 for r in rows) else 'sale'] += 1
        counts['of these for the guest'] += not rows[0]['CustomerID']
        placed[number] = order
        if number in cancelled:
            act.shops['UK'].office('orders/%d/status' % placed[number], {'status': 'cancelled'})
            absent.add(placed[number])
    log('retail: %d invoices: %s' % (len(chosen), dict(counts)))
    started = time.time()
    act.sync('%d orders' % len(placed))
    log('retail: %.2f orders a second' % (len(placed) / (time.time() - started)))
    act.orders('UK', absent)
    act.aligned('UK', without=pairs)
    act.nothing_planned()


ACTS = {'small': (small, 'small', ['DE']), 'plain': (plain, 'small-plain', ['DE']),
        'luma': (luma, 'luma', ['DE', 'UK']), 'retail': (retail, 'retail', ['UK'])}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--kilter', required=True, help='the program')
    parser.add_argument('--scale', choices=('ci', 'full'), default='ci')
    parser.add_argument('--only', default=','.join(ACTS))
    parser.add_argument('--tryton', default=os.path.join(HERE, '..', '..', '.local', 'tryton'))
    parser.add_argument('--timeout', type=int, default=3600, help='seconds a kilter command may take')
    parser.add_argument('--invoices', type=int, help='of retail, instead of what the scale says')
    parser.add_argument('--keep', action='store_true')
    args = parser.parse_args()
    args.kilter, args.tryton = os.path.abspath(args.kilter), os.path.abspath(args.tryton)
    # Stopped from outside: what was started still ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    wrong, started = [], time.time()
    for name in args.only.split(','):
        run, variant, shops = ACTS[name]
        if name in ('luma', 'retail') and not os.path.isdir(os.path.join(SHARED, 'data', name)):
            log('%s: SKIPPED: %s/data/%s is not there' % (name, SHARED, name))
            continue
        act = Act(args, name, variant, shops)
        try:
            run(act)
        except (drive.Refused, KeyError, AssertionError, subprocess.TimeoutExpired, OSError) as error:
            act.expect(False, '%s: %s' % (type(error).__name__, error))
        finally:
            act.stop()
        wrong += ['%s: %s' % (name, p) for p in act.problems]
    log('flow: %s, %.0f s' % ('%d WRONG' % len(wrong) if wrong else 'everything as it should be',
                              time.time() - started))
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
