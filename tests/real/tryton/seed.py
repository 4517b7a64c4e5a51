#!/usr/bin/env python3
"""Seed a Tryton 8.2 database in process (no server).

    seed.py base DB OUT.json              company, chart of accounts, taxes, warehouses, price lists, shops
    seed.py load DB BASE.json OUT.json CATALOGUE   products, prices and stock: luma | retail | small

TRYTOND_CONFIG names the configuration.  KILTER_SHARED names the folder that holds data/luma and
data/retail (else <repository>/../shared); `small` needs no file.
"""
import csv
import datetime as dt
import json
import os
import sys
import time
import zlib
from decimal import ROUND_HALF_UP, Decimal

HERE = os.path.dirname(os.path.abspath(__file__))
SHARED = os.environ.get('KILTER_SHARED') or os.path.join(HERE, '..', '..', '..', '..', 'shared')
CENT = Decimal('0.01')
TODAY = dt.date.today()
COUNTRIES = {
    'DE': 'Germany', 'GB': 'United Kingdom', 'AT': 'Austria', 'AU': 'Australia', 'BE': 'Belgium',
    'CH': 'Switzerland', 'CY': 'Cyprus', 'DK': 'Denmark', 'ES': 'Spain', 'FI': 'Finland',
    'FR': 'France', 'IE': 'EIRE', 'IL': 'Israel', 'IS': 'Iceland', 'IT': 'Italy', 'JP': 'Japan',
    'LT': 'Lithuania', 'NL': 'Netherlands', 'NO': 'Norway', 'PL': 'Poland', 'PT': 'Portugal',
    'SE': 'Sweden', 'US': 'United States'}


# Records a call.  Without a database constraint (SQLite) trytond checks uniqueness by one query with
# a nested condition per record: about 100 overflow SQLite's parser, about 200 Python's stack.
CHUNK = 50


def chunks(rows, weight=lambda row: 1, limit=CHUNK):
    part, size = [], 0
    for row in rows:
        if part and size + weight(row) > limit:
            yield part
            part, size = [], 0
        part.append(row)
        size += weight(row)
    if part:
        yield part


def cents(value):
    return value.quantize(CENT, ROUND_HALF_UP)


