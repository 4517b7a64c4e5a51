#!/usr/bin/env python3
"""What people do in the ERP, for tests (standard library only).

    drive.py TRYTON.JSON prices N [--list retail-eur|retail-gbp] [--seed S]   change N prices
    drive.py TRYTON.JSON stock N [--warehouse WH1] [--seed S]                 count N products anew
    drive.py TRYTON.JSON set-price CODE PRICE [--list ...]
    drive.py TRYTON.JSON set-stock CODE QUANTITY [--warehouse ...]
    drive.py TRYTON.JSON rename CODE NAME
    drive.py TRYTON.JSON ship [--sale ID]... [--tracking PREFIX] [--carrier DHL] [--partial]
    drive.py TRYTON.JSON sales                                                all sales, lines, totals
    drive.py TRYTON.JSON dump                                                 the referee's picture
    drive.py TRYTON.JSON order N [--lines L] [--threads T]                    N sales, confirmed
    drive.py TRYTON.JSON bench [--seconds S] [--threads T]                    requests a second

Every command prints one JSON document.  The same functions serve as a module.
"""
import argparse
import base64
import datetime as dt
import http.client
import json
import random
import sys
import threading
import time
from decimal import ROUND_HALF_UP, Decimal
from urllib.parse import urlsplit

CHUNK = 50                       # records a write; see README, "Batches"


