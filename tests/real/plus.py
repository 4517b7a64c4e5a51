"""The act `plus` of flow.py: luma in a Shopify (a twin) with two locations, beside a real ERP.

Kilter is killed in the middle of the first load, and in the middle of the orders. What is judged is
read from the ERP and from the twin's back office. The twin gives its clock's own budget: nothing is made faster.
"""
import collections
import re
from decimal import Decimal

from house import Twin, log

PLACES = {'berlin': 'WH1', 'leeds': 'WH2'}


class Plus(Twin):
    """A German Shopify Plus, prices with tax."""

    kind = 'shopify'

    def __init__(self, kilter):
        super().__init__(kilter, 'PL', {'plan': 'plus', 'currency': 'EUR', 'tax_rate': '19', 'taxes_included': 'true',
                                        'locations': ', '.join(PLACES)})

    def table(self):
        gids = {p['name']: p['gid'] if 'gid' in p else p['id'] for p in self.state()['locations']}
        return ['[connection.pl]', 'connector = "shopify"', 'url = "%s"' % self.url, 'token = "shpat_twin"',
                'client_secret = "hush"', 'locale = "de_DE"', 'currency = "EUR"', 'price_list = "retail-eur"',
                'locations = { %s }' % ', '.join('%s = "%s"' % (n, gids[n]) for n in PLACES),
                '[connection.pl.orders]', 'prefix = "PL"', 'since = "2020-01-01T00:00:00Z"']

    def goods(self):
        """[a line a variant], whatever its SKU."""
        return self.office('brief')

    def orders(self):
        return self.office('orders')


def digits(text):
    return re.sub(r'\D', '', text)


def aligned(act):
    """Each variant once, below one product with its siblings, its price, and each location's figure."""
    shop, erp = act.shops['PL'], act.erp
    goods, prices = erp.goods(), erp.prices('retail-eur')
    rows = erp.search('product.product', [['type', '=', 'goods']], ['code', 'template', 'name'])
    template = {r['code']: r['template'] for r in rows}
    stock = {place: erp.quantities(house) for place, house in PLACES.items()}
    found, wrong, first = collections.defaultdict(list), collections.Counter(), {}
    for row in shop.goods():
        found[row['sku']].append(row)

    def check(what, holds, seen):
        if not holds:
            wrong[what] += 1
            first.setdefault(what, seen)
    together = collections.defaultdict(set)
    for code, product in goods.items():
        check('not once', len(found[code]) == 1, (code, len(found[code])))
        if len(found[code]) != 1:
            continue
        row = found[code][0]
        together[template[code]].add(row['product'])
        price = Decimal(str(row['price'] or '-1'))
        check('price', price == prices.get(product), (code, str(price), str(prices.get(product))))
        for place, figures in stock.items():
            have = row['levels'].get(place, {}).get('available')
            want = max(0, int(Decimal(str(figures.get(product, 0)))))
            check('stock', have == want, (code, place, have, want))
    for one, products in together.items():
        check('product torn apart', len(products) == 1, (one, sorted(products)))
    apart = len({p for products in together.values() for p in products})
    check('products shared', apart == len(together), (apart, len(together)))
    more = {s for s in found if s not in goods}
    check('nobody knows', not more, sorted(map(str, more))[:3])
    act.expect(not wrong, 'shop PL: %s, as %s' % (dict(wrong), first))
    log('%s: shop PL: %d variants in %d products, each at %d locations, as in the ERP: %s' % (
        act.name, len(goods), apart, len(stock), 'no' if wrong else 'yes'))


def place(act, n):
    """Orders as people place them: one to three lines, a coupon, shipping, some without an address of their own."""
    shop = act.shops['PL']
    rows = sorted((r for r in shop.goods() if all(
        r['levels'].get(p, {}).get('available', 0) > 4 for p in PLACES)), key=lambda r: r['sku'])
    assert len(rows) > 30, 'the shop has too little'
    for k in range(n):
        pick = {rows[(k * 7 + j * 3) % len(rows)]['sku'] for j in range(1 + k % 3)}
        body = {'lines': [{'sku': s, 'quantity': 1 + (k + i) % 2} for i, s in enumerate(sorted(pick))],
                'customer': {'email': 'ada%d@example.com' % (k % 31), 'firstName': 'Ada%d' % (k % 31), 'lastName': 'Byron'},
                'billing': {'firstName': 'Ada%d' % (k % 31), 'lastName': 'Byron', 'address1': 'Side St %d' % k,
                            'city': 'Berlin', 'zip': '10117', 'countryCode': 'DE'}}
        if k % 2:
            body['shipping_price'] = '4.90'
        if k % 4 == 2:
            body['coupon_percent'] = 10
        shop.office('orders', body)