# ------------------------------------------------------------------------------------------ base
def base(db, out):
    from proteus import Model, Wizard, config
    cfg = config.set_trytond(db, user='admin', config_file=os.environ['TRYTOND_CONFIG'])
    info = {}
    get = Model.get
    for item in get('ir.module.config_wizard.item').find([('state', '!=', 'done')]):
        item.state = 'done'
        item.save()
    modules = {m.name for m in get('ir.module').find([('state', '=', 'activated')])}

    Country = get('country.country')
    countries = {}
    for code, name in COUNTRIES.items():
        country = Country(name=name, code=code)
        country.save()
        countries[code] = country

    Currency = get('currency.currency')
    currencies = {}
    for code, name, symbol, number, rate in (
            ('EUR', 'Euro', '€', '978', '1'), ('GBP', 'Pound Sterling', '£', '826', '0.86'),
            ('USD', 'US Dollar', '$', '840', '1.08')):
        currency = Currency(name=name, symbol=symbol, code=code, numeric_code=number,
                            rounding=CENT, digits=2)
        line = currency.rates.new()
        line.date, line.rate = dt.date(TODAY.year, 1, 1), Decimal(rate)
        currency.save()
        currencies[code] = currency

    Party = get('party.party')
    me = Party(name='Kilter Test Company')
    address, = me.addresses
    address.street, address.postal_code, address.city = 'Hauptstrasse 1', '10115', 'Berlin'
    address.country = countries['DE']
    me.save()
    w = Wizard('company.company.config')
    w.execute('company')
    w.form.party, w.form.currency = me, currencies['EUR']
    w.execute('add')
    company, = get('company.company').find([])
    User = get('res.user')
    admin, = User.find([('login', '=', 'admin')])
    admin.companies.append(type(company)(company.id))
    admin.company = company
    admin.save()
    cfg._context = User.get_preferences(True, {})
    cfg._context['company'] = company.id

    root, = get('account.account.template').find([('parent', '=', None)], limit=1)
    w = Wizard('account.create_chart')
    w.execute('account')
    w.form.account_template, w.form.company = root, company
    w.execute('create_account')
    Account = get('account.account')

    def account(kind):
        return Account.find([('type.' + kind, '=', True), ('company', '=', company.id),
                             ('closed', '=', False)], limit=1)[0]
    revenue, expense = account('revenue'), account('expense')
    w.form.account_receivable, w.form.account_payable = account('receivable'), account('payable')
    for field, value in (('category_account_expense', expense),
                         ('category_account_revenue', revenue),
                         ('account_expense', expense), ('account_revenue', revenue)):
        if field in w.form._fields:
            setattr(w.form, field, value)
    w.execute('create_properties')

    FiscalYear, Sequence = get('account.fiscalyear'), get('ir.sequence')
    SequenceType, Strict = get('ir.sequence.type'), get('ir.sequence.strict')
    for year in (TODAY.year, TODAY.year + 1):
        fy = FiscalYear(name=str(year), start_date=dt.date(year, 1, 1),
                        end_date=dt.date(year, 12, 31), company=company)
        move_type, = SequenceType.find([('name', '=', 'Account Move')], limit=1)
        invoice_type, = SequenceType.find([('name', '=', 'Invoice')], limit=1)
        strict = FiscalYear._fields['move_sequence']['relation'] == 'ir.sequence.strict'
        fy.move_sequence = (Strict if strict else Sequence)(
            name='moves %d' % year, sequence_type=move_type, company=company)
        fy.move_sequence.save()
        invoices = Strict(name='invoices %d' % year, sequence_type=invoice_type, company=company)
        invoices.save()
        s = fy.invoice_sequences[0]
        s.in_invoice_sequence = s.in_credit_note_sequence = invoices
        s.out_invoice_sequence = s.out_credit_note_sequence = invoices
        fy.save()
        fy.click('create_period')

    Tax, tax_account = get('account.tax'), None
    found = Account.find([('company', '=', company.id), ('name', 'ilike', '%tax%')], limit=1)
    tax_account = found[0] if found else expense
    taxes = {}
    for rate, name in (('19', 'USt 19 %'), ('7', 'USt 7 %'), ('20', 'VAT 20 %'), ('0', 'USt 0 %')):
        tax = Tax(name=name, description=name, type='percentage', rate=Decimal(rate) / 100,
                  invoice_account=tax_account, credit_note_account=tax_account, company=company)
        tax.save()
        taxes[rate] = tax
    Category = get('product.category')
    categories = {}
    for rate in ('19', '7'):
        c = Category(name='Accounting %s %%' % rate, accounting=True, account_expense=expense,
                     account_revenue=revenue)
        c.customer_taxes.append(Tax(taxes[rate].id))
        c.save()
        categories[rate] = c

    Term = get('account.invoice.payment_term')
    term = Term(name='Immediate')
    term.lines.new().type = 'remainder'
    term.save()

    # Stock: the warehouse that comes with the module becomes WH1, a second one is made.
    Location = get('stock.location')
    wh1, = Location.find([('type', '=', 'warehouse')], limit=1)
    wh1.name, wh1.code = 'Berlin', 'WH1'
    wh1.save()
    lost, = Location.find([('type', '=', 'lost_found')], limit=1)
    places = {}
    for kind, type_ in (('Storage', 'storage'), ('Input', 'storage'), ('Output', 'storage')):
        places[kind] = Location(name='Leeds ' + kind, code='WH2-' + kind[:3].upper(), type=type_)
        places[kind].save()
    wh2 = Location(name='Leeds', code='WH2', type='warehouse', storage_location=places['Storage'],
                   input_location=places['Input'], output_location=places['Output'],
                   lost_found_location=lost)
    wh2.save()
    customer, = Location.find([('type', '=', 'customer')], limit=1)
    supplier, = Location.find([('type', '=', 'supplier')], limit=1)

    # Services
    Template, Uom = get('product.template'), get('product.uom')
    unit, = Uom.find([('name', '=', 'Unit')])
    kilogram, = Uom.find([('name', '=', 'Kilogram')])
    services = {}
    for code, name, price in (('SHIPPING', 'Shipping', '4.90'), ('FEE', 'Payment fee', '0'),
                              ('DISCOUNT', 'Coupon', '0')):
        t = Template(name=name, code=code, default_uom=unit, sale_uom=unit, type='service',
                     salable=True, list_price=Decimal(price), account_category=categories['19'])
        t.save()
        services[code] = t.products[0].id
    Carrier, carriers = get('carrier'), {}
    for name in ('DHL', 'Royal Mail'):
        party = Party(name=name)
        party.save()
        c = Carrier(party=party, carrier_product=get('product.product')(services['SHIPPING']))
        c.save()
        carriers[name] = c.id

    # Price lists.  retail-eur: the variant's list price, as it stands.  retail-gbp: one line per
    # variant with a literal formula, and no line for anything else (the price is then null).
    PriceList, lists = get('product.price_list'), {}
    for name, general in (('retail-eur', True), ('retail-gbp', False)):
        pl = PriceList(name=name, price='list_price', tax_included=True)
        if general:
            pl.lines.new().formula = 'unit_price'
        pl.save()
        lists[name] = pl.id

    shops = {}
    if 'web_shop' in modules:
        Shop = get('web.shop')
        for name, currency, houses, pl in (('DE', 'EUR', (wh1, wh2), 'retail-eur'),
                                           ('UK', 'GBP', (wh2, wh1), 'retail-gbp')):
            shop = Shop(name=name, currency=currencies[currency], company=company)
            for house in houses:
                shop.warehouses.append(Location(house.id))
            shop.sale_price_list = PriceList(lists[pl])
            shop.save()
            shops[name] = shop.id

    App = get('res.user.application')
    app = App(user=admin, application='rest')
    app.save()

    def house(w):
        return {'id': w.id, 'storage': w.storage_location.id, 'input': w.input_location.id,
                'output': w.output_location.id}
    info.update({
        'key': app.key, 'company': company.id,
        'countries': {k: v.id for k, v in countries.items()},
        'currencies': {k: v.id for k, v in currencies.items()},
        'warehouses': {'WH1': house(wh1), 'WH2': house(wh2)},
        'locations': {'lost_found': lost.id, 'customer': customer.id, 'supplier': supplier.id},
        'taxes': {k: v.id for k, v in taxes.items()},
        'account_categories': {k: v.id for k, v in categories.items()},
        'price_lists': lists, 'web_shops': shops, 'payment_terms': {'Immediate': term.id},
        'services': services, 'carriers': carriers,
        'uoms': {'unit': unit.id, 'kilogram': kilogram.id}})
    with open(out, 'w') as f:
        json.dump(info, f, indent=1, sort_keys=True)