def b64(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def decimal(value):
    return {'__class__': 'Decimal', 'decimal': str(value)}


def plain(value):
    """Typed JSON to plain JSON: decimals as strings, dates and datetimes as ISO 8601."""
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        kind = value.get('__class__')
        if kind == 'Decimal':
            return value['decimal']
        if kind == 'date':
            return dt.date(value['year'], value['month'], value['day']).isoformat()
        if kind == 'datetime':
            return dt.datetime(value['year'], value['month'], value['day'], value['hour'],
                               value['minute'], value['second'],
                               value['microsecond']).isoformat(timespec='microseconds')
        return {k: plain(v) for k, v in value.items()}
    return value


class Refused(Exception):
    def __init__(self, status, answer):
        self.status, self.answer = status, answer
        super().__init__('%s %s' % (status, answer))


class Erp:
    """One connection (keep-alive); not for several threads at once."""

    def __init__(self, info):
        self.info = json.load(open(info)) if isinstance(info, str) else info
        url = urlsplit(self.info['url'])
        self.path = url.path
        self.connection = http.client.HTTPConnection(url.hostname, url.port, timeout=300)
        self.session = None

    def _send(self, method, path, headers, body):
        data = None if body is None else json.dumps(body).encode()
        for last in (False, True):
            try:
                self.connection.request(method, path, body=data, headers=headers)
                response = self.connection.getresponse()
                return response.status, response.read().decode()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self.connection.close()
                if last or method != 'GET':
                    raise

    def call(self, method, path, body=None, context=None):
        context = {'company': self.info['company'], **(context or {})}
        status, text = self._send(method, self.path + '/rest/model/' + path, {
            'Authorization': 'Bearer ' + self.info['key'], 'Content-Type': 'application/json',
            'X-Tryton-Context': b64(context)}, body)
        if status == 204:
            return None
        if status != 200:
            raise Refused(status, text[:500])
        return json.loads(text)

    def search(self, model, domain, fields, context=None, order=None):
        body = {'domain': domain, 'fields_names': fields}
        if order:
            body['order'] = order
        return self.call('POST', model + '/search_read', body, context)

    def rpc(self, method, *params):
        """JSON-RPC, the protocol of the client people sit at; needed where several records get
        different values in one call."""
        headers = {'Content-Type': 'application/json'}
        if method != 'common.db.login':
            if not self.session:
                uid, token = self.rpc('common.db.login', self.info['user'],
                                      {'password': self.info['password']}, 'en')[:2]
                self.session = base64.b64encode(
                    ('%s:%s:%s' % (self.info['user'], uid, token)).encode()).decode()
            headers['Authorization'] = 'Session ' + self.session
            params += ({'company': self.info['company']},)
        status, text = self._send('POST', self.path + '/rpc/', headers,
                                  {'id': 1, 'method': method, 'params': list(params)})
        answer = json.loads(text) if status == 200 else {'error': text[:500]}
        if answer.get('error'):
            raise Refused(status, json.dumps(answer['error'])[:500])
        return answer['result']

    # ------------------------------------------------------------------------------ products
    def goods(self):
        rows = self.search('product.product', [['type', '=', 'goods'], ['salable', '=', True]],
                           ['code', 'template'], order=[['id', 'ASC']])
        return {r['code']: r['id'] for r in rows}

    def prices(self, name):
        """{product id: price} of a list: literal lines as they stand, else the list price."""
        if name == 'retail-gbp':
            rows = self.search('product.price_list.line',
                               [['price_list', '=', self.info['price_lists'][name]]],
                               ['product', 'formula'])
            return {r['product']: Decimal(r['formula']) for r in rows}
        rows = self.search('product.product', [], ['list_price_used'])
        return {r['id']: Decimal(r['list_price_used']['decimal'])
                for r in rows if r['list_price_used']}

    def set_prices(self, name, prices):
        """prices: {product id: Decimal}; at most CHUNK a transaction."""
        if name == 'retail-gbp':
            rows = self.search('product.price_list.line',
                               [['price_list', '=', self.info['price_lists'][name]]], ['product'])
            ids, model = {r['product']: r['id'] for r in rows}, 'product.price_list.line'
            writes = [([ids[p]], {'formula': str(v)}) for p, v in prices.items()]
        else:
            model = 'product.product'
            writes = [([p], {'list_price': decimal(v)}) for p, v in prices.items()]
        for i in range(0, len(writes), CHUNK):
            self.rpc('model.%s.write' % model,
                     *[x for write in writes[i:i + CHUNK] for x in write])

    def quantities(self, warehouse, field='forecast_quantity'):
        today = dt.date.today()
        context = {'locations': [self.info['warehouses'][warehouse]['id']], 'stock_date_end': {
            '__class__': 'date', 'year': today.year, 'month': today.month, 'day': today.day}}
        rows = self.search('product.product', [['type', '=', 'goods']], [field], context)
        return {r['id']: r[field] for r in rows}

    def set_stock(self, warehouse, quantities):
        """An inventory: {product id: counted quantity}, on the warehouse's storage location."""
        items = list(quantities.items())
        for i in range(0, len(items), CHUNK):
            inventory = self.call('POST', 'stock.inventory?f=id', {
                'location': self.info['warehouses'][warehouse]['storage'],
                'lines': [['create', [{'product': p, 'quantity': float(q)}
                                      for p, q in items[i:i + CHUNK]]]]})
            self.call('POST', 'stock.inventory/%d/confirm' % inventory['id'], {})

    def rename(self, product, name):
        template = self.call('GET', 'product.product/%d?f=template' % product)['template']
        self.call('PUT', 'product.template/%d?f=name' % template, {'name': name})

    # --------------------------------------------------------------------------------- sales
    def ship(self, sale, tracking, carrier='DHL', partial=False):
        """Ship what waits of a sale; answers the shipments.  partial: one piece of the first line."""
        done = []
        for shipment in self.call('GET', 'sale.sale/%d?f=shipments' % sale)['shipments']:
            path = 'stock.shipment.out/%d' % shipment
            now = self.call('GET', path + '?f=state&f=inventory_moves')
            if now['state'] in ('done', 'cancelled'):
                continue
            if partial and now['state'] in ('draft', 'waiting'):
                for n, move in enumerate(now['inventory_moves']):
                    self.call('PUT', 'stock.move/%d?f=quantity' % move,
                              {'quantity': 0.0 if n else 1.0})
            self.call('PUT', path + '?f=id', {'carrier': self.info['carriers'][carrier]})
            for action in ('assign_try', 'pick', 'pack'):
                answer = self.call('POST', '%s/%s?f=state' % (path, action), {})
                if action == 'assign_try' and answer['state'] != 'assigned':
                    raise Refused(200, 'short of stock: shipment %d is %s' % (shipment, answer['state']))
            self.call('PUT', path + '?f=id', {'shipping_reference': tracking})
            answer = self.call('POST', path + '/do?f=number&f=state&f=shipping_reference', {})
            done.append({'sale': sale, 'shipment': shipment, 'number': answer['number'],
                         'state': answer['state'], 'tracking': answer['shipping_reference']})
        return done

    def sales(self):
        fields = ['number', 'reference', 'origin', 'state', 'shipment_state', 'invoice_state', 'sale_date',
                  'party', 'party.name', 'currency.code', 'warehouse.code', 'untaxed_amount',
                  'tax_amount', 'total_amount', 'shipments', 'invoices', 'last_modified_at',
                  'lines.type', 'lines.product.code', 'lines.quantity', 'lines.unit_price',
                  'lines.amount', 'lines.description', 'lines.taxes.rate']
        if self.info['web_shops']:
            fields += ['web_shop', 'web_id']
        found = []
        rows = self.search('sale.sale', [], ['id'], order=[['id', 'ASC']])
        for i in range(0, len(rows), 200):
            found += self.search('sale.sale', [['id', 'in', [r['id'] for r in rows[i:i + 200]]]],
                                 fields, order=[['id', 'ASC']])
        return undot(plain(found))

    def dump(self):
        rows = self.search('product.product', [], [
            'code', 'name', 'active', 'type', 'template.code', 'description', 'attributes',
            'weight', 'last_modified_at', 'template.last_modified_at'], order=[['id', 'ASC']])
        lists = {name: self.prices(name) for name in self.info['price_lists']}
        stock = {w: self.quantities(w) for w in self.info['warehouses']}
        products = {}
        for r in undot(plain(rows)):
            r['active'] = bool(r['active'])
            r['prices'] = {name: str(p[r['id']]) for name, p in lists.items() if r['id'] in p}
            r['stock'] = {w: q[r['id']] for w, q in stock.items() if r['id'] in q}
            products[r['code']] = r
        return {'products': products, 'sales': len(self.search('sale.sale', [], ['id']))}

    def party(self, name, email):
        p = self.call('POST', 'party.party?f=id&f=addresses', {
            'name': name, 'addresses': [['create', [{
                'party_name': name, 'street': '5 Side St', 'postal_code': '10117',
                'city': 'Berlin', 'country': self.info['countries']['DE']}]]],
            'contact_mechanisms': [['create', [{'type': 'email', 'value': email}]]]})
        return p['id'], p['addresses'][0]

    def order(self, party, address, web_id, products, prices):
        tax = self.info['taxes']['19']
        values = {
            'party': party, 'invoice_address': address, 'shipment_address': address,
            'warehouse': self.info['warehouses']['WH1']['id'], 'reference': web_id,
            'payment_term': self.info['payment_terms']['Immediate'],
            'currency': self.info['currencies']['EUR'], 'shipment_cost_method': None,
            'lines': [['create', [{
                'product': p, 'unit': self.info['uoms']['unit'], 'quantity': 1.0,
                'unit_price': decimal((prices[p] / Decimal('1.19')).quantize(
                    Decimal('0.0001'), ROUND_HALF_UP)),
                'taxes': [['add', [tax]]]} for p in products]]]}
        if self.info['web_shops']:
            values.update(web_shop=self.info['web_shops']['DE'], web_id=web_id)
        sale = self.call('POST', 'sale.sale?f=id', values)['id']
        for action in ('quote', 'confirm'):
            self.call('POST', 'sale.sale/%d/%s?f=state' % (sale, action), {})
        return sale


def undot(value):
    """search_read answers a nested record under "name." (beside "name": id): make it "name"."""
    if isinstance(value, list):
        return [undot(v) for v in value]
    if isinstance(value, dict):
        result = {k: undot(v) for k, v in value.items() if not k.endswith('.')}
        result.update({k[:-1]: undot(v) for k, v in value.items() if k.endswith('.') and v})
        return result
    return value


def parallel(info, threads, seconds, work):
    """Calls work(erp, n) from several threads; answers (calls, seconds, latencies)."""
    latencies, lock, stop, n = [], threading.Lock(), time.time() + seconds, iter(range(10 ** 9))

    def run():
        erp = Erp(info)
        while time.time() < stop:
            with lock:
                i = next(n)
            t = time.time()
            work(erp, i)
            with lock:
                latencies.append(time.time() - t)
    started = time.time()
    pool = [threading.Thread(target=run) for _ in range(threads)]
    for t in pool:
        t.start()
    for t in pool:
        t.join()
    took = time.time() - started
    latencies.sort()
    return {'calls': len(latencies), 'per_second': round(len(latencies) / took, 1),
            'p50_ms': round(1000 * latencies[len(latencies) // 2]),
            'p99_ms': round(1000 * latencies[int(len(latencies) * .99)])}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('info')
    parser.add_argument('command')
    parser.add_argument('args', nargs='*')
    parser.add_argument('--list', default='retail-eur')
    parser.add_argument('--warehouse', default='WH1')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--sale', type=int, action='append')
    parser.add_argument('--tracking', default='TRACK-')
    parser.add_argument('--carrier', default='DHL')
    parser.add_argument('--partial', action='store_true')
    parser.add_argument('--lines', type=int, default=3)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--seconds', type=float, default=5)
    o = parser.parse_args()
    erp, out = Erp(o.info), None
    rng = random.Random(o.seed)
    if o.command in ('prices', 'stock', 'set-price', 'set-stock', 'rename', 'order', 'bench'):
        goods = erp.goods()
    if o.command == 'prices':
        old = erp.prices(o.list)
        chosen = rng.sample(sorted(goods), int(o.args[0]))
        new = {}
        for code in chosen:
            was = old[goods[code]]
            new[goods[code]] = max(Decimal('0.01'), (was * Decimal(rng.choice(
                ('0.9', '0.95', '1.05', '1.1', '1.25')))).quantize(Decimal('0.01')) + Decimal('0.01'))
        erp.set_prices(o.list, new)
        out = [{'code': c, 'list': o.list, 'old': str(old[goods[c]]), 'new': str(new[goods[c]])}
               for c in chosen]
    elif o.command == 'stock':
        old = erp.quantities(o.warehouse)
        chosen = rng.sample(sorted(goods), int(o.args[0]))
        new = {goods[c]: float(rng.randrange(0, 200)) for c in chosen}
        erp.set_stock(o.warehouse, new)
        after = erp.quantities(o.warehouse)
        out = [{'code': c, 'warehouse': o.warehouse, 'old': old[goods[c]], 'counted': new[goods[c]],
                'new': after[goods[c]]} for c in chosen]
    elif o.command == 'set-price':
        erp.set_prices(o.list, {goods[o.args[0]]: Decimal(o.args[1])})
        out = {'code': o.args[0], 'list': o.list, 'price': o.args[1]}
    elif o.command == 'set-stock':
        erp.set_stock(o.warehouse, {goods[o.args[0]]: float(o.args[1])})
        out = {'code': o.args[0], 'warehouse': o.warehouse,
               'forecast': erp.quantities(o.warehouse)[goods[o.args[0]]]}
    elif o.command == 'rename':
        erp.rename(goods[o.args[0]], o.args[1])
        out = {'code': o.args[0], 'name': o.args[1]}
    elif o.command == 'ship':
        sales = o.sale or [r['id'] for r in erp.search('sale.sale', [
            ['state', '=', 'processing'], ['shipment_state', 'in', ['waiting', 'partially shipped']]],
            ['id'], order=[['id', 'ASC']])]
        out = [s for sale in sales
               for s in erp.ship(sale, '%s%d' % (o.tracking, sale), o.carrier, o.partial)]
    elif o.command == 'sales':
        out = erp.sales()
    elif o.command == 'dump':
        out = erp.dump()
    elif o.command in ('order', 'bench'):
        prices = erp.prices('retail-eur')
        ids = sorted(goods.values())
        party, address = erp.party('Drive Customer', 'drive@example.com')
        stamp = '%x' % time.time_ns()

        def place(e, n):
            return e.order(party, address, '%s-%d' % (stamp, n),
                           [ids[(n * 7 + k) % len(ids)] for k in range(o.lines)], prices)
        if o.command == 'order':
            todo, lock, out = list(range(int(o.args[0])))[::-1], threading.Lock(), []

            def run():
                e = Erp(o.info)
                while True:
                    with lock:
                        if not todo:
                            return
                        n = todo.pop()
                    out.append(place(e, n))
            pool = [threading.Thread(target=run) for _ in range(o.threads)]
            [t.start() for t in pool]
            [t.join() for t in pool]
            out.sort()
        else:
            few = ids[:100]
            out = {
                'read one product': parallel(o.info, o.threads, o.seconds, lambda e, n: e.call(
                    'GET', 'product.product/%d?f=code&f=last_modified_at' % ids[n % len(ids)])),
                'read 100 products': parallel(o.info, o.threads, o.seconds, lambda e, n: e.search(
                    'product.product', [['id', 'in', few]], ['code', 'name', 'list_price_used'])),
                'quantities of 100': parallel(o.info, o.threads, o.seconds, lambda e, n: e.search(
                    'product.product', [['id', 'in', few]], ['forecast_quantity'],
                    {'locations': [erp.info['warehouses']['WH1']['id']]})),
                'sale of %d lines, create + quote + confirm' % o.lines: parallel(
                    o.info, o.threads, o.seconds * 2, place)}
    else:
        parser.error('unknown command ' + o.command)
    json.dump(out, sys.stdout, indent=1, ensure_ascii=False)
    print()


if __name__ == '__main__':
    main()
