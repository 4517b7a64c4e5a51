#!/usr/bin/env python3
"""The whole flow against a real Tryton 8.2 (standard library only).

    flow.py --kilter PATH [--scale ci|full] [--only small,plain,luma,retail,plus,kills] [--tryton DIR] [--keep]

Shops are Kilter's twins, of Shopify in `plus`, else of WooCommerce; the ERP is real. Six acts, each with an ERP of its own:

    small   one German shop: align, orders with tax included, coupon, shipping, fee; shipped in the ERP; given back
    plain   the same orders where the ERP cannot hold a web id unique (class C)
    luma    1,847 variants into a German and a British shop (needs ../shared)
    retail  the invoices of an online shop as orders (needs ../shared; ci: the first 60)
    kills   one German shop, and Kilter killed (kill -9) twenty times while it writes to the ERP
    plus    luma in a Shopify with two locations, orders back (needs ../shared; ci: 40, full: 300), kill -9 twice

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
import collections
import csv
import os
import re
import signal
import subprocess
import sys
import time
from decimal import ROUND_HALF_UP, Decimal

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from house import SHARED, Act, Twin, address, drive, log  # noqa: E402
from kills import kills  # noqa: E402
from plus import Plus, plus  # noqa: E402

NON_GOODS = {'POST', 'DOT', 'M', 'D', 'C2', 'BANK CHARGES'}


def german(kilter):
    return Twin(kilter, 'DE', {'currency': 'EUR', 'locale': 'de_DE', 'tax_rate': '19', 'prices_include_tax': 'true'})


def british(kilter):
    return Twin(kilter, 'UK', {'currency': 'GBP', 'locale': 'en_GB', 'tax_rate': '20', 'prices_include_tax': 'true'})


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


ACTS = {'small': (small, 'small', [german]), 'plain': (plain, 'small-plain', [german]),
        'luma': (luma, 'luma', [german, british]), 'retail': (retail, 'retail', [british]),
        'plus': (plus, 'luma', [Plus]),
        'kills': (lambda act: kills(act, german_orders), 'small', [german])}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--kilter', required=True, help='the program')
    parser.add_argument('--scale', choices=('ci', 'full'), default='ci')
    parser.add_argument('--only', help='without it all; at scale ci not kills, which takes minutes')
    parser.add_argument('--tryton', default=os.path.join(HERE, '..', '..', '.local', 'tryton'))
    parser.add_argument('--timeout', type=int, default=3600, help='seconds a kilter command may take')
    parser.add_argument('--invoices', type=int, help='of retail, instead of what the scale says')
    parser.add_argument('--keep', action='store_true')
    args = parser.parse_args()
    args.kilter, args.tryton = os.path.abspath(args.kilter), os.path.abspath(args.tryton)
    # Stopped from outside: what was started still ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    wrong, started = [], time.time()
    usual = ','.join(a for a in ACTS if a != 'kills' or args.scale == 'full')
    for name in (args.only or usual).split(','):
        run, variant, shops = ACTS[name]
        if variant in ('luma', 'retail') and not os.path.isdir(os.path.join(SHARED, 'data', variant)):
            log('%s: SKIPPED: %s/data/%s is not there' % (name, SHARED, variant))
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