# ----------------------------------------------------------------------------------- catalogues
# A template: {code, name, description, categories, type, vat, axes: bool, variants}
# A variant: {suffix, attributes, description, eur, gbp, weight, stock: {WH1, WH2}}
def luma():
    with open(os.path.join(SHARED, 'data', 'luma', 'products.csv'), newline='',
              encoding='utf-8-sig') as f:
        rows = list(csv.DictReader(f))
    by_sku = {r['sku']: r for r in rows}
    for r in rows:
        if r['product_type'] != 'configurable':
            continue
        variants = []
        for text in r['configurable_variations'].split('|'):
            axes = dict(p.split('=', 1) for p in text.split(','))
            sku = axes.pop('sku')
            row = by_sku[sku]
            assert sku.startswith(r['sku']), sku
            crc = zlib.crc32(sku.encode())
            eur = cents(Decimal(row['price']))
            variants.append({
                'suffix': sku[len(r['sku']):], 'attributes': axes, 'description': row['description'],
                'eur': eur, 'gbp': cents(eur * Decimal('0.85')), 'weight': float(row['weight']),
                'stock': {'WH1': 50 + crc % 151, 'WH2': (crc >> 8) % 61}})
        yield {'code': r['sku'], 'name': r['name'], 'description': r['description'],
               'categories': r['categories'].split(','), 'type': 'goods', 'vat': '19',
               'variants': variants}