def sold(act):
    """Each order of the shop is in the ERP exactly once, with its total and its pieces; {number: sale}."""
    sales = collections.defaultdict(list)
    for sale in act.erp.sales():
        if sale['origin'] is None:
            sales[digits(re.sub(r'-[0-9A-Z]{6}$', '', sale['reference'] or ''))].append(sale)
    orders, once, together = act.shops['PL'].orders(), {}, Decimal(0)
    for order in orders:
        number = digits(order['name'])
        hits = sales.pop(number, [])
        if not act.expect(len(hits) == 1, 'order %s is in the ERP %d times' % (order['name'], len(hits))):
            continue
        once[number] = hits[0]
        total = Decimal(str(order['total_price']))
        together += total
        act.expect(Decimal(hits[0]['total_amount']) == total, 'order %s: %s in the ERP, %s in the shop' % (
            order['name'], hits[0]['total_amount'], total))
        act.expect(hits[0]['state'] in ('processing', 'done'), 'order %s is %s' % (order['name'], hits[0]['state']))
        want = sum(li['quantity'] for li in order['line_items'])
        have = sum(li['quantity'] for li in hits[0]['lines']
                   if li.get('product') and li['product']['code'] not in ('SHIPPING', 'FEE'))
        act.expect(want == have, 'order %s: %s pieces in the ERP, %s in the shop' % (order['name'], have, want))
    act.expect(not sales, 'sales that no shop has: %s' % list(sales)[:5])
    log('%s: %d of %d orders are in the ERP once, together %s' % (act.name, len(once), len(orders), together))
    return once


def plus(act):
    shop, all_goods = act.shops['PL'], len(act.erp.goods())
    half = lambda: len(shop.goods()) > all_goods / 3 and '%d of %d variants' % (len(shop.goods()), all_goods)  # noqa: E731
    act.killed('first sync', half)
    act.sync('first sync, again')
    aligned(act)
    act.nothing_planned()

    n = 300 if act.args.scale == 'full' else 40
    place(act, n)
    sales = lambda: len(act.erp.search('sale.sale', [], ['id']))  # noqa: E731
    act.killed('%d orders' % n, lambda: n / 4 < sales() < n and '%d sales' % sales())
    act.sync('%d orders, again' % n)
    once = sold(act)
    aligned(act)
    act.nothing_planned()
    shipped(act, once)
    afterwards(act)


def shipped(act, once, n=6):
    """What the ERP ships, the shop shows once, with its number."""
    numbers = {}
    for number, sale in sorted(once.items())[:n]:
        for done in act.erp.ship(sale['id'], 'JD%05d' % sale['id']):
            numbers[number] = done['tracking']
    act.sync('%d shipments' % len(numbers))
    for order in act.shops['PL'].orders():
        have = [f['tracking_number'] for f in order['fulfillments']]
        want = [numbers[digits(order['name'])]] if digits(order['name']) in numbers else []
        act.expect(have == want, 'order %s shows %s for %s' % (order['name'], have, want))
    log('%s: %d orders show their tracking' % (act.name, len(numbers)))
    in_parts(act, {number: sale for number, sale in once.items() if number not in numbers})
    aligned(act)
    act.nothing_planned()


def in_parts(act, once):
    """An order of two pieces that leaves in two parcels: the shop hears of each when it leaves, with its piece."""
    pieces = lambda sale: [li['quantity'] for li in sale['lines']  # noqa: E731
                           if li.get('product') and li['product']['code'] not in ('SHIPPING', 'FEE')]
    number, sale = next((n, s) for n, s in sorted(once.items()) if pieces(s) == [2])
    want = []
    for tracking, partial in (('JDA%05d' % sale['id'], True), ('JDB%05d' % sale['id'], False)):
        act.erp.ship(sale['id'], tracking, partial=partial)
        want.append((tracking, [1]))
        act.sync('parcel %d of an order' % len(want))
        order = next(o for o in act.shops['PL'].orders() if digits(o['name']) == number)
        have = [(f['tracking_number'], [li['quantity'] for li in f['line_items']]) for f in order['fulfillments']]
        act.expect(have == want, 'order %s shows %s for %s' % (order['name'], have, want))
    log('%s: an order left in two parcels, each told with its piece' % act.name)


def afterwards(act):
    """An order changed after it was sent waits with a sentence; money given back for no line is a return; others go on."""
    shop = act.shops['PL']
    orders = sorted(shop.orders(), key=lambda o: o['id'])
    edited, refunded = orders[-1], orders[-2]
    line = edited['line_items'][0]
    shop.office('orders/%s/edit' % edited['id'], {'lines': [{'sku': line['sku'], 'quantity': line['quantity'] + 1}]})
    shop.office('orders/%s/refund' % refunded['id'], {'lines': [], 'amount': '3.33', 'note': 'For the wait'})
    product, price = sorted(act.erp.prices('retail-eur').items())[5]
    act.erp.set_prices('retail-eur', {product: price + 1})
    waits = act.sync('an edit, a gesture, a price')
    act.expect(any(w['wait'] == 'held' and 'changed in the shop' in w['reason'] for w in waits),
               'nobody is told of the edit: %s' % waits)
    back = [s for s in act.erp.sales() if s['origin'] is not None]
    act.expect([s['total_amount'] for s in back] == ['-3.33'], 'given back in the ERP: %s' % [
        s['total_amount'] for s in back])
    code = {i: c for c, i in act.erp.goods().items()}.get(product)
    have = [r['price'] for r in shop.goods() if r['sku'] == code]
    act.expect(code is None or [Decimal(str(p)) for p in have] == [price + 1], 'price of %s: %s, not %s' % (code, have, price + 1))
    log('%s: the edit waits, 3.33 are given back, the price is there' % act.name)