NOT_GOODS = {'POST', 'DOT', 'M', 'D', 'C2', 'BANK CHARGES'}


def retail():
    with open(os.path.join(SHARED, 'data', 'retail', 'online-retail-10k.csv'), newline='',
              encoding='utf-8-sig') as f:
        rows = list(csv.DictReader(f, delimiter=';'))
    seen = {}
    for r in rows:                        # the exact code: 85123A and 85123a are two products
        text = ' '.join(r['Description'].split())
        item = seen.setdefault(r['StockCode'], {'gbp': r['UnitPrice'], 'name': ''})
        item['name'] = item['name'] or text
    for code, item in seen.items():
        gbp = cents(Decimal(item['gbp'].replace(',', '.')))
        service = code in NOT_GOODS
        yield {'code': code, 'name': item['name'] or code, 'description': '', 'categories': [],
               'type': 'service' if service else 'goods', 'vat': '19',
               'variants': [{'suffix': None, 'attributes': None, 'description': None,
                             'eur': cents(gbp * Decimal('1.15')), 'gbp': gbp, 'weight': None,
                             'stock': {} if service else {'WH1': 10000}}]}


def small():
    def variants(axes, eur):
        for size in axes[0]:
            for color in axes[1]:
                suffix = '-%s-%s' % (size, color)
                yield {'suffix': suffix, 'attributes': {'size': size, 'color': color},
                       'description': None, 'eur': Decimal(eur),
                       'gbp': cents(Decimal(eur) * Decimal('0.85')), 'weight': 0.4,
                       'stock': {'WH1': 40 + len(suffix), 'WH2': 7}}
    for code, name, axes, eur in (
            ('TEE', 'Organic tee', (('S', 'M', 'L'), ('Black', 'White')), '24.90'),
            ('HOOD', 'Heavy hoodie', (('S', 'M', 'L'), ('Black', 'Green')), '59.90'),
            ('SOCK', 'Hiking sock', (('39', '42'), ('Gray',)), '12.50')):
        yield {'code': code, 'name': name, 'description': '<p>%s.</p>' % name,
               'categories': ['Default Category/Clothing'], 'type': 'goods', 'vat': '19',
               'variants': list(variants(axes, eur))}
    for code, name, vat, eur in (
            ('MUG-01', 'Enamel mug', '19', '14.00'), ('TEA-EARL', 'Earl Grey, 100 g', '7', '6.95'),
            ('BOOK-7', 'Field guide', '7', '19.99'), ('LAMP-2', 'Camp lamp', '19', '34.50')):
        yield {'code': code, 'name': name, 'description': '', 'type': 'goods', 'vat': vat,
               'categories': ['Default Category/Things'],
               'variants': [{'suffix': None, 'attributes': None, 'description': None,
                             'eur': Decimal(eur), 'gbp': cents(Decimal(eur) * Decimal('0.85')),
                             'weight': 0.3, 'stock': {'WH1': 25, 'WH2': 5}}]}


def load(db, source, out, catalogue):
    from trytond.pool import Pool
    from trytond.transaction import Transaction
    info = json.load(open(source))
    started = time.time()
    Pool.start()
    pool = Pool(db)
    pool.init()
    items = list({'luma': luma, 'retail': retail, 'small': small}[catalogue]())
    with Transaction().start(db, 1, context={'company': info['company']}) as transaction:
        template_model = pool.get('product.template')
        unit = info['uoms']['unit']
        shop_text = 'web_shop_description' in template_model._fields

        paths = {}
        Category = pool.get('product.category')
        wanted = sorted({p for t in items for c in t['categories']
                         for p in ['/'.join(c.split('/')[:n + 1]) for n in range(c.count('/') + 1)]})
        for path in wanted:               # parents first
            parent, _, name = path.rpartition('/')
            c, = Category.create([{'name': name, 'parent': paths.get(parent)}])
            paths[path] = c.id

        values = {'color': [], 'size': []}
        for t in items:
            for v in t['variants']:
                for axis, value in (v['attributes'] or {}).items():
                    if value not in values[axis]:
                        values[axis].append(value)
        attribute_set = None
        if values['color']:
            attributes = pool.get('product.attribute').create([{
                'name': axis, 'string': axis.capitalize(), 'type_': 'selection',
                'selection': '\n'.join('%s: %s' % (v, v) for v in sorted(values[axis]))}
                for axis in ('color', 'size')])
            s, = pool.get('product.attribute.set').create([{
                'name': 'Apparel', 'attributes': [('add', [a.id for a in attributes])]}])
            attribute_set = s.id

        vlist = []
        for t in items:
            single = len(t['variants']) == 1
            variants = []
            for v in t['variants']:
                row = {'suffix_code': v['suffix'], 'description': v['description']}
                if v['attributes']:
                    row['attributes'] = v['attributes']
                variants.append(row)
            row = {'name': t['name'], 'code': t['code'], 'default_uom': unit, 'type': t['type'],
                   'salable': True, 'sale_uom': unit, 'list_price': t['variants'][0]['eur'],
                   'account_category': info['account_categories'][t['vat']],
                   'categories': [('add', [paths[c] for c in t['categories']])],
                   'products': [('create', variants)]}
            if t['variants'][0]['weight'] is not None:
                row['weight'] = t['variants'][0]['weight']
                row['weight_uom'] = info['uoms']['kilogram']
            if not single:
                row['attribute_set'] = attribute_set
            if shop_text and t['description']:
                row['web_shop_description'] = t['description']
            vlist.append(row)
        created = [t for part in chunks(vlist, lambda r: len(r['products'][0][1]))
                   for t in template_model.create(part)]
        print('templates', len(created), '%.1f s' % (time.time() - started))

        pairs = []                        # (variant record, variant dictionary)
        for record, t in zip(created, items):
            by_suffix = {p.suffix_code: p for p in record.products}
            for v in t['variants']:
                p = by_suffix[v['suffix']]
                assert p.code == t['code'] + (v['suffix'] or ''), (p.code, t['code'], v['suffix'])
                pairs.append((p, v))
        # A variant of several has its own list price; a single one uses its template's.
        for part in chunks([
                {'template': p.template.id, 'product': p.id, 'company': info['company'],
                 'list_price': v['eur']} for p, v in pairs if v['suffix'] is not None]):
            pool.get('product.list_price').create(part)
        for part in chunks([
                {'price_list': info['price_lists']['retail-gbp'], 'product': p.id,
                 'sequence': n, 'formula': str(v['gbp'])} for n, (p, v) in enumerate(pairs, 1)]):
            pool.get('product.price_list.line').create(part)
        print('prices', '%.1f s' % (time.time() - started))

        Inventory = pool.get('stock.inventory')
        for house, ids in sorted(info['warehouses'].items()):
            lines = [{'product': p.id, 'quantity': float(v['stock'][house])}
                     for p, v in pairs if v['stock'].get(house)]
            if not lines:
                continue
            for part in chunks(lines, limit=200):
                inventory, = Inventory.create([{'location': ids['storage'], 'date': TODAY,
                                                'lines': [('create', part)]}])
                Inventory.confirm([inventory])
            print('stock', house, len(lines), '%.1f s' % (time.time() - started))
        transaction.commit()
    info.update({'catalogue': catalogue, 'templates': len(items), 'variants': len(pairs),
                 'product_categories': paths, 'attribute_set': attribute_set})
    with open(out, 'w') as f:
        json.dump(info, f, indent=1, sort_keys=True)


if __name__ == '__main__':
    if sys.argv[1] == 'base':
        base(*sys.argv[2:])
    else:
        load(*sys.argv[2:])
